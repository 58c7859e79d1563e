// A job and its life: pure data and a table of transitions (DESIGN §3). No I/O; time is a parameter. Loop thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "ipc/region.h"

namespace jobcast::engine {

// Why a job is where it is. Kept apart from its state.
enum class Reason : uint8_t {
  none,
  exit,
  signal,
  timeout,
  stalled,
  oom,
  output_limit,
  spawn_error,
  worker_lost,
  expired,
  dependency_failed,
  user,
  stopped,  // the engine was told to stop while it ran, and its kind does not begin again after that
  rebooted  // the machine went down while it ran, without a stop of the engine: power loss, a crash, a reset
};
[[nodiscard]] const char* name(Reason reason);  // "exit", …; "" for none
[[nodiscard]] std::optional<Reason> parse_reason(std::string_view text);
[[nodiscard]] std::optional<JobState> parse_state(std::string_view text);

// What a worker said of its progress, and what the engine made of it. Unknown values are absent, never guessed.
struct Progress {
  std::optional<uint64_t> done, total;
  std::optional<double> percent;  // 0–100
  std::optional<double> rate;     // units of `done` a second
  std::optional<int64_t> eta_ms;
  std::string phase;    // ≤ 63 bytes
  std::string message;  // ≤ 255 bytes

  bool operator==(const Progress&) const = default;
};

struct CancelRequest {
  int64_t requested_ms = 0;
  std::string by;                          // the user who asked, or ""
  std::optional<int64_t> acknowledged_ms;  // the worker said that it saw it
};

constexpr size_t kErrorBytesMax = 512, kPhaseBytesMax = 63, kMessageBytesMax = 255;
constexpr size_t kArgsBytesMax = 64 << 10, kMetaBytesMax = 1 << 10, kResultBytesMax = 512 << 10;
// How deep args, meta and results nest: with all that a list wraps around them, a control line stays within its 32.
constexpr int kValueDepthMax = 24;

struct Job {
  JobId id;
  std::string kind, owner, queue;
  JobState state = JobState::queued;
  Reason reason = Reason::none;
  int priority = 0;  // -100 … 100, higher first
  uint64_t rev = 0;
  int attempt = 0;  // attempts begun
  int max_attempts = 1;
  int crashes = 0;          // attempts lost with their worker; 3 fail the job
  uint64_t fence = 0;       // of the newest attempt; a write with another fence changes nothing
  int64_t created_ms = 0;   // 0: not inserted yet
  int64_t run_at_ms = 0;    // scheduled and retrying: not before this
  int64_t due_mono_ms = 0;  // retrying: the end of the backoff in this engine's life, on the clock that nobody sets; not stored
  std::optional<int64_t> started_ms, finished_ms;
  Progress progress;
  std::optional<CancelRequest> cancel;
  std::optional<int> exit_code;  // or 128 + signal
  std::string error;             // ≤ 512 bytes
  std::string args_json = "{}";  // ≤ 64 KiB
  std::string meta_json = "{}";  // ≤ 1 KiB
  std::string result_json;       // ≤ 512 KiB, valid JSON; "" when there is none, or where it was left out (Store::list, load)
  size_t result_bytes = 0;       // its size, known also where the text was left out; 0: no result
  std::string unique_key, idempotency_key;
};

enum class On : uint8_t {
  insert,        // a submit without, or past, run_at; sets created_ms
  insert_later,  // a submit with a run_at in the future (Job::run_at_ms); sets created_ms
  due,           // run_at has come
  start,         // the scheduler hands it to a process: attempt+1, new fence, progress from nothing
  succeed,       // exit 0; also after a cancel was asked for
  fail,          // exit ≠ 0, signal, timeout, …: retrying while attempts are left, else failed; cancelled if that was asked for
  lose_worker,   // the process vanished without the engine seeing its end: like fail, and crashes+1, failed at 3
  cancel,        // asked for: waiting jobs are cancelled at once, a running one only notes it
  cancel_done,   // the process ended after a cancel
  expire,
  drain,  // a running job goes back, no attempt charged; cancelled if that was asked for
  stop,   // the engine stops, and the job's kind does not begin again after that: failed; cancelled if that was asked for
  boot,   // of a job that drain put back: the machine was started anew since, so that the attempt counts after all; failed at its last
  retry,  // by hand: of a failed or cancelled job, with at least one attempt granted; of a retrying one, at once
};

// The facts that an event brings along; which are read depends on the event.
struct Facts {
  Time now;
  Reason reason = Reason::none;
  std::optional<int> exit_code;
  std::string error;
  std::string result_json;
  int64_t retry_at_ms = 0;  // fail, lose_worker: when the next attempt may begin (backoff and jitter are the caller's)
  uint64_t fence =
      0;  // start: the new attempt's, above the job's last; succeed, fail, cancel_done, lose_worker, drain, stop: the attempt that speaks
  std::string by;  // cancel
};

constexpr int kCrashesMax = 3;

// Applies the event to the job or leaves it untouched. Errors: invalid (no such transition), retry (a stale fence).
// Does not touch `rev`: whoever publishes the change numbers it.
[[nodiscard]] Result<void> apply(Job& job, On event, const Facts& facts);

}  // namespace jobcast::engine
