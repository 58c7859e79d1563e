// What the kernel says of processes: /proc and pidfds, read with care because processes come and go between two looks. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/handle.h"
#include "base/id.h"

namespace jobcast::engine {

struct ProcStat {
  pid_t pid = 0, parent = 0, group = 0, session = 0;
  char state = '?';
  bool exiting = false;      // it runs no instruction of its own any more, but may still hold files and locks; its environment is gone
  uint64_t start_ticks = 0;  // since boot; with the pid it names one process for ever
  [[nodiscard]] bool dead() const { return state == 'Z' || state == 'X' || state == 'x'; }
};

[[nodiscard]] std::optional<ProcStat> read_proc_stat(pid_t pid);

// The job that this process says it belongs to: JOBCAST_JOB_ID in its environment. nullopt: none, or not ours to read.
[[nodiscard]] std::optional<JobId> job_mark(pid_t pid);

[[nodiscard]] std::vector<pid_t> all_pids();
[[nodiscard]] std::vector<pid_t> own_children();  // of all our threads, zombies included

[[nodiscard]] const std::string& boot_id();

// None where the kernel or a sandbox has no pidfds, or the process is gone.
[[nodiscard]] Fd open_pidfd(pid_t pid);
// Through the pidfd where there is one (it cannot hit a later process of the same number), else by number.
void send_signal(const Fd& pidfd, pid_t pid, int signal);

}  // namespace jobcast::engine
