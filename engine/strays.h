// Processes that a job started and left behind. The engine is a child subreaper: whatever loses its parent below it becomes its child, so a
// job's whole tree is gone when none of the engine's children belongs to it. Which job a stray belongs to is told by its session or by
// JOBCAST_JOB_ID in its environment; one that hid both dies as soon as no running job is old enough to have started it. Loop thread.
//
// The process belongs to the engine: any child that was not there when this was made, and that is no attempt's, is a stray.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/id.h"
#include "engine/loop.h"
#include "engine/proc.h"

namespace jobcast::engine {

class Strays {
 public:
  // An ended attempt has no stray left; false: look again (its cgroup is not empty yet). `overdue`: something of it cannot be killed, stuck
  // in the kernel; it will run no further, so that the attempt ends all the same.
  using OnClear = std::function<bool(pid_t main, bool overdue)>;
  Strays(Loop& loop, OnClear on_clear);
  ~Strays() { loop_.cancel(timer_); }
  Strays(const Strays&) = delete;
  Strays& operator=(const Strays&) = delete;

  void add(pid_t main, const JobId& job, uint64_t start_ticks);
  void ended(pid_t main);  // what is left of it is killed now
  void end_all();          // of a launcher that goes: at most a second

 private:
  struct Attempt {
    JobId job;
    uint64_t start_ticks = 0;
    bool ended = false;
    uint64_t clear_after_look = 0;  // a look that began before the end proves nothing
    int64_t ended_ms = 0;
  };
  void schedule(int64_t delay_ms);
  void look();  // a part of a look: at most kPartMax children a turn
  [[nodiscard]] bool list_new_children();
  void examine(pid_t pid);
  void hold_back(const ProcStat& stat);
  void conclude();
  [[nodiscard]] std::map<pid_t, Attempt>::const_iterator owner_of(const ProcStat& stat) const;

  Loop& loop_;
  OnClear on_clear_;
  std::map<pid_t, Attempt> attempts_;  // by main process
  std::set<std::pair<pid_t, uint64_t>> not_ours_;
  // A look goes on until all children were examined and no further ones have come: those of a child that died meanwhile come to us.
  std::vector<pid_t> children_;
  std::set<pid_t> listed_;
  size_t at_ = 0;
  bool looking_ = false;
  uint64_t looks_ = 0;           // begun
  std::set<pid_t> with_strays_;  // attempts of which this look found something alive
  bool any_alive_ = false;
  int64_t pause_ms_ = 1;
  Loop::TimerId timer_ = 0;
};

}  // namespace jobcast::engine
