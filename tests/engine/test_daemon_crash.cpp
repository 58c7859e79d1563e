// kill -9 of a real jobcastd at any moment: no acknowledged job is lost, each ends once, nothing that was shown is taken back.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::string text(JsonView view) { return std::string(view.string().value_or("")); }

// What one channel showed, the answers or the lane, checked as it comes: the rev of a job never falls, nor its progress within an
// attempt, an end stays, and a rev has the same bytes on both channels.
class Memory {
 public:
  void see(const std::string& snapshot) {
    const auto read = Json::parse(snapshot);
    const JsonView job = read->view();
    const std::string id = text(job.get("job_id")), state = text(job.get("state"));
    Shown& shown = shown_[id];
    const int64_t rev = *job.get("rev").integer(), attempt = *job.get("attempt").integer();
    const double percent = job.get("progress").get("percent").number().value_or(0);
    if (rev < shown.rev) fail_msg("the rev fell below %lld: %s", static_cast<long long>(shown.rev), snapshot.c_str());
    const std::string& bytes = bytes_.try_emplace({id, rev}, snapshot).first->second;
    if (bytes != snapshot) fail_msg("two snapshots of one rev: %s and %s", snapshot.c_str(), bytes.c_str());
    if (attempt == shown.attempt && percent < shown.percent) fail_msg("progress fell from %f: %s", shown.percent, snapshot.c_str());
    const bool over = state == "completed" || state == "failed" || state == "cancelled";
    if (shown.over && rev != shown.rev) fail_msg("an end was taken back: %s", snapshot.c_str());
    shown = {rev, attempt, percent, over};
  }
  [[nodiscard]] bool over(const std::string& id) { return shown_[id].over; }
  // From here on both must be at or above what either showed.
  void meet(Memory& other) {
    for (const auto& [id, theirs] : other.shown_)
      if (Shown& mine = shown_[id]; theirs.rev > mine.rev) mine = theirs;
    other.shown_ = shown_;
  }
  static void forget() { bytes_.clear(); }

 private:
  struct Shown {
    int64_t rev = 0, attempt = 0;
    double percent = 0;
    bool over = false;
  };
  std::map<std::string, Shown> shown_;
  static inline std::map<std::pair<std::string, int64_t>, std::string> bytes_;
};

std::unique_ptr<Daemon> daemon;

int start_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  return daemon->start() ? 0 : -1;
}

int stop_daemon(void**) {
  daemon.reset();
  Memory::forget();
  return 0;
}

void restart() { assert_true(daemon->start()); }

void a_running_job_is_lost_once_and_its_process_is_ended(void**) {
  const std::string once = daemon->submit("wait", daemon->gate("never")), again = daemon->submit("lasting", daemon->gate("again"));
  daemon->until(once, "running");
  const Json before = daemon->until(again, "running");
  daemon->kill_hard();
  const int64_t from = now().mono_ms();
  restart();
  const Json failed = daemon->until(once, "failed");
  assert_true(now().mono_ms() - from < 2000);
  assert_string_equal(text(failed.view().get("reason")).c_str(), "worker_lost");
  until("the next attempt runs", [&] { return daemon->job(again).view().get("attempt").integer() == 2; });
  const Json rerun = daemon->until(again, "running");
  assert_true(*rerun.view().get("rev").integer() > *before.view().get("rev").integer());
  daemon->touch("again");
  daemon->until(again, "completed");
  const Json stats = daemon->result("engine.stats", "{}");
  assert_int_equal(*stats.view().get("totals").get("worker_lost").integer(), 2);
  assert_int_equal(*stats.view().get("boot").integer(), 2);
}

void the_log_of_a_lost_job_says_where_its_engine_went_down(void**) {
  const std::string id = daemon->submit("deaf");
  const auto log = [&] { return text(daemon->result("job.log", with_id(id)).view().get("data")); };
  until("it printed", [&] { return log() == "deaf\n"; });
  daemon->kill_hard();
  restart();
  daemon->until(id, "failed");
  assert_string_equal(log().c_str(), "deaf\n\n[jobcast: the engine went down here: what followed is lost]\n");
}

