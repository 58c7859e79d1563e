// Progress of real programs: the first news at once, at most one report an interval, always the latest.
#include "tests/engine/launcher_fixture.h"

namespace {

using namespace jobcast::engine;
using namespace jobcast::engine::test;

constexpr int64_t kIntervalMs = 100;

void assert_spaced(const std::vector<Recorder::Told>& told) {
  for (size_t i = 1; i + 1 < told.size(); ++i)  // the one before the end is told at once
    assert_true(told[i].mono_ns - told[i - 1].mono_ns >= kIntervalMs * 1'000'000);
}

void a_worker_in_a_tight_loop_is_told_once_an_interval_and_the_latest_wins(void**) {
  Engine engine({}, kIntervalMs);
  const Outcome outcome = engine.run(Engine::helper({"report", "450"}));
  const auto& told = engine.seen.progress[engine.last.id];
  assert_true(told.size() >= 3);
  assert_spaced(told);
  for (size_t i = 1; i < told.size(); ++i) assert_true(told[i].progress.done > told[i - 1].progress.done);
  const std::string last = "{\"done\":" + std::to_string(told.back().progress.done.value()) + "}";
  assert_string_equal(outcome.result_json.c_str(), last.c_str());  // the very last report, before the end was told
  assert_string_equal(told.back().progress.phase.c_str(), "counting");
  assert_false(told.back().progress.total.has_value());
  assert_true(engine.launcher->stats().progress_reports >= told.back().progress.done.value() / 2);
}

void the_first_report_is_told_at_once_and_a_later_lone_one_too(void**) {
  Engine engine({}, kBoundMs);  // nothing is told by a timer
  engine.start(engine.last = engine.job(), Engine::helper({"report", "0", engine.dir.path + "/ready"}));
  engine.until("the first report", [&] { return !engine.seen.progress[engine.last.id].empty(); });
  (void)engine.finish(engine.last);

  Engine idle({}, 20);
  const auto job = idle.job();
  idle.start(job, Engine::helper({"report-when-told", idle.dir.path + "/go"}));
  for (size_t i = 0; i < 3; ++i) {
    idle.until("the quiet after an interval", [&, until = jobcast::now().mono_ms() + 60] { return jobcast::now().mono_ms() > until; });
    assert_int_equal(idle.seen.progress[job.id].size(), i);
    std::ofstream(idle.dir.path + "/go") << "x";
    idle.until("the report", [&] { return idle.seen.progress[job.id].size() > i; });
    assert_int_equal(idle.seen.progress[job.id].back().progress.done.value(), i + 1);
  }
  idle.launcher->cancel(job.id);
  (void)idle.finish(job);
}

void percentages_on_stderr_are_progress_and_other_lines_are_not(void**) {
  Engine engine({}, kIntervalMs);
  KindConfig kind = Engine::shell("echo 5 >&2; echo 17 >&2; echo 'pv: odd' >&2; printf '101\\r42\\r' >&2; exit 1");
  kind.progress = ProgressSource::pv;
  const Outcome outcome = engine.run(kind);
  const auto& told = engine.seen.progress[engine.last.id];
  assert_true(!told.empty() && told.size() <= 2);
  assert_int_equal(told.back().progress.done.value(), 42);
  assert_int_equal(told.back().progress.total.value(), 100);
  assert_string_equal(outcome.error.c_str(), "101");
  assert_int_equal(engine.launcher->stats().progress_reports, 3);
}

void a_kind_without_progress_tells_none(void**) {
  Engine engine({}, 10);
  KindConfig kind = Engine::helper({"report", "50"});
  kind.progress = ProgressSource::none;
  assert_true(engine.run(kind).success);
  assert_true(engine.seen.progress.empty());
}

void a_worker_that_closed_its_doorbell_is_heard_at_its_end(void**) {
  Engine engine({}, 10);
  assert_true(engine.run(Engine::helper({"deaf-report", "5"})).success);
  assert_int_equal(engine.seen.progress[engine.last.id].back().progress.done.value(), 5);
}

void an_idle_worker_costs_no_turns(void**) {
  Engine engine({}, 10);
  const auto job = engine.job();
  engine.start(job, Engine::helper({"obey-cancel", engine.dir.path + "/ready"}));
  engine.wait_for_file("ready");
  const int64_t begin = jobcast::now().mono_ms();
  int turns = 0;
  while (jobcast::now().mono_ms() - begin < 300) {
    engine.loop.turn(300);
    ++turns;
  }
  assert_true(turns <= 3);  // the look after strays, once a second, and the end of the wait
  engine.launcher->cancel(job.id);
  (void)engine.finish(job);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_worker_in_a_tight_loop_is_told_once_an_interval_and_the_latest_wins),
      cmocka_unit_test(the_first_report_is_told_at_once_and_a_later_lone_one_too),
      cmocka_unit_test(percentages_on_stderr_are_progress_and_other_lines_are_not),
      cmocka_unit_test(a_kind_without_progress_tells_none),
      cmocka_unit_test(a_worker_that_closed_its_doorbell_is_heard_at_its_end),
      cmocka_unit_test(an_idle_worker_costs_no_turns),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
