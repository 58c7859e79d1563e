// Runs job processes and ends them: argv only, own session and group, cgroup where writable, capped log, timeout, cancel ladder,
// group kill, orphans of an earlier engine (FIELD §7). Loop thread, which must be one that lives as long as the process: the kernel kills
// the jobs when the thread that started them ends. The process becomes a child subreaper, and children of it that were not there before
// the launcher are taken for what a job left behind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/job.h"
#include "engine/loop.h"
#include "engine/store.h"

namespace jobcast::engine {

struct Outcome {
  Reason reason = Reason::exit;  // exit, signal, timeout, oom, output_limit, spawn_error
  std::optional<int> exit_code;  // 128 + signal for a signal
  bool success = false;          // exit 0 and, where given, a valid result
  std::string error;             // for people: the last line of stderr, or what went wrong; ≤ 512 bytes
  std::string result_json;       // "" when there is none
  bool lack = false;             // with spawn_error: the system lacked what a start takes, and the program never ran; start it again later
};

// Called on the loop thread, never from inside a call of Launcher's.
class LauncherObserver {
 public:
  virtual ~LauncherObserver() = default;
  virtual void on_progress(
      const JobId& job, uint64_t fence,
      const Progress& raw) = 0;  // done, total, phase, message; rate-limited to progress_interval_ms, leading edge at once
  virtual void on_cancel_acknowledged(const JobId& job, uint64_t fence) = 0;
  virtual void on_finished(const JobId& job, uint64_t fence, const Outcome& outcome) = 0;  // once per release(); all of its group is gone
  virtual void on_orphan_gone(const Attempt& attempt) = 0;                                 // once per attempt given to resolve_orphans()
};

struct LauncherOptions {  // both off: as where the kernel or a sandbox does not offer them
  bool use_cgroups = true;
  bool use_pidfds = true;  // and clone3
};

class Launcher {
 public:
  Launcher(Loop& loop, LauncherObserver& observer, std::string logs_dir, int64_t progress_interval_ms, LauncherOptions options = {});
  ~Launcher();  // kills what still runs

  // Forks a child that waits at a gate before its exec; nothing of the program has run yet. The proof must be committed first,
  // then release() opens the gate. An engine that dies in between leaves a child that reads EOF and exits. Errors: invalid (a member of
  // args that the kind puts into argv: this job can never start); internal (the system's: a later try may succeed). A program that cannot
  // be executed is reported after release(), as spawn_error.
  [[nodiscard]] Result<Attempt> prepare(const Job& job, const KindConfig& kind);
  void release(const JobId& job);
  void abandon(const JobId& job);  // after prepare(), instead of release(): the child goes without a trace, no on_finished

  // requested → TERM+CONT after cancel_ms, or grace_ms after the program acknowledged → KILL of the whole group after grace_ms. A kind
  // whose progress does not come from worker.h gets TERM at once. One that exits with 0 before TERM has succeeded, after it has not.
  void cancel(const JobId& job);
  // Ends what an earlier engine left behind, proven by boot id, start time and group or cgroup; reports each, at the latest after two
  // seconds.
  void resolve_orphans(std::vector<Attempt> attempts);

  [[nodiscard]] size_t running() const;                        // prepared ones included
  [[nodiscard]] std::string log_path(const JobId& job) const;  // each attempt begins it anew, when it is released
  [[nodiscard]] uint64_t log_dropped(const JobId& job) const;  // bytes that the caps cost, also at an earlier engine
  struct Stats {
    uint64_t progress_reports = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobcast::engine
