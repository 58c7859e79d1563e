// Starts a program behind a gate: the child does everything but its exec, then waits to be let through. Loop thread, which must be the
// thread that lives as long as the engine: the kernel kills the child when the *thread* that made it ends (PR_SET_PDEATHSIG).
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast::engine {

struct SpawnPlan {
  struct Limit {
    int resource;  // RLIMIT_…
    rlim_t value;  // lowered to what the engine itself may have
  };
  std::vector<std::string> argv;         // argv[0] absolute; no shell, no PATH
  std::vector<std::string> environment;  // "NAME=value", all there is
  std::string working_dir;
  std::vector<int> descriptors;  // become 0, 1, 2, …; all others are closed
  std::vector<Limit> limits;
  int cgroup = -1;         // directory that the child is born into
  bool use_clone3 = true;  // false: as on kernels and in sandboxes without it
};

struct Spawned {
  pid_t pid = 0;  // leads its own session and process group
  Fd pidfd;       // none where the kernel has no pidfds
  Fd gate;        // a byte opens it; closing it sends the child away
  bool in_cgroup = false;
};

// Errors: internal.
[[nodiscard]] Result<Spawned> spawn_at_gate(const SpawnPlan& plan);

void open_gate(const Fd& gate);

// Returns true if `error` says that the system has too little of something at this moment: processes, memory, descriptors, disk. The
// same call may succeed later, so that it is no fault of the job for which it was made.
[[nodiscard]] bool is_lack(int error);

struct SpawnFault {
  std::string text;   // names the program or the directory, and errno
  bool lack = false;  // see is_lack(): another start may succeed
};

// Says why the program could not be started, once its process has ended; nullopt when it was started.
[[nodiscard]] std::optional<SpawnFault> spawn_fault(const Fd& gate);

}  // namespace jobcast::engine
