// How jobs are ended: timeout, cancel ladder, groups, grandchildren, hostile programs. Real programs, with and without control groups.
#include <fcntl.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "engine/cgroup.h"
#include "tests/engine/launcher_fixture.h"

namespace {

using namespace jobcast::engine;
using namespace jobcast::engine::test;

constexpr LauncherOptions kAll[] = {LauncherOptions{}, {true, false}, kPlain};  // all, a kernel without clone3 and pidfds, nothing

void a_timeout_ends_the_job_with_its_reason(void**) {
  for (const auto& options : kAll) {
    Engine engine(options);
    KindConfig kind = Engine::program({"/bin/sleep", "1000"});
    kind.timeout_ms = 50;
    const Outcome outcome = engine.run(kind);
    assert_int_equal(outcome.reason, Reason::timeout);
    assert_false(outcome.success);
    assert_int_equal(outcome.exit_code.value(), 128 + SIGTERM);
  }
}

void who_ignores_term_is_killed_after_the_grace(void**) {
  Engine engine;
  KindConfig kind = Engine::shell("trap '' TERM; echo x > " + engine.dir.path + "/ready; while :; do sleep 1000; done");
  kind.progress = ProgressSource::none;
  const auto job = engine.job();
  engine.start(job, kind);
  engine.wait_for_file("ready");
  const int64_t asked = jobcast::now().mono_ms();
  engine.launcher->cancel(job.id);
  const Outcome outcome = engine.finish(job);
  assert_true(jobcast::now().mono_ms() - asked >= kind.grace_ms);
  assert_int_equal(outcome.reason, Reason::signal);
  assert_int_equal(outcome.exit_code.value(), 128 + SIGKILL);
}

void a_stopped_program_still_hears_term(void**) {
  Engine engine;
  KindConfig kind =
      Engine::shell("trap 'exit 9' TERM; echo x > " + engine.dir.path + "/ready; kill -STOP $$; while :; do sleep 0.01; done");
  kind.progress = ProgressSource::none;
  kind.grace_ms = kBoundMs;
  const auto job = engine.job();
  const auto attempt = engine.start(job, kind);
  engine.wait_for_file("ready");
  engine.until("the stop", [&] { return read_proc_stat(static_cast<pid_t>(attempt.pid))->state == 'T'; });
  engine.launcher->cancel(job.id);
  assert_int_equal(engine.finish(job).exit_code.value(), 9);
}

void a_worker_that_asks_acknowledges_the_cancel_and_stops_by_itself(void**) {
  Engine engine;
  KindConfig kind = Engine::helper({"obey-cancel", engine.dir.path + "/ready"});
  kind.cancel_ms = kind.grace_ms = kBoundMs;
  const auto job = engine.job();
  engine.start(job, kind);
  engine.wait_for_file("ready");
  assert_int_equal(engine.seen.acknowledged[job.id], 0);
  engine.launcher->cancel(job.id);
  engine.launcher->cancel(job.id);  // twice is no error
  const Outcome outcome = engine.finish(job);
  assert_int_equal(engine.seen.acknowledged[job.id], 1);
  assert_int_equal(outcome.exit_code.value(), 3);
  assert_false(outcome.success);
}

void a_worker_that_does_not_ask_gets_term_after_cancel_ms(void**) {
  Engine engine;
  const auto job = engine.job();
  engine.start(job, Engine::program({"/bin/sleep", "1000"}));
  const int64_t asked = jobcast::now().mono_ms();
  engine.launcher->cancel(job.id);
  const Outcome outcome = engine.finish(job);
  assert_true(jobcast::now().mono_ms() - asked >= 290);
  assert_int_equal(outcome.exit_code.value(), 128 + SIGTERM);
  assert_int_equal(engine.seen.acknowledged[job.id], 0);
}

void a_job_cancelled_at_its_gate_ends_by_the_ladder(void**) {
  Engine engine;
  const auto job = engine.job();
  KindConfig kind = Engine::program({"/bin/sleep", "1000"});
  kind.progress = ProgressSource::none;
  kind.grace_ms = kBoundMs;
  assert_true(engine.launcher->prepare(job, kind).ok());
  engine.launcher->cancel(job.id);
  engine.launcher->release(job.id);
  assert_int_equal(engine.finish(job).exit_code.value(), 128 + SIGTERM);
}

void grandchildren_do_not_outlive_their_job(void**) {
  for (const auto& options : kAll)
    for (const char* how : {"grandchild", "hidden-grandchild"}) {
      Engine engine(options);
      const auto job = engine.job();
      const auto attempt = engine.start(job, Engine::helper({how, engine.dir.path + "/pid"}));
      assert_true(engine.finish(job).success);
      const auto pid = static_cast<pid_t>(std::stol(contents(engine.dir.path + "/pid")));
      // One that hid its mark cannot be told from another job's without a control group: it is gone once no job runs.
      if (how[0] == 'h' && attempt.cgroup.empty()) engine.until("the hidden one's end", [&] { return !alive(pid); });
      assert_false(alive(pid));
    }
}

void the_rest_of_the_group_goes_with_the_main_process(void**) {
  Engine engine(kPlain);
  const auto job = engine.job();
  engine.start(job, Engine::shell("(trap '' TERM HUP; while :; do sleep 1000; done) & echo $! > " + engine.dir.path + "/pid"));
  assert_true(engine.finish(job).success);
  assert_false(alive(static_cast<pid_t>(std::stol(contents(engine.dir.path + "/pid")))));
}

void a_cancel_ends_grandchildren_in_other_sessions_too(void**) {
  for (const auto& options : kAll) {
    Engine engine(options);
    KindConfig kind = Engine::helper({"grandchild-and-stay", engine.dir.path + "/pid"});
    kind.progress = ProgressSource::none;
    const auto job = engine.job();
    engine.start(job, kind);
    const auto pid = static_cast<pid_t>(std::stol(engine.wait_for_file("pid")));
    assert_true(alive(pid));
    engine.launcher->cancel(job.id);
    assert_int_equal(engine.finish(job).exit_code.value(), 128 + SIGTERM);
    assert_false(alive(pid));
  }
}

void one_jobs_end_leaves_another_jobs_strays_alone(void**) {
  Engine engine(kPlain);
  const auto longer = engine.job(), shorter = engine.job();
  engine.start(longer, Engine::helper({"grandchild-and-stay", engine.dir.path + "/pid"}));
  const auto pid = static_cast<pid_t>(std::stol(engine.wait_for_file("pid")));
  engine.start(shorter, Engine::helper({"many-grandchildren", "3"}));
  assert_true(engine.finish(shorter).success);
  assert_true(alive(pid));
  engine.launcher->cancel(longer.id);
  (void)engine.finish(longer);
  assert_false(alive(pid));
}

void three_hundred_grandchildren_in_sessions_of_their_own_are_swept_up(void**) {
  for (const auto& options : kAll) {
    Engine engine(options);
    assert_true(engine.run(Engine::helper({"many-grandchildren", "300"})).success);
    for (const pid_t child : own_children()) assert_false(alive(child));
  }
}

void adopted_zombies_of_a_running_job_are_reaped(void**) {
  Engine engine;
  const auto job = engine.job();
  engine.start(job,
               Engine::shell("for i in 1 2 3 4 5; do (setsid true &) ; done; echo x > " + engine.dir.path + "/ready; exec sleep 1000"));
  engine.wait_for_file("ready");
  engine.until("the reaping", [&] { return own_children().size() == 1; });
  engine.launcher->cancel(job.id);
  (void)engine.finish(job);
}

void who_holds_the_pipes_open_cannot_delay_the_end(void**) {
  // A process that is none of the job's any more keeps the write end: it got it through /proc, before the job began to end.
  Engine engine;
  const auto job = engine.job();
  const auto attempt = engine.start(job, Engine::shell("echo said; echo x > " + engine.dir.path + "/ready; exec sleep 1000"));
  engine.wait_for_file("ready");
  const jobcast::Fd held(open(("/proc/" + std::to_string(attempt.pid) + "/fd/1").c_str(), O_WRONLY | O_CLOEXEC));
  assert_true(static_cast<bool>(held));
  engine.launcher->cancel(job.id);
  (void)engine.finish(job);
  assert_string_equal(contents(engine.launcher->log_path(job.id)).c_str(), "said\n");
}

void output_is_drained_to_the_end(void**) {
  Engine engine;
  KindConfig kind = Engine::shell("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo last >&2; exit 1");
  for (int i = 0; i < 5; ++i) {
    const Outcome outcome = engine.run(kind);
    assert_string_equal(outcome.error.c_str(), "last");
    assert_non_null(std::strstr(engine.log().c_str(), "line 499\n"));
  }
}

void a_program_may_close_all_that_it_was_given(void**) {
  Engine engine;
  const auto job = engine.job();
  const auto attempt = engine.start(
      job, Engine::shell("exec 0<&- 1>&- 2>&- 3<&- 4>&- 5>&- 6>&-; until [ -e " + engine.dir.path + "/go ]; do sleep 0.01; done; exit 4"));
  engine.until("its silence", [&, fds = "/proc/" + std::to_string(attempt.pid) + "/fd"] { return std::filesystem::is_empty(fds); });
  engine.loop.turn(0);
  std::ofstream(engine.dir.path + "/go") << "x";
  assert_int_equal(engine.finish(job).exit_code.value(), 4);
}

void a_scribbling_flooding_worker_disturbs_nobody(void**) {
  Engine engine({}, 20);
  const auto hostile = engine.job();
  const auto noisy = engine.job();
  engine.start(hostile, Engine::helper({"scribble", "400"}));
  engine.start(noisy, Engine::helper({"flood", "100000"}));
  int64_t longest_ns = 0;
  engine.until("the scribbler's end", [&] {
    const int64_t before = jobcast::now().mono_ns;
    engine.loop.turn(0);
    longest_ns = std::max(longest_ns, jobcast::now().mono_ns - before);
    return !engine.seen.finished[hostile.id].empty();
  });
  assert_true(engine.finish(hostile).success);
  assert_true(engine.seen.progress[hostile.id].size() <= 400 / 20 + 3);
  assert_true(longest_ns < 500'000'000);  // no turn is unbounded; generous, for a busy machine
  engine.launcher->cancel(noisy.id);
  (void)engine.finish(noisy);
  assert_true(engine.launcher->log_dropped(noisy.id) > 0);
}

void no_control_group_and_no_process_is_left(void**) {
  Engine engine;
  const auto job = engine.job();
  const auto attempt = engine.start(job, Engine::shell("exit 0"));
  if (attempt.cgroup.empty()) skip();
  (void)engine.finish(job);
  assert_int_equal(access(attempt.cgroup.c_str(), F_OK), -1);
}

void a_launcher_that_goes_kills_what_runs(void**) {
  for (const auto& options : kAll) {
    Engine engine(options);
    const auto one = engine.start(engine.job(), Engine::program({"/bin/sleep", "1000"}));
    const auto two = engine.launcher->prepare(engine.job(), Engine::program({"/bin/sleep", "1000"}));
    engine.start(engine.job(), Engine::helper({"grandchild-and-stay", engine.dir.path + "/pid"}));
    const auto grandchild = static_cast<pid_t>(std::stol(engine.wait_for_file("pid")));
    engine.launcher.reset();
    for (const pid_t pid : {static_cast<pid_t>(one.pid), static_cast<pid_t>(two->pid), grandchild}) assert_false(alive(pid));
    if (!one.cgroup.empty()) assert_int_equal(access(one.cgroup.c_str(), F_OK), -1);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_timeout_ends_the_job_with_its_reason),
      cmocka_unit_test(who_ignores_term_is_killed_after_the_grace),
      cmocka_unit_test(a_stopped_program_still_hears_term),
      cmocka_unit_test(a_worker_that_asks_acknowledges_the_cancel_and_stops_by_itself),
      cmocka_unit_test(a_worker_that_does_not_ask_gets_term_after_cancel_ms),
      cmocka_unit_test(a_job_cancelled_at_its_gate_ends_by_the_ladder),
      cmocka_unit_test(grandchildren_do_not_outlive_their_job),
      cmocka_unit_test(the_rest_of_the_group_goes_with_the_main_process),
      cmocka_unit_test(a_cancel_ends_grandchildren_in_other_sessions_too),
      cmocka_unit_test(one_jobs_end_leaves_another_jobs_strays_alone),
      cmocka_unit_test(three_hundred_grandchildren_in_sessions_of_their_own_are_swept_up),
      cmocka_unit_test(adopted_zombies_of_a_running_job_are_reaped),
      cmocka_unit_test(who_holds_the_pipes_open_cannot_delay_the_end),
      cmocka_unit_test(output_is_drained_to_the_end),
      cmocka_unit_test(a_program_may_close_all_that_it_was_given),
      cmocka_unit_test(a_scribbling_flooding_worker_disturbs_nobody),
      cmocka_unit_test(no_control_group_and_no_process_is_left),
      cmocka_unit_test(a_launcher_that_goes_kills_what_runs),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
