// The engine's place on disk and its place in the file system's names: state directory with lock, control socket file. Start of main.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast::engine {

// Makes `path` (0700) and `path`/logs where they are missing, and locks the directory for this process as long as the Fd lives.
// A POSIX record lock: it goes with its process alone, whatever children still hold. Errors: full (another engine has it; named by
// pid), invalid, internal.
[[nodiscard]] Result<Fd> claim_state_dir(const std::string& path);

// Listens on `path`, a file of that mode, owned by `group` where given and possible. A file that a dead engine left is replaced; one on
// which somebody answers, or that is no socket, is not. Errors: full (somebody listens there), invalid (the path), internal.
[[nodiscard]] Result<Fd> listen_on(const std::string& path, std::optional<gid_t> group, mode_t mode);

}  // namespace jobcast::engine
