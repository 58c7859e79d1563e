// The job's state machine: the whole product of state × event × what else matters, held against the table of DESIGN §3 as it is
// written down here a second time; then what each event leaves in the job.
#include "engine/job.h"

#include <string>
#include <vector>

#include "tests/cmocka.h"

namespace {

using namespace jobcast::engine;
using jobcast::Errc;
using jobcast::JobState;
using enum jobcast::JobState;

constexpr JobState kUnborn = JobState{0}, kRefused = JobState{99};
constexpr JobState kStates[] = {kUnborn, scheduled, queued, running, retrying, completed, failed, cancelled};
constexpr On kEvents[] = {On::insert, On::insert_later, On::due,    On::start, On::succeed, On::fail, On::lose_worker,
                          On::cancel, On::cancel_done,  On::expire, On::drain, On::stop,    On::boot, On::retry};

Job job_in(JobState state) {
  Job job;
  job.id.bytes[15] = 1;
  if (state == kUnborn) return job;
  job.created_ms = 1000;
  job.state = state;
  job.attempt = 1;
  job.max_attempts = 2;
  job.fence = 7;
  return job;
}

Facts facts(uint64_t fence = 7) {
  Facts facts;
  facts.now.unix_ms = 5000;
  facts.fence = fence;
  return facts;
}

struct Circumstance {
  bool cancel_asked, attempts_left, third_crash, two_left;
};

// DESIGN §3, row by row and in its order.
JobState designed(JobState from, On event, Circumstance c) {
  // insert → scheduled, queued
  if (from == kUnborn) return event == On::insert ? queued : event == On::insert_later ? scheduled : kRefused;
  // scheduled, retrying → queued at run_at; cancelled. By hand a retrying job is due at once.
  if (from == scheduled || from == retrying) {
    if (event == On::due || (event == On::retry && from == retrying)) return queued;
    return event == On::cancel ? cancelled : kRefused;
  }
  // put back by a stop, and the machine was started anew since: the attempt counts after all (one was begun, two are allowed)
  if (from == queued && event == On::boot) return c.two_left ? queued : failed;
  // queued → running; cancelled; failed (expired)
  if (from == queued) return event == On::start ? running : event == On::cancel ? cancelled : event == On::expire ? failed : kRefused;
  if (from == running) {
    // running → completed (a job that completes first stays completed) …
    if (event == On::succeed) return completed;
    // … a cancel is a request, not a state …
    if (event == On::cancel) return running;
    // … however the process ended after it
    if (event == On::cancel_done) return c.cancel_asked ? cancelled : kRefused;
    if (event != On::fail && event != On::lose_worker && event != On::drain && event != On::stop) return kRefused;
    if (c.cancel_asked) return cancelled;
    // … queued (drain) …
    if (event == On::drain) return queued;
    // … failed (the engine stops, and the kind does not begin again)
    if (event == On::stop) return failed;
    // … retrying; failed; with the worker lost: failed at 3 crashes
    if (!c.attempts_left || (event == On::lose_worker && c.third_crash)) return failed;
    return retrying;
  }
  // terminal → queued (manual retry); what completed stays completed
  return event == On::retry && from != completed ? queued : kRefused;
}

void every_state_takes_every_event_as_designed(void**) {
  for (const JobState from : kStates)
    for (const On event : kEvents)
      for (unsigned bits = 0; bits < 16; ++bits) {
        const Circumstance c{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 10) == 10};
        Job job = job_in(from);
        if (c.cancel_asked) job.cancel = CancelRequest{2000, "alice", std::nullopt};
        if (!c.attempts_left) job.max_attempts = job.attempt;
        if (c.two_left) job.max_attempts = job.attempt + 2;
        if (c.third_crash) job.crashes = kCrashesMax - 1;
        const JobState expected = designed(from, event, c);
        const auto applied = apply(job, event, facts(event == On::start ? 8 : 7));
        if (applied.ok() != (expected != kRefused) || (applied.ok() && job.state != expected))
          fail_msg("state %d, event %d, circumstance %u: %s to %d, designed %d", static_cast<int>(from), static_cast<int>(event), bits,
                   applied.ok() ? "went" : "refused", static_cast<int>(job.state), static_cast<int>(expected));
        if (!applied.ok()) assert_int_equal(applied.error().code, Errc::invalid);
        assert_int_equal(job.finished_ms.has_value(), applied.ok() && jobcast::is_terminal(job.state));
      }
}

