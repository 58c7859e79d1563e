// A disk that takes nothing: RLIMIT_FSIZE, set on the running engine from outside, stands for a full one.
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <memory>
#include <string>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

int start_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  daemon->log_through_pipe();
  return daemon->start() ? 0 : -1;
}

int stop_daemon(void**) {
  daemon.reset();
  return 0;
}

void disk_takes(rlim_t bytes) {
  rlimit limit{};
  assert_int_equal(prlimit(daemon->pid(), RLIMIT_FSIZE, nullptr, &limit), 0);
  limit.rlim_cur = bytes;
  assert_int_equal(prlimit(daemon->pid(), RLIMIT_FSIZE, &limit, nullptr), 0);
}

bool said(const char* what) { return daemon->stderr_text().find(what) != std::string::npos; }

void nothing_is_shown_that_the_disk_did_not_take_and_nothing_is_lost(void**) {
  const std::string running = daemon->submit("wait", daemon->gate("go")), failed = daemon->submit("fail");
  daemon->until(running, "running");
  daemon->until(failed, "failed");
  Watcher watcher(*daemon);

  disk_takes(1);
  const Error refused = daemon->error("job.submit", R"({"kind":"echo","owner":"alice"})");
  assert_int_equal(static_cast<int>(refused.code), static_cast<int>(Errc::internal));
  assert_non_null(strstr(refused.detail.c_str(), "nothing that was acknowledged is lost: see whether its disk"));
  assert_int_equal(static_cast<int>(daemon->error("job.retry", with_id(failed)).code), static_cast<int>(Errc::internal));
  daemon->touch("go");
  until("the end was not written", [&] { return said(("event=store_failed job=" + running).c_str()); });
  assert_string_equal(daemon->state(running).c_str(), "running");
  assert_string_equal(daemon->state(failed).c_str(), "failed");
  assert_int_equal(daemon->result("job.list", "{}").view().get("jobs").size(), 2);

  disk_takes(RLIM_INFINITY);
  watcher.until(running, JobState::completed);
  unsigned ends = 0;
  uint64_t last = 0;
  for (const Seen& seen : watcher.seen()) {
    assert_true(seen.rev > last);
    last = seen.rev;
    ends += is_terminal(seen.state);
  }
  assert_int_equal(ends, 1);
  daemon->until(daemon->submit("echo"), "completed");
  (void)daemon->result("job.retry", with_id(failed));
  daemon->until(failed, "failed");
  daemon->kill_hard();
  assert_true(daemon->start());
  assert_string_equal(daemon->state(running).c_str(), "completed");
}

void progress_goes_on_without_the_disk(void**) {
  const std::string id = daemon->submit("percent", daemon->gate("go"));
  daemon->until(id, "running");
  Watcher watcher(*daemon);
  const auto percent = [&] { return daemon->job(id).view().get("progress").get("percent").number().value_or(0); };
  until("it moves", [&] { return percent() > 0; });
  disk_takes(1);
  const double before = percent();
  until("it still moves", [&] { return percent() > before + 3; });
  disk_takes(RLIM_INFINITY);
  daemon->touch("go");
  watcher.until(id, JobState::completed);
}

void a_job_starts_once_its_proof_is_written(void**) {
  const std::string first = daemon->submit("wait", daemon->gate("first") + R"(,"queue":"one")"),
                    second = daemon->submit("words", R"(,"queue":"one","args":{"format":"x"})");
  daemon->until(first, "running");
  // The write-ahead log grows past a mebibyte, so that the limit leaves room for what a start makes in memory.
  const std::string later = R"(,"run_at_ms":)" + std::to_string(now().unix_ms + 3'600'000);
  for (int i = 0; i < 25; ++i) daemon->submit("echo", later + R"(,"args":{"x":")" + std::string(60'000, 'x') + R"("})");
  disk_takes(1 << 20);
  daemon->touch("first");
  until("the start was not written", [&] { return said(("event=store_failed job=" + second).c_str()); });
  assert_string_equal(daemon->state(second).c_str(), "queued");
  disk_takes(RLIM_INFINITY);
  assert_int_equal(*daemon->until(second, "completed").view().get("attempt").integer(), 1);
  assert_string_equal(daemon->state(first).c_str(), "completed");
}

void a_stop_does_not_wait_for_a_disk_for_ever(void**) {
  const std::string id = daemon->submit("wait", daemon->gate("never"));
  daemon->until(id, "running");
  disk_takes(1);
  kill(daemon->pid(), SIGTERM);
  until("it is stopping", [] { return said("event=stopping"); });
  assert_int_equal(daemon->stop(), 0);  // asked twice: it kills what runs and ends
  assert_true(said("event=stopped_unwritten"));
  assert_true(daemon->start());
  daemon->until(id, "failed");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(nothing_is_shown_that_the_disk_did_not_take_and_nothing_is_lost, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(progress_goes_on_without_the_disk, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(a_job_starts_once_its_proof_is_written, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_a_disk_for_ever, start_daemon, stop_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
