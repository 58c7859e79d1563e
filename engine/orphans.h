// Ends what an earlier engine's jobs left running, and only that: a process is killed when it is proven to be of that attempt.
//
//   proof: this boot, and started no earlier than the attempt's main process, and one of
//     - it is that very process: same pid, same start time;
//     - it is in the session of that very process, which lives;
//     - JOBCAST_JOB_ID in its environment names the job;
//   or it is in the control group that was made for that attempt alone.
//
// docs/decisions/ tells why these and no others. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/loop.h"
#include "engine/proc.h"
#include "engine/store.h"

namespace jobcast::engine {

class Orphans {
 public:
  Orphans(Loop& loop, std::function<void(const Attempt&)> on_gone) : loop_(loop), on_gone_(std::move(on_gone)) {}
  ~Orphans() { loop_.cancel(timer_); }
  Orphans(const Orphans&) = delete;
  Orphans& operator=(const Orphans&) = delete;

  void resolve(std::vector<Attempt> attempts);  // reports each later, once, within kWithinMs

  static constexpr int64_t kWithinMs = 2000;
  // The name of an attempt's control group below the engine's own; what is killed by group must be called so.
  static constexpr const char* kCgroupPrefix = "jobcast-";
  [[nodiscard]] static std::string cgroup_name(const JobId& job, uint64_t fence);

 private:
  struct Pending {
    Attempt attempt;
    int64_t deadline_ms = 0;
    bool elsewhere = false;  // of another boot, or no attempt at all: there is nothing to look for
    bool found = false;      // alive in this pass
    int clean_passes = 0;    // one is no proof: a process may have forked behind the reader's back
  };
  void part_of_pass();
  void examine(pid_t pid);
  [[nodiscard]] static bool proven(const Attempt& attempt, const ProcStat& stat, const std::optional<JobId>& mark);
  void end_of_pass();
  [[nodiscard]] static bool end_cgroup(const Attempt& attempt);

  Loop& loop_;
  std::function<void(const Attempt&)> on_gone_;
  std::vector<Pending> pending_;
  std::vector<pid_t> pids_;  // of the pass that is under way
  size_t at_ = 0;
  bool in_pass_ = false;
  Loop::TimerId timer_ = 0;
};

}  // namespace jobcast::engine
