// What a kind's program is given: its argv, its environment, its limits. Pure but for the engine's own environment; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/job.h"
#include "engine/spawn.h"

namespace jobcast::engine {

// Where the program finds what jobcast/worker.h names.
enum ProgramFd : int { kArgsFd = 3, kResultFd, kLatchFd, kDoorbellFd };

// The kind's argv and behind it, each as one element however it looks, the members of args that the kind names: strings, numbers and
// booleans. Errors: invalid, with the member as field.
[[nodiscard]] Result<std::vector<std::string>> program_argv(const KindConfig& kind, const std::string& args_json);

// PYTHONUNBUFFERED=1, over it what the kind allows through from the engine's own environment, over it what the kind sets, over it
// JOBCAST_*.
[[nodiscard]] std::vector<std::string> program_environment(const KindConfig& kind, const Job& job);

[[nodiscard]] std::vector<SpawnPlan::Limit> program_limits(const KindConfig& kind);

}  // namespace jobcast::engine
