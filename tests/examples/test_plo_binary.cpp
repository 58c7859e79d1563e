// The real plo-equity, run by hand and run as jobcastd runs it: descriptors in the environment, a latch, a cancel request.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/json.h"
#include "ipc/latch.h"
#include "tests/cmocka.h"

namespace {

using jobcast::Fd;
using jobcast::Json;
using jobcast::WorkerLatch;

constexpr const char* kQuestion = R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"","dead":"","mode":"exact","trials":1000000,"seed":1})";
constexpr const char* kAnswer = R"({"boards":1086008,"hands":[{"hand":"AsAhKsKh","win":635660,"tie":0,"equity":0.585317971874977},)"
                                R"({"hand":"8c7d6c5d","win":450348,"tie":0,"equity":0.41468202812502303}]})";
constexpr const char* kHours = R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":1000000000000})";

Fd memory(std::string_view text) {
  Fd fd(memfd_create("plo", MFD_CLOEXEC));
  assert_int_equal(write(fd.get(), text.data(), text.size()), text.size());
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string text_in(const Fd& fd) {
  lseek(fd.get(), 0, SEEK_SET);
  return *jobcast::read_all(fd.get(), 1 << 20);
}

struct Process {
  pid_t pid = -1;
  Fd in, out, error;
};

// `job` sets the environment of the child, after the fork.
template <class Job>
Process start(std::vector<std::string> arguments, std::string_view input, Job job) {
  Process process{-1, memory(input), memory(""), memory("")};
  const std::string path = std::string(getenv("JOBCAST_BIN")) + "/plo-equity";
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  process.pid = fork();
  if (process.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(process.in.get(), STDIN_FILENO);
    dup2(process.out.get(), STDOUT_FILENO);
    dup2(process.error.get(), STDERR_FILENO);
    job();
    execv(path.c_str(), argv.data());
    _exit(127);
  }
  return process;
}

int status_of(const Process& process) {
  int status = 0;
  assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct Ended {
  int status;
  std::string out, error;
};
Ended run(std::vector<std::string> arguments, std::string_view input = "") {
  const Process process = start(std::move(arguments), input, [] {});
  const int status = status_of(process);
  return {status, text_in(process.out), text_in(process.error)};
}

// What jobcastd holds of a job.
struct Job {
  WorkerLatch latch;
  Fd args, result;
  Process process;
};

Job start_job(const char* args, const char* threads) {
  Job job{WorkerLatch::create().value(), memory(args), memory(""), {}};
  auto ends = job.latch.take_child_ends();
  job.process = start({}, "", [&] {
    const auto pass = [](const char* name, const Fd& fd) { setenv(name, std::to_string(dup(fd.get())).c_str(), 1); };
    pass("JOBCAST_LATCH_FD", ends.latch);
    pass("JOBCAST_DOORBELL_FD", ends.doorbell);
    pass("JOBCAST_ARGS_FD", job.args);
    pass("JOBCAST_RESULT_FD", job.result);
    setenv("JOBCAST_THREADS", threads, 1);
  });
  return job;
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return "";
  const size_t start = text.rfind('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1, end - (start == std::string::npos ? 0 : start + 1) + 1);
}

void question_is_answered_from_argument_file_and_standard_input(void**) {
  const std::string expected = std::string(kAnswer) + "\n";
  const Fd file = memory(kQuestion);
  const std::string path = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file.get());
  for (const Ended& ended : {run({"--args", kQuestion}), run({"--args-file", path, "--threads", "3"}), run({}, kQuestion)}) {
    assert_string_equal(ended.error.c_str(), "");
    assert_string_equal(ended.out.c_str(), expected.c_str());
    assert_int_equal(ended.status, 0);
  }
}

void bad_question_ends_with_2_and_names_field_and_card(void**) {
  const Ended ended = run({"--args", R"({"hands":["AsAhKsKh","As7d6c5d"]})"});
  assert_int_equal(ended.status, 2);
  assert_string_equal(ended.out.c_str(), "");
  assert_string_equal(ended.error.c_str(), "plo-equity: hands[1] \"As7d6c5d\": the card As is already in hands[0]\n");
  assert_int_equal(run({}, "nonsense").status, 2);
  assert_int_equal(run({"--args-file", "/nonexistent"}).status, 2);
}

void wrong_options_end_with_2_and_help_with_0(void**) {
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--nonsense"},
                                                {"extra"},
                                                {"--threads", "0"},
                                                {"--threads", "-1"},
                                                {"--threads", "2x"},
                                                {"--threads", "2000"},
                                                {"--args", "{}", "--args-file", "x"}}) {
    const Ended ended = run(wrong);
    assert_int_equal(ended.status, 2);
    assert_string_equal(ended.out.c_str(), "");
    assert_true(!ended.error.empty());
  }
  const Ended help = run({"--help"});
  assert_int_equal(help.status, 0);
  for (const char* word : {"hands", "board", "dead", "monte-carlo", "--threads", "Exit status"})
    assert_non_null(strstr(help.out.c_str(), word));
}

