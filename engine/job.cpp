// The table of state and event, and nothing beside it.
#include "engine/job.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace jobcast::engine {
namespace {

// Before its insert a job has no state.
constexpr JobState kNone = JobState{0};

// What else must hold for a row. Rows of the same state and event are tried from the top.
enum class If : uint8_t { always, cancel_asked, may_fail_again, may_crash_again, may_be_charged };

struct Transition {
  JobState from;
  On event;
  If when;
  JobState to;
};

using enum JobState;
constexpr std::array kTransitions{
    Transition{kNone, On::insert, If::always, queued},
    Transition{kNone, On::insert_later, If::always, scheduled},

    Transition{scheduled, On::due, If::always, queued},
    Transition{scheduled, On::cancel, If::always, cancelled},

    Transition{queued, On::start, If::always, running},
    Transition{queued, On::cancel, If::always, cancelled},
    Transition{queued, On::expire, If::always, failed},
    Transition{queued, On::boot, If::may_be_charged, queued},
    Transition{queued, On::boot, If::always, failed},

    Transition{running, On::succeed, If::always, completed},
    Transition{running, On::fail, If::cancel_asked, cancelled},
    Transition{running, On::fail, If::may_fail_again, retrying},
    Transition{running, On::fail, If::always, failed},
    Transition{running, On::lose_worker, If::cancel_asked, cancelled},
    Transition{running, On::lose_worker, If::may_crash_again, retrying},
    Transition{running, On::lose_worker, If::always, failed},
    Transition{running, On::cancel, If::always, running},
    Transition{running, On::cancel_done, If::cancel_asked, cancelled},
    Transition{running, On::drain, If::cancel_asked, cancelled},
    Transition{running, On::drain, If::always, queued},
    Transition{running, On::stop, If::cancel_asked, cancelled},
    Transition{running, On::stop, If::always, failed},

    Transition{retrying, On::due, If::always, queued},
    Transition{retrying, On::retry, If::always, queued},
    Transition{retrying, On::cancel, If::always, cancelled},

    Transition{failed, On::retry, If::always, queued},
    Transition{cancelled, On::retry, If::always, queued},
};

constexpr std::array<const char*, 14> kReasons{
    "",     "exit",    "signal",  "timeout", "stalled", "oom", "output_limit", "spawn_error", "worker_lost", "expired", "dependency_failed",
    "user", "stopped", "rebooted"};

constexpr std::array<const char*, 14> kEvents{"insert", "insert_later", "due",    "start", "succeed", "fail", "lose_worker",
                                              "cancel", "cancel_done",  "expire", "drain", "stop",    "boot", "retry"};

const char* name(On event) { return kEvents[static_cast<size_t>(event)]; }

bool holds(If condition, const Job& job) {
  switch (condition) {
    case If::always: return true;
    case If::cancel_asked: return job.cancel.has_value();
    case If::may_fail_again: return job.attempt < job.max_attempts;
    case If::may_crash_again: return job.attempt < job.max_attempts && job.crashes + 1 < kCrashesMax;
    case If::may_be_charged: return job.attempt + 1 < job.max_attempts;
  }
  return false;
}

bool speaks_for_an_attempt(On event) {
  return event == On::succeed || event == On::fail || event == On::lose_worker || event == On::cancel_done || event == On::drain ||
         event == On::stop;
}

void note_end_of_attempt(Job& job, const Facts& facts) {
  job.progress.rate.reset();
  job.progress.eta_ms.reset();
  job.exit_code = facts.exit_code;
  job.error = to_utf8(facts.error, kErrorBytesMax);
}

void forget_outcome(Job& job) {
  job.reason = Reason::none;
  job.exit_code.reset();
  job.error.clear();
  job.progress = {};
}

void start(Job& job, const Facts& facts) {
  forget_outcome(job);
  ++job.attempt;
  job.fence = facts.fence;
  job.started_ms = facts.now.unix_ms;
}

void succeed(Job& job, const Facts& facts) {
  note_end_of_attempt(job, facts);
  job.reason = Reason::none;
  job.progress.percent = 100.0;
  job.result_json = facts.result_json;
  job.result_bytes = facts.result_json.size();
}

// The attempt ended without success; `to` says what becomes of the job.
void fail(Job& job, const Facts& facts, JobState to) {
  note_end_of_attempt(job, facts);
  job.reason = to == cancelled ? Reason::user : facts.reason;
  if (to != retrying) return;
  job.run_at_ms = facts.retry_at_ms;
  job.due_mono_ms = facts.now.mono_ms() + facts.retry_at_ms - facts.now.unix_ms;
}

void drain(Job& job, JobState to) {
  forget_outcome(job);
  if (to == cancelled) {
    job.reason = Reason::user;
  } else {
    --job.attempt;
    job.started_ms.reset();
  }
}

// The attempt that drain took back is charged.
void boot(Job& job, const Facts& facts, JobState to) {
  ++job.attempt;
  if (to != failed) return;
  job.reason = facts.reason;
  job.error = to_utf8(facts.error, kErrorBytesMax);
}

void cancel(Job& job, const Facts& facts, JobState to) {
  if (!job.cancel) job.cancel = CancelRequest{facts.now.unix_ms, facts.by, std::nullopt};
  if (to == cancelled) job.reason = Reason::user;
}

void retry(Job& job) {
  if (!is_terminal(job.state)) return;  // it only becomes due early
  forget_outcome(job);
  job.started_ms.reset();
  job.cancel.reset();
  job.crashes = 0;
  job.max_attempts = std::max(job.max_attempts, job.attempt + 1);
}

}  // namespace