void a_refused_event_leaves_the_job_untouched(void**) {
  Job job = job_in(completed);
  job.result_json = "{}";
  job.finished_ms = 4000;
  assert_false(apply(job, On::fail, facts()).ok());
  assert_int_equal(job.state, completed);
  assert_int_equal(*job.finished_ms, 4000);
  assert_string_equal(job.result_json.c_str(), "{}");
}

void a_stale_attempt_changes_nothing(void**) {
  for (const On event : {On::succeed, On::fail, On::lose_worker, On::cancel_done, On::drain, On::stop})
    for (const uint64_t fence : {uint64_t{0}, uint64_t{6}, uint64_t{8}}) {
      Job job = job_in(running);
      job.cancel = CancelRequest{2000, "alice", std::nullopt};
      const auto applied = apply(job, event, facts(fence));
      assert_false(applied.ok());
      assert_int_equal(applied.error().code, Errc::retry);
      assert_int_equal(job.state, running);
      assert_int_equal(job.crashes, 0);
    }
}

void a_start_needs_a_fence_above_the_last(void**) {
  Job job = job_in(queued);
  assert_int_equal(apply(job, On::start, facts(7)).error().code, Errc::invalid);
  assert_int_equal(job.attempt, 1);
  assert_true(apply(job, On::start, facts(8)).ok());
  assert_int_equal(job.attempt, 2);
  assert_int_equal(job.fence, 8);
  assert_int_equal(*job.started_ms, 5000);
}

void a_new_attempt_begins_with_a_clean_slate(void**) {
  Job job = job_in(running);
  job.progress.done = 40;
  Facts end = facts();
  end.reason = Reason::exit;
  end.exit_code = 3;
  end.error = "no such board";
  end.retry_at_ms = 6000;
  assert_true(apply(job, On::fail, end).ok());
  assert_int_equal(job.run_at_ms, 6000);
  assert_int_equal(job.reason, Reason::exit);  // while it waits, it says why
  assert_int_equal(*job.exit_code, 3);
  assert_string_equal(job.error.c_str(), "no such board");
  assert_int_equal(*job.progress.done, 40);
  assert_true(apply(job, On::due, facts()).ok());
  assert_true(apply(job, On::start, facts(8)).ok());
  assert_int_equal(job.reason, Reason::none);
  assert_false(job.exit_code.has_value());
  assert_string_equal(job.error.c_str(), "");
  assert_false(job.progress.done.has_value());
}

void three_crashes_are_a_poison_pill(void**) {
  Job job = job_in(queued);
  job.attempt = 0;
  job.max_attempts = 25;
  uint64_t fence = 100;
  for (int crash = 1; crash <= kCrashesMax; ++crash) {
    assert_true(apply(job, On::start, facts(++fence)).ok());
    Facts lost = facts(fence);
    lost.reason = Reason::worker_lost;
    assert_true(apply(job, On::lose_worker, lost).ok());
    assert_int_equal(job.crashes, crash);
    if (crash == kCrashesMax) break;
    assert_int_equal(job.state, retrying);
    assert_true(apply(job, On::due, facts()).ok());
  }
  assert_int_equal(job.state, failed);
  assert_int_equal(job.reason, Reason::worker_lost);
}

void a_job_of_one_attempt_is_not_run_again_when_its_worker_is_lost(void**) {  // flashing is not idempotent
  Job job = job_in(running);
  job.max_attempts = 1;
  assert_true(apply(job, On::lose_worker, facts()).ok());
  assert_int_equal(job.state, failed);
}

void cancel_of_a_running_job_is_only_a_request(void**) {
  Job job = job_in(running);
  Facts asked = facts();
  asked.by = "alice";
  assert_true(apply(job, On::cancel, asked).ok());
  assert_int_equal(job.state, running);
  assert_int_equal(job.cancel->requested_ms, 5000);
  Facts again = asked;
  again.now.unix_ms = 6000;
  again.by = "bob";
  assert_true(apply(job, On::cancel, again).ok());
  assert_int_equal(job.cancel->requested_ms, 5000);  // the first request stands
  assert_string_equal(job.cancel->by.c_str(), "alice");
  Facts ended = facts();
  ended.reason = Reason::signal;
  ended.exit_code = 143;
  assert_true(apply(job, On::cancel_done, ended).ok());
  assert_int_equal(job.state, cancelled);
  assert_int_equal(job.reason, Reason::user);
  assert_int_equal(*job.exit_code, 143);
}

