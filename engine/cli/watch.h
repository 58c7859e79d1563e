// Watching jobs until their end: bars on a terminal, lines in a file, one snapshot a line with --json. Main thread.
#pragma once

#include <vector>

#include "base/id.h"
#include "engine/cli/command.h"

namespace jobcast::cli {

// Its option, shared by the commands that can watch.
inline constexpr Option kReconnectOption = {"reconnect", 0, "SECONDS", "how long to try to reach an engine that went away (60)"};

// Errors are said; the exit code tells how the jobs ended.
[[nodiscard]] Exit watch_jobs(const Invocation& invocation, const std::vector<JobId>& jobs);

}  // namespace jobcast::cli