void a_job_that_takes_its_engine_down_is_given_up(void**) {
  const std::string id = daemon->submit("lasting", daemon->gate("poison") + R"(,"max_attempts":3)");
  for (int crash = 0; crash < 3; ++crash) {
    until("the next attempt runs", [&] {
      const Json job = daemon->job(id);
      return job.view().get("state").string() == "running" && job.view().get("attempt").integer() == crash + 1;
    });
    daemon->kill_hard();
    restart();
  }
  assert_string_equal(text(daemon->until(id, "failed").view().get("reason")).c_str(), "worker_lost");
}

void a_cancelled_job_is_cancelled_even_so(void**) {
  const std::string id = daemon->submit("deaf");
  until("it has closed its ears",
        [&] { return daemon->result("job.log", R"({"job_id":")" + id + "\"}").view().get("size").integer() > 0; });
  (void)daemon->result("job.cancel", R"({"job_id":")" + id + R"(","by":"bob"})");
  daemon->kill_hard();
  restart();
  assert_string_equal(text(daemon->until(id, "cancelled").view().get("reason")).c_str(), "user");
}

void what_waits_goes_on_waiting(void**) {
  const std::string first = daemon->submit("wait", daemon->gate("first") + R"(,"queue":"one")");
  const std::string second = daemon->submit("echo", R"(,"queue":"one")");
  const std::string backoff = daemon->submit("later");
  const std::string scheduled = daemon->submit("echo", R"(,"run_at_ms":)" + std::to_string(now().unix_ms + 3'600'000));
  daemon->until(first, "running");
  daemon->until(backoff, "retrying");
  daemon->kill_hard();
  restart();
  daemon->until(second, "completed");
  assert_string_equal(daemon->state(backoff).c_str(), "retrying");
  assert_string_equal(daemon->state(scheduled).c_str(), "scheduled");
  (void)daemon->result("job.cancel", R"({"job_id":")" + scheduled + "\"}");
}

void a_reader_sees_the_end_of_file_and_attaches_to_a_new_epoch(void**) {
  const std::string over = daemon->submit("echo");
  daemon->until(over, "completed");
  const std::string running = daemon->submit("wait", daemon->gate("epoch"));
  daemon->until(running, "running");
  Watcher before(*daemon);
  const std::vector<Seen> table = before.table();
  daemon->kill_hard();
  while (before.wait()) {
  }
  assert_int_equal(before.table().size(), table.size());  // the dead engine's map is still readable
  restart();
  Watcher after(*daemon);
  assert_true(after.epoch() != before.epoch());
  std::map<std::string, Seen> now_seen;
  for (const Seen& seen : after.table()) now_seen[seen.job] = seen;
  for (const Seen& seen : table) {
    const Seen& now_shown = now_seen.at(seen.job);  // everything is in the table before the socket accepts
    if (is_terminal(seen.state))
      assert_string_equal(now_shown.snapshot.c_str(), seen.snapshot.c_str());
    else
      assert_true(now_shown.rev > seen.rev);
  }
  after.until(running, JobState::failed);
}

void progress_that_was_shown_is_not_taken_back(void**) {
  Memory memory;
  const std::string id = daemon->submit("percent", daemon->gate("shown"));
  {
    Watcher watcher(*daemon);
    until("progress", [&] {
      watcher.wait();
      return daemon->job(id).view().get("progress").get("percent").number().value_or(0) >= 5;
    });
    daemon->kill_hard();
    while (watcher.wait()) {
    }
    for (const Seen& seen : watcher.seen())
      if (seen.job == id) memory.see(seen.snapshot);
  }
  restart();
  Watcher watcher(*daemon);
  for (const Seen& seen : watcher.table())
    if (seen.job == id) memory.see(seen.snapshot);
  if (!memory.over(id)) watcher.until(id, JobState::failed);
  for (const Seen& seen : watcher.seen())
    if (seen.job == id) memory.see(seen.snapshot);
  assert_true(memory.over(id));
}