void full_standard_output_is_a_failure(void**) {
  const Process process = start({"--args", kQuestion}, "", [] {
    const Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
    dup2(full.get(), STDOUT_FILENO);
  });
  assert_int_equal(status_of(process), 1);
  assert_non_null(strstr(text_in(process.error).c_str(), "No space left"));
}

void job_hands_in_the_same_result_for_any_number_of_threads(void**) {
  for (const char* threads : {"1", "2", "7"}) {
    Job job = start_job(kQuestion, threads);
    assert_int_equal(status_of(job.process), 0);
    assert_string_equal(text_in(job.result).c_str(), kAnswer);
    assert_string_equal(text_in(job.process.out).c_str(), "");
    const auto report = job.latch.sample();
    assert_true(report.has_value());
    assert_int_equal(report->done, 1086008);
    assert_int_equal(report->total, 1086008);
    assert_string_equal(report->phase.c_str(), "every board");
  }
}

void message_of_a_finished_job_is_its_answer_and_not_an_early_standing(void**) {
  const auto message_of = [](const char* question) {
    Job job = start_job(question, "2");
    assert_int_equal(status_of(job.process), 0);
    return job.latch.sample().value().message;
  };
  assert_string_equal(message_of(kQuestion).c_str(), "AsAhKsKh 58.53 %, 8c7d6c5d 41.47 %");
  // The equities of all 100,000 trials, and not of the first units.
  assert_string_equal(message_of(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":100000})").c_str(),
                      "AsAhKsKh 58.39 %, 8c7d6c5d 41.61 %");
}

void exact_job_says_no_standing_of_its_first_boards(void**) {
  Job job = start_job(kQuestion, "1");
  for (bool ended = false; !ended;) {
    ended = waitpid(job.process.pid, nullptr, WNOHANG) != 0;  // asked before the sample: the last one is complete
    const auto report = job.latch.sample();
    if (!report || report->message.empty()) continue;
    assert_string_equal(report->message.c_str(), "AsAhKsKh 58.53 %, 8c7d6c5d 41.47 %");
  }
}

void job_with_a_bad_question_leaves_no_result_and_says_why_in_its_last_line(void**) {
  Job job = start_job(R"({"hands":["AsAhKs","8c7d6c5d"]})", "1");
  assert_int_equal(status_of(job.process), 2);
  assert_string_equal(text_in(job.result).c_str(), "");
  assert_string_equal(last_line(text_in(job.process.error)).c_str(),
                      "plo-equity: hands[0] \"AsAhKs\": has 3 cards; a hand has four or five");
}

void long_job_reports_and_stops_soon_after_it_was_cancelled(void**) {
  Job job = start_job(kHours, "2");
  uint64_t last = 0;
  for (int samples = 0; samples < 5; ++samples) {
    pollfd bell{job.latch.doorbell_fd(), POLLIN, 0};
    assert_int_equal(poll(&bell, 1, 20'000), 1);
    if (!job.latch.clear_doorbell()) fail_msg("ended early: %s", text_in(job.process.error).c_str());
    do {
      const auto report = job.latch.sample();
      if (!report) continue;
      assert_true(report->done >= last);
      last = report->done;
    } while (!job.latch.arm());
  }
  assert_true(last > 0);
  job.latch.request_cancel();
  assert_int_equal(status_of(job.process), 3);  // a job that does not stop fails by the test's own time limit
  assert_true(job.latch.cancel_acknowledged());
  assert_string_equal(text_in(job.result).c_str(), "");
  assert_string_equal(last_line(text_in(job.process.error)).c_str(), "plo-equity: cancelled");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(question_is_answered_from_argument_file_and_standard_input),
      cmocka_unit_test(bad_question_ends_with_2_and_names_field_and_card),
      cmocka_unit_test(wrong_options_end_with_2_and_help_with_0),
      cmocka_unit_test(full_standard_output_is_a_failure),
      cmocka_unit_test(job_hands_in_the_same_result_for_any_number_of_threads),
      cmocka_unit_test(message_of_a_finished_job_is_its_answer_and_not_an_early_standing),
      cmocka_unit_test(exact_job_says_no_standing_of_its_first_boards),
      cmocka_unit_test(job_with_a_bad_question_leaves_no_result_and_says_why_in_its_last_line),
      cmocka_unit_test(long_job_reports_and_stops_soon_after_it_was_cancelled),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
