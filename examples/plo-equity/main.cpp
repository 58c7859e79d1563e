// plo-equity: a job of jobcastd, and a command for people. Main thread: the only one that reports.
#include <getopt.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/surroundings.h"
#include "examples/plo-equity/crew.h"
#include "jobcast/worker.h"

namespace {

enum Exit { kDone = 0, kFailed = 1, kBadInput = 2, kCancelled = 3 };

constexpr const char* kHelp = R"(usage: plo-equity [--args JSON | --args-file FILE] [--threads N]

What each of two to six Omaha hands wins on average when all cards are dealt. The question is a JSON object, from --args, from
--args-file, from jobcastd (where it is the job's args), or else from standard input:

  {"hands":["AsAhKsKh","8c7d6c5d"],"board":"","dead":"","mode":"exact","trials":1000000,"seed":1}

  hands    two to six hands, all of four cards or all of five; only hands is required
  board    none, three, four or five cards that are dealt already
  dead     cards that cannot come
  mode     exact: every board (default); monte-carlo: `trials` boards by chance, the same ones for the same seed

A card is a rank of 23456789TJQKA and a suit of cdhs. The answer is one JSON object on standard output:

  {"boards":1086008,"hands":[{"hand":"AsAhKsKh","win":635660,"tie":0,"equity":0.585317971874977},…]}

  win      boards that this hand wins alone            tie   boards that it splits with others
  equity   its part of all the pots, split ones shared equally

  --threads N   use N threads; otherwise as many as jobcastd or the machine gives
  --help        this text

Exit status: 0 answered, 1 failed, 2 the question is wrong (the last line of standard error says where), 3 cancelled.
Try: plo-equity --args '{"hands":["AsAhKsKh","8c7d6c5d"]}'
)";

struct Options {
  std::optional<std::string> args;
  std::optional<std::string> args_file;
  unsigned threads = 0;
};

int fail(Exit status, const std::string& problem) {
  fprintf(stderr, "plo-equity: %s\n", problem.c_str());
  return status;
}

// Gives an exit status when there is nothing more to do.
std::optional<int> read_options(int argc, char** argv, Options& options) {
  enum { args = 'a', args_file = 'f', threads = 't', help = 'h' };
  const option kLong[] = {{"args", required_argument, nullptr, args},
                          {"args-file", required_argument, nullptr, args_file},
                          {"threads", required_argument, nullptr, threads},
                          {"help", no_argument, nullptr, help},
                          {}};
  for (int chosen; (chosen = getopt_long(argc, argv, "h", kLong, nullptr)) != -1;) {
    switch (chosen) {
      case args: options.args = optarg; break;
      case args_file: options.args_file = optarg; break;
      case threads: {
        char* end = nullptr;
        const unsigned long count = strtoul(optarg, &end, 10);
        if (*optarg < '0' || *optarg > '9' || *end || count < 1 || count > 1024)
          return fail(kBadInput, "--threads must be a number from 1 to 1024");
        options.threads = static_cast<unsigned>(count);
        break;
      }
      case help: fputs(kHelp, stdout); return kDone;
      default: fputs("plo-equity --help tells how it is used\n", stderr); return kBadInput;
    }
  }
  if (optind < argc) return fail(kBadInput, std::string("unexpected argument '") + argv[optind] + "'; see plo-equity --help");
  if (options.args && options.args_file) return fail(kBadInput, "give --args or --args-file, not both");
  return std::nullopt;
}

jobcast::Result<std::string> question_text(const Options& options) {
  constexpr size_t kBytesMax = 64 * 1024;
  if (options.args) return *options.args;
  if (options.args_file) return jobcast::read_file(*options.args_file, kBytesMax);
  size_t length = 0;
  if (const char* args = jobcast_worker_args(&length)) return std::string(args, length);
  if (isatty(STDIN_FILENO)) return {jobcast::Errc::invalid, "no question: give it with --args JSON, or see plo-equity --help"};
  return jobcast::read_all(STDIN_FILENO, kBytesMax);
}

// Tells jobcastd, or the person at the terminal, how far it is.
class Reporter {
 public:
  Reporter(const plo::Question& question, uint64_t total, bool job)
      : question_(question), total_(total), terminal_(!job && isatty(STDERR_FILENO)) {}