// Submits, cancels and retries while the engine is killed again and again at random moments.
void nothing_is_lost_or_taken_back_over_many_crashes(void**) {
  std::minstd_rand random(42);  // the moments still differ from run to run: processes are no clockwork
  Memory memory, lane;
  std::vector<std::string> acknowledged;
  const auto call = [&](const char* method, const std::string& params) -> std::optional<std::string> {
    if (!daemon->connected()) return std::nullopt;
    auto answer = daemon->client().call_raw(method, *Json::parse(params));
    if (!answer) return std::nullopt;
    const size_t start = answer->find("{\"job_id\""), end = answer->rfind(",\"created\"");
    const std::string snapshot = answer->substr(start, (end == std::string::npos ? answer->size() - 1 : end) - start);
    memory.see(snapshot);
    return text(Json::parse(snapshot)->view().get("job_id"));
  };
  const char* const soak = getenv("JOBCAST_SOAK");  // rounds of a long run
  const int rounds = soak ? atoi(soak) : 12, rounds_max = 10 * rounds;
  for (int round = 0; round < rounds || (acknowledged.size() <= 20 && round < rounds_max); ++round) {
    {
      Watcher watcher(*daemon);
      const pid_t pid = daemon->pid();
      const auto moment_us = static_cast<useconds_t>(random() % 120'000);
      const pid_t killer = fork();
      if (killer == 0) {
        usleep(moment_us);
        kill(pid, SIGKILL);
        _exit(0);
      }
      static constexpr const char* kKindsOfIt[] = {"echo", "flaky", "fail", "lasting", "percent"};
      for (unsigned n = 0; daemon->connected() && n < 200; ++n) {
        const std::string params =
            std::string(R"({"kind":")") + kKindsOfIt[random() % 5] + R"(","owner":"alice")" + daemon->gate("go") + "}";
        if (const auto id = call("job.submit", params)) acknowledged.push_back(*id);
        if (!acknowledged.empty() && random() % 4 == 0)
          (void)call("job.cancel", R"({"job_id":")" + acknowledged[random() % acknowledged.size()] + "\"}");
      }
      waitpid(killer, nullptr, 0);
      daemon->kill_hard();
      while (watcher.wait()) {
      }
      for (const Seen& seen : watcher.seen()) lane.see(seen.snapshot);
      memory.meet(lane);
    }
    restart();
  }
  daemon->touch("go");
  assert_true(acknowledged.size() > 20);
  for (const std::string& id : acknowledged)
    until("every job ends", [&] {
      const auto found = call("job.get", R"({"job_id":")" + id + "\"}");
      if (!found) fail_msg("acknowledged job %s is lost", id.c_str());
      return memory.over(id);
    });
  const Json stats = daemon->result("engine.stats", "{}");
  for (const char* state : {"scheduled", "queued", "running", "retrying"})
    assert_true(*stats.view().get("jobs").get(state).integer() <= 1);  // a submit whose answer the crash ate may be under way
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_running_job_is_lost_once_and_its_process_is_ended, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(the_log_of_a_lost_job_says_where_its_engine_went_down, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(a_job_that_takes_its_engine_down_is_given_up, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(a_cancelled_job_is_cancelled_even_so, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(what_waits_goes_on_waiting, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(a_reader_sees_the_end_of_file_and_attaches_to_a_new_epoch, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(progress_that_was_shown_is_not_taken_back, start_daemon, stop_daemon),
      cmocka_unit_test_setup_teardown(nothing_is_lost_or_taken_back_over_many_crashes, start_daemon, stop_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
