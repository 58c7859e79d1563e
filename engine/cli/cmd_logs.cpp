// logs: what a job printed, and with -f what it prints.
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "base/json.h"
#include "engine/cli/engine_link.h"
#include "engine/cli/output.h"
#include "engine/cli/signals.h"

namespace jobcast::cli {
namespace {

constexpr int64_t kPageBytes = 65'536;
constexpr int kFollowMs = 200;  // the control socket tells of no new output: it is asked

class Logs {
 public:
  Logs(const Invocation& invocation, const JobId& job, int64_t offset)
      : invocation_(invocation), job_(job), offset_(offset), terminal_(isatty(STDOUT_FILENO) == 1), utf8_(look_at_stdout().utf8) {}

  Exit run() {
    const bool follow = invocation_.has("follow");
    Signals signals{SIGINT, SIGTERM, SIGHUP};
    Reconnection reconnection(60'000);
    bool away = false;
    for (;;) {
      const auto page = next_page();
      const int64_t mono_ms = now().mono_ms();
      if (!page) {
        if (!follow || page.error().code != Errc::closed || !heard_) return complain(invocation_, page.error());
        client_.reset();
        if (!away) {
          note("the engine is gone; trying to reach it again");
          reconnection.lost(mono_ms);
        }
        away = true;
        if (reconnection.over(mono_ms)) return complain(invocation_, page.error());
        reconnection.failed(mono_ms);
      } else {
        if (away) note("the engine is back");
        away = false;
        heard_ = true;
        if (*page == Page::end || (*page == Page::caught_up && !follow)) return Exit::ok;
      }
      pollfd signal{signals.fd(), POLLIN, 0};
      const bool more = page && *page == Page::more;
      (void)poll(&signal, 1, more ? 0 : away ? static_cast<int>(reconnection.due_ms() - mono_ms) : kFollowMs);
      if (const auto caught = signals.next()) return exit_of_signal(*caught);
    }
  }

 private:
  enum class Page { more, caught_up, end };

  Result<Page> next_page() {
    if (!client_) {
      auto client = connect_engine(socket_path(invocation_));
      if (!client) return client.error();
      client_.emplace(std::move(*client));
    }
    Json params = Json::object();
    params.set("job_id", job_.text()).set("offset", offset_).set("limit", kPageBytes);
    if (invocation_.has("owner")) params.set("owner", invocation_.get("owner"));
    const auto answer = client_->call_raw("job.log", params);
    if (!answer) return answer.error();
    const auto document = Json::parse(*answer);
    if (!document) return document.error();
    const JsonView result = document->view();
    const std::string_view data = result.get("data").string().value_or("");
    if (invocation_.json()) {
      if (!data.empty() || !heard_) print(*answer + "\n");
    } else {
      print(terminal_ ? printable(data, utf8_, true) : std::string(data));
    }
    fflush(stdout);
    offset_ = result.get("next_offset").integer().value_or(offset_);
    const bool eof = result.get("eof").boolean().value_or(false);
    if (const int64_t dropped = result.get("dropped").integer().value_or(0); eof && dropped > 0)
      note(std::to_string(dropped) + " bytes were dropped: the log is capped");
    if (eof) return Page::end;
    return offset_ < result.get("size").integer().value_or(0) ? Page::more : Page::caught_up;
  }

  const Invocation& invocation_;
  JobId job_;
  int64_t offset_;
  bool terminal_, utf8_;
  bool heard_ = false;
  std::optional<ControlClient> client_;
};

Exit run(const Invocation& invocation) {
  const auto id = read_job_id(invocation.operands[0]);
  if (!id) return complain(invocation, id.error());
  const auto tail = invocation.integer("tail", 0, 0, INT64_C(1) << 40);
  if (!tail) return complain(invocation, tail.error());
  return Logs(invocation, *id, -*tail).run();
}

constexpr Option kOptions[] = {
    {"follow", 'f', nullptr, "go on until the job is over"},
    {"tail", 0, "BYTES", "begin so many bytes before the end"},
    {"owner", 'o', "NAME", "only if it is this owner's: another's job is answered like an absent one"},
};
constexpr Example kExamples[] = {
    {"logs 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "what it has printed so far, standard output and error"},
    {"logs -f --tail 2000 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "the newest of it, and what is to come"},
};

}  // namespace

extern const Command logs_command{.name = "logs",
                                  .operands = "JOB",
                                  .operands_min = 1,
                                  .operands_max = 1,
                                  .summary = "print what a job printed",
                                  .text =
                                      "Prints a job's log. On a terminal, control characters in it are shown as '?': a job\n"
                                      "must not steer the terminal of whoever reads its log. With --json: the answers of\n"
                                      "job.log, one a line.",
                                  .examples = kExamples,
                                  .options = kOptions,
                                  .speaks_to_engine = true,
                                  .run = run};

}  // namespace jobcast::cli