void a_job_that_completes_before_its_cancel_stays_completed(void**) {
  Job job = job_in(running);
  assert_true(apply(job, On::cancel, facts()).ok());
  Facts done = facts();
  done.exit_code = 0;
  done.result_json = "{\"boards\":1}";
  assert_true(apply(job, On::succeed, done).ok());
  assert_int_equal(job.state, completed);
  assert_false(apply(job, On::cancel_done, facts()).ok());
  assert_int_equal(job.state, completed);
  assert_int_equal(job.result_bytes, done.result_json.size());
  assert_true(*job.progress.percent == 100.0);
}

void a_drained_job_goes_back_without_a_charge(void**) {
  Job job = job_in(running);
  job.progress.done = 3;
  assert_true(apply(job, On::drain, facts()).ok());
  assert_int_equal(job.attempt, 0);
  assert_int_equal(job.fence, 7);  // whatever the drained process still says is stale as soon as another starts
  assert_false(job.progress.done.has_value());
  assert_false(job.started_ms.has_value());
}

void a_boot_since_charges_what_a_stop_put_back(void**) {
  Job job = job_in(running);
  assert_true(apply(job, On::drain, facts()).ok());
  assert_true(apply(job, On::boot, facts()).ok());
  assert_int_equal(job.attempt, 1);
  assert_int_equal(job.state, queued);
  assert_true(apply(job, On::start, facts(8)).ok());
  assert_int_equal(job.attempt, 2);
  assert_true(apply(job, On::drain, facts(8)).ok());
  Facts last = facts();
  last.reason = Reason::stopped;
  assert_true(apply(job, On::boot, last).ok());
  assert_int_equal(job.attempt, 2);
  assert_int_equal(job.state, failed);
  assert_int_equal(job.reason, Reason::stopped);
}

void retry_by_hand_grants_one_attempt_and_forgets_the_past(void**) {
  Job job = job_in(failed);
  job.attempt = job.max_attempts = 2;
  job.crashes = 3;
  job.error = "x";
  job.reason = Reason::worker_lost;
  job.cancel = CancelRequest{};
  assert_true(apply(job, On::retry, facts()).ok());
  assert_int_equal(job.max_attempts, 3);
  assert_int_equal(job.crashes, 0);
  assert_int_equal(job.reason, Reason::none);
  assert_false(job.cancel.has_value());
  assert_string_equal(job.error.c_str(), "");
}

void an_error_is_bounded_and_made_utf8(void**) {
  Job job = job_in(running);
  Facts end = facts();
  end.error = "\xff" + std::string(kErrorBytesMax - 4, 'a') + "\xc3\xbc";
  assert_true(apply(job, On::fail, end).ok());
  assert_string_equal(job.error.c_str(), ("\xEF\xBF\xBD" + std::string(kErrorBytesMax - 4, 'a')).c_str());
}

void names_survive_a_round_trip(void**) {
  for (int i = 0; i <= static_cast<int>(Reason::user); ++i) {
    const auto reason = static_cast<Reason>(i);
    assert_true(parse_reason(name(reason)) == reason);
  }
  for (const JobState state : kStates)
    if (state != kUnborn) assert_true(parse_state(name(state)) == state);
  assert_false(parse_reason("boredom").has_value());
  assert_false(parse_state("finished").has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_state_takes_every_event_as_designed),
      cmocka_unit_test(a_refused_event_leaves_the_job_untouched),
      cmocka_unit_test(a_stale_attempt_changes_nothing),
      cmocka_unit_test(a_start_needs_a_fence_above_the_last),
      cmocka_unit_test(a_new_attempt_begins_with_a_clean_slate),
      cmocka_unit_test(three_crashes_are_a_poison_pill),
      cmocka_unit_test(a_job_of_one_attempt_is_not_run_again_when_its_worker_is_lost),
      cmocka_unit_test(cancel_of_a_running_job_is_only_a_request),
      cmocka_unit_test(a_job_that_completes_before_its_cancel_stays_completed),
      cmocka_unit_test(a_drained_job_goes_back_without_a_charge),
      cmocka_unit_test(a_boot_since_charges_what_a_stop_put_back),
      cmocka_unit_test(retry_by_hand_grants_one_attempt_and_forgets_the_past),
      cmocka_unit_test(an_error_is_bounded_and_made_utf8),
      cmocka_unit_test(names_survive_a_round_trip),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