const char* name(Reason reason) { return kReasons[static_cast<size_t>(reason)]; }

std::optional<Reason> parse_reason(std::string_view text) {
  const auto found = std::find(kReasons.begin(), kReasons.end(), text);
  if (found == kReasons.end()) return std::nullopt;
  return static_cast<Reason>(found - kReasons.begin());
}

std::optional<JobState> parse_state(std::string_view text) {
  for (const JobState state : {scheduled, queued, running, retrying, completed, failed, cancelled})
    if (text == name(state)) return state;
  return std::nullopt;
}

Result<void> apply(Job& job, On event, const Facts& facts) {
  const JobState from = job.created_ms == 0 ? kNone : job.state;
  const auto row = std::find_if(kTransitions.begin(), kTransitions.end(),
                                [&](const Transition& t) { return t.from == from && t.event == event && holds(t.when, job); });
  if (row == kTransitions.end())
    return {Errc::invalid, std::string("a job that is ") + (from == kNone ? "new" : name(from)) + " cannot " + name(event)};
  if (speaks_for_an_attempt(event) && facts.fence != job.fence)
    return {Errc::retry, "attempt " + std::to_string(facts.fence) + " is over: attempt " + std::to_string(job.fence) + " has the job"};
  if (event == On::start && facts.fence <= job.fence)
    return {Errc::invalid, "a new attempt's fence must be above " + std::to_string(job.fence)};

  switch (event) {
    case On::insert:
    case On::insert_later: job.created_ms = facts.now.unix_ms; break;
    case On::due: break;
    case On::expire: job.reason = Reason::expired; break;
    case On::start: start(job, facts); break;
    case On::succeed: succeed(job, facts); break;
    case On::lose_worker: ++job.crashes; [[fallthrough]];
    case On::fail:
    case On::stop:
    case On::cancel_done: fail(job, facts, row->to); break;
    case On::boot: boot(job, facts, row->to); break;
    case On::drain: drain(job, row->to); break;
    case On::cancel: cancel(job, facts, row->to); break;
    case On::retry: retry(job); break;
  }
  job.state = row->to;
  job.finished_ms = is_terminal(job.state) ? std::optional(facts.now.unix_ms) : std::nullopt;
  return {};
}

}  // namespace jobcast::engine