  void operator()(const plo::Outcomes& so_far) {
    const uint64_t done = so_far.boards();
    jobcast_progress(done, total_);
    const int64_t now_ms = jobcast::now().mono_ms();
    // At last always, for that message stays. Before, only of a sample: the boards that exact mode deals first mislead.
    if (done < total_ && (now_ms < next_ms_ || question_.mode == plo::Mode::exact)) return;
    next_ms_ = now_ms + 250;
    const std::string standing = this->standing(so_far);
    jobcast_message(standing.c_str());
    if (terminal_) fprintf(stderr, "\r\033[K%5.1f %%  %s", 100 * static_cast<double>(done) / static_cast<double>(total_), standing.c_str());
  }

  void finish() const {
    if (!terminal_) return;
    const double seconds = static_cast<double>(jobcast::now().mono_ns - start_ns_) / 1e9;
    fprintf(stderr, "\r\033[K%llu boards in %.3f s, %.1f million a second\n", static_cast<unsigned long long>(total_), seconds,
            static_cast<double>(total_) / seconds / 1e6);
  }

 private:
  // "AsAhKsKh 58.53 %, 8c7d6c5d 41.47 %", so far.
  [[nodiscard]] std::string standing(const plo::Outcomes& so_far) const {
    std::string text;
    for (size_t hand = 0; hand < question_.hands.size(); ++hand) {
      char percent[16];
      snprintf(percent, sizeof percent, " %.2f %%", 100 * plo::share_of(so_far, hand).equity);
      (text += text.empty() ? "" : ", ") += plo::text_of(question_.hands[hand]) + percent;
    }
    return text;
  }

  const plo::Question& question_;
  uint64_t total_;
  bool terminal_;
  int64_t start_ns_ = jobcast::now().mono_ns;
  int64_t next_ms_ = 0;
};

int answer(const Options& options) {
  const int opened = jobcast_worker_open();
  if (opened != JOBCAST_OK && opened != JOBCAST_NOT_FOUND) return fail(kFailed, "jobcastd's descriptors cannot be used");
  const bool job = opened == JOBCAST_OK;

  const auto text = question_text(options);
  if (!text) return fail(kBadInput, text.error().detail);
  const auto question = plo::read_question(*text);
  if (!question) return fail(kBadInput, question.error().detail);

  jobcast_phase("table");
  const plo::Equity equity(*question);
  jobcast_phase(question->mode == plo::Mode::exact ? "every board" : "random boards");
  Reporter reporter(*question, equity.boards(), job);
  const unsigned threads = options.threads ? options.threads : jobcast_worker_threads();
  const auto outcomes = plo::run(equity, threads, std::ref(reporter), [] { return jobcast_cancel_requested() != 0; });
  if (!outcomes) return fail(kCancelled, "cancelled");
  reporter.finish();

  const std::string result = plo::write_answer(*question, *outcomes);
  if (job) {
    if (const int status = jobcast_worker_result(result.data(), result.size()); status != JOBCAST_OK)
      return fail(kFailed, "the result cannot be handed in: status " + std::to_string(status));
  } else if (puts(result.c_str()) == EOF || fflush(stdout) != 0) {
    return fail(kFailed, std::string("standard output: ") + strerror(errno));
  }
  return kDone;
}

}  // namespace

int main(int argc, char** argv) {
  jobcast::settle_surroundings();
  Options options;
  if (const auto status = read_options(argc, argv, options)) return *status;
  try {
    return answer(options);
  } catch (const std::exception& problem) {
    return fail(kFailed, problem.what());
  }
}
