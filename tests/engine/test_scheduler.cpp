// Who starts next, who waits and why.
#include "engine/scheduler.h"

#include <vector>

#include "tests/cmocka.h"

namespace {

using namespace jobcast::engine;
using jobcast::JobId;
using jobcast::JobState;

Scheduler make(int concurrency = 1) {
  return Scheduler({{"default", QueueConfig{"default", concurrency, 100}}, {"other", QueueConfig{"other", 1, 100}}});
}

Job job(uint8_t number, JobState state = JobState::queued, int priority = 0, const char* queue = "default") {
  Job out;
  out.id.bytes[15] = number;
  out.state = state;
  out.priority = priority;
  out.queue = queue;
  return out;
}

int number(const std::optional<JobId>& id) { return id ? id->bytes[15] : 0; }

void higher_priority_starts_first_and_the_older_among_equals(void**) {
  Scheduler scheduler = make(10);
  scheduler.note(job(3));
  scheduler.note(job(2));
  scheduler.note(job(9, JobState::queued, 5));
  scheduler.note(job(1, JobState::queued, -5));
  std::vector<int> order;
  while (const auto next = scheduler.next_to_start()) {
    order.push_back(number(next));
    assert_int_equal(number(scheduler.next_to_start()), number(next));           // it stays the next one …
    scheduler.note(job(static_cast<uint8_t>(number(next)), JobState::running));  // … until it runs
  }
  assert_true((order == std::vector{9, 2, 3, 1}));
}

void a_full_queue_starts_nothing_until_a_job_ends(void**) {
  Scheduler scheduler = make(1);
  scheduler.note(job(1, JobState::running));
  scheduler.note(job(2));
  assert_int_equal(number(scheduler.next_to_start()), 0);
  scheduler.note(job(1, JobState::completed));
  assert_int_equal(number(scheduler.next_to_start()), 2);
}

void a_full_queue_does_not_hold_up_another(void**) {
  Scheduler scheduler = make(1);
  scheduler.note(job(1, JobState::running));
  scheduler.note(job(2, JobState::queued, 100));
  scheduler.note(job(3, JobState::queued, 0, "other"));
  assert_int_equal(number(scheduler.next_to_start()), 3);
}

void the_front_is_that_of_every_queue(void**) {
  Scheduler scheduler = make(1);
  for (uint8_t n = 4; n >= 2; --n) scheduler.note(job(n));
  scheduler.note(job(5, JobState::queued, 0, "other"));
  scheduler.note(job(6, JobState::retrying, 0, "other"));
  std::vector<int> front;
  for (const JobId& id : scheduler.front(2)) front.push_back(number(id));
  assert_true((front == std::vector{2, 3, 5}));
}

void a_paused_queue_starts_nothing(void**) {
  Scheduler scheduler = make(1);
  scheduler.note(job(1));
  scheduler.set_paused("default", true);
  assert_int_equal(number(scheduler.next_to_start()), 0);
  assert_string_equal(scheduler.why_waiting(job(1).id)->why.c_str(), "paused");
  scheduler.set_paused("default", false);
  assert_int_equal(number(scheduler.next_to_start()), 1);
}

void a_job_of_a_queue_that_left_the_config_still_runs(void**) {
  Scheduler scheduler = make(1);
  scheduler.note(job(1, JobState::queued, 0, "gone"));
  assert_int_equal(number(scheduler.next_to_start()), 1);
}

void timed_jobs_are_due_in_order_of_their_time(void**) {
  Scheduler scheduler = make();
  const auto at = [](int64_t unix_ms) { return jobcast::Time{0, unix_ms}; };
  Job later = job(1, JobState::scheduled), sooner = job(2, JobState::scheduled);
  later.run_at_ms = 3000;
  sooner.run_at_ms = 2000;
  scheduler.note(later);
  scheduler.note(sooner);
  assert_true(scheduler.next_due().unix_ms == 2000);
  assert_int_equal(scheduler.due(at(1999), 10).size(), 0);
  assert_int_equal(scheduler.due(at(2000), 10).size(), 1);
  assert_int_equal(number(scheduler.due(at(5000), 1).front()), 2);
  assert_int_equal(scheduler.due(at(5000), 10).size(), 2);
  scheduler.note(job(2));
  assert_true(scheduler.next_due().unix_ms == 3000);
  scheduler.note(job(1, JobState::cancelled));
  assert_true(scheduler.next_due() == Scheduler::Due{});
}

void a_backoff_does_not_follow_the_wall_clock(void**) {
  Scheduler scheduler = make();
  Job retrying = job(1, JobState::retrying);
  retrying.run_at_ms = 10'000'300;
  retrying.due_mono_ms = 5'300;
  scheduler.note(retrying);
  constexpr int64_t kHourMs = 3'600'000, kMs = 1'000'000;
  assert_true(scheduler.next_due().mono_ms == 5'300);
  assert_int_equal(scheduler.due({5'299 * kMs, 10'000'000 + kHourMs}, 10).size(), 0);
  assert_int_equal(scheduler.due({5'300 * kMs, 10'000'000 - kHourMs}, 10).size(), 1);
}

void a_waiting_job_knows_why_and_its_place(void**) {
  Scheduler scheduler = make(2);
  scheduler.note(job(1, JobState::running));
  for (uint8_t i = 2; i <= 4; ++i) scheduler.note(job(i));
  scheduler.note(job(5, JobState::scheduled));
  scheduler.note(job(6, JobState::retrying));
  assert_false(scheduler.why_waiting(job(1).id).has_value());
  assert_false(scheduler.why_waiting(job(2).id).has_value());  // a place is free: it is about to start
  assert_string_equal(scheduler.why_waiting(job(3).id)->why.c_str(), "queue_full");
  assert_int_equal(*scheduler.why_waiting(job(3).id)->position, 2);
  assert_int_equal(*scheduler.why_waiting(job(4).id)->position, 3);
  assert_string_equal(scheduler.why_waiting(job(5).id)->why.c_str(), "run_at");
  assert_string_equal(scheduler.why_waiting(job(6).id)->why.c_str(), "backoff");
  assert_false(scheduler.why_waiting(job(7).id).has_value());
}

void a_place_beyond_a_thousand_is_not_counted_out(void**) {
  Scheduler scheduler = make(1);
  Job each = job(0);
  for (unsigned i = 0; i < 1500; ++i) {
    each.id.bytes[14] = static_cast<uint8_t>(i >> 8);
    each.id.bytes[15] = static_cast<uint8_t>(i);
    scheduler.note(each);
    if (i == 999) assert_int_equal(*scheduler.why_waiting(each.id)->position, 1000);
    if (i == 1000) assert_false(scheduler.why_waiting(each.id)->position.has_value());
  }
}

void counts_follow_every_change(void**) {
  Scheduler scheduler = make(4);
  const JobState walk[] = {JobState::scheduled, JobState::queued, JobState::running,
                           JobState::retrying,  JobState::queued, JobState::running};
  for (const JobState state : walk) {
    scheduler.note(job(1, state));
    scheduler.note(job(1, state));  // telling twice changes nothing
    const auto counts = scheduler.counts().front();
    assert_int_equal(counts.scheduled, state == JobState::scheduled);
    assert_int_equal(counts.queued, state == JobState::queued);
    assert_int_equal(counts.running, state == JobState::running);
    assert_int_equal(counts.retrying, state == JobState::retrying);
  }
  scheduler.note(job(1, JobState::completed));
  const auto counts = scheduler.counts().front();
  assert_int_equal(counts.scheduled + counts.queued + counts.running + counts.retrying, 0);
}

void backoff_grows_to_its_cap_with_jitter_around_it(void**) {
  KindConfig kind;
  kind.retry_initial_ms = 1000;
  kind.retry_max_ms = 60'000;
  kind.retry_multiplier = 2;
  kind.retry_jitter = 0.2;
  assert_int_equal(backoff_ms(kind, 1, 0.5), 1000);
  assert_int_equal(backoff_ms(kind, 2, 0.5), 2000);
  assert_int_equal(backoff_ms(kind, 4, 0.5), 8000);
  assert_int_equal(backoff_ms(kind, 4, 0.0), 6400);
  assert_int_equal(backoff_ms(kind, 7, 0.5), 60'000);
  assert_int_equal(backoff_ms(kind, 100'000, 0.5), 60'000);
  assert_true(backoff_ms(kind, 100'000, 0.999) < 72'000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(higher_priority_starts_first_and_the_older_among_equals),
      cmocka_unit_test(a_full_queue_starts_nothing_until_a_job_ends),
      cmocka_unit_test(a_full_queue_does_not_hold_up_another),
      cmocka_unit_test(the_front_is_that_of_every_queue),
      cmocka_unit_test(a_paused_queue_starts_nothing),
      cmocka_unit_test(a_job_of_a_queue_that_left_the_config_still_runs),
      cmocka_unit_test(timed_jobs_are_due_in_order_of_their_time),
      cmocka_unit_test(a_backoff_does_not_follow_the_wall_clock),
      cmocka_unit_test(a_waiting_job_knows_why_and_its_place),
      cmocka_unit_test(a_place_beyond_a_thousand_is_not_counted_out),
      cmocka_unit_test(counts_follow_every_change),
      cmocka_unit_test(backoff_grows_to_its_cap_with_jitter_around_it),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
