// One attempt of one job as a process: prepared at its gate, released, watched, ended by the ladder, and reported once nothing of it is
// left. The launcher owns it and sweeps up the grandchildren. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/handle.h"
#include "engine/cancel_ladder.h"
#include "engine/cgroup.h"
#include "engine/config.h"
#include "engine/job.h"
#include "engine/job_output.h"
#include "engine/launcher.h"
#include "engine/loop.h"
#include "engine/progress_feed.h"
#include "engine/spawn.h"
#include "engine/store.h"
#include "ipc/latch.h"

namespace jobcast::engine {

class AttemptProcess {
 public:
  struct Surroundings {  // the launcher's, the same for all
    Loop& loop;
    LauncherObserver& observer;
    std::string logs_dir;
    int64_t progress_interval_ms;
    std::string cgroup_parent;  // "" for none
    bool use_pidfds;
    std::function<void(pid_t)> on_end;  // the main process is a zombie: finish() it once nothing else of it lives
  };

  [[nodiscard]] static Result<std::unique_ptr<AttemptProcess>> prepare(const Surroundings& around, const Job& job, const KindConfig& kind);
  ~AttemptProcess();  // kills what there is and reaps the main process
  AttemptProcess(const AttemptProcess&) = delete;
  AttemptProcess& operator=(const AttemptProcess&) = delete;

  void release();
  bool abandon();  // sends the child away from its gate; finish() then reports nothing. False: it was released
  void cancel();
  void poll_exit();  // where there are no pidfds: has the main process ended?

  [[nodiscard]] bool remove_cgroup();  // false: something in it still lives, and was killed again
  void finish();                       // nothing of it runs any more: reap, drain, report. Destroy it afterwards

  [[nodiscard]] const Attempt& attempt() const { return attempt_; }
  [[nodiscard]] bool has_pidfd() const { return static_cast<bool>(process_.pidfd); }
  [[nodiscard]] uint64_t log_dropped() const { return log_.dropped(); }
  [[nodiscard]] uint64_t progress_reports() const { return feed_ ? feed_->reports() : 0; }

 private:
  AttemptProcess(const Surroundings& around, const KindConfig& kind, WorkerLatch latch);
  [[nodiscard]] Result<void> spawn(const Job& job);
  void watch_exit();
  void kill_all();  // the main process, its group, its cgroup: only while the main process is not reaped and holds the number
  void make_feed();
  void on_stderr(std::string_view bytes);
  void on_stderr_line(std::string_view line);
  void act_on_rung();
  void wait_for_rung();
  [[nodiscard]] std::string read_result() const;

  const Surroundings& around_;
  KindConfig kind_;  // a copy: the config may be read again while the job runs
  Attempt attempt_;
  Spawned process_;
  Cgroup cgroup_;
  std::optional<uint64_t> oom_kills_before_;
  Fd result_;
  WorkerLatch latch_;
  std::unique_ptr<ProgressFeed> feed_;
  PercentFeed* percent_feed_ = nullptr;  // feed_, where it reads stderr
  CappedLog log_;
  OutputPipe stdout_, stderr_;
  LineSplitter stderr_lines_;
  std::string last_line_;
  CancelLadder ladder_;
  Loop::TimerId rung_timer_ = 0, timeout_timer_ = 0;
  bool released_ = false, abandoned_ = false, ended_ = false, reaped_ = false, oom_killed_ = false;
};

}  // namespace jobcast::engine
