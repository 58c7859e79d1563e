// Names one process for ever: its pid together with the moment it started. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace jobcast {

// Clock ticks since boot, field 22 of /proc/PID/stat. nullopt: no such process, or no /proc.
[[nodiscard]] std::optional<uint64_t> process_start_ticks(pid_t pid);

}  // namespace jobcast
