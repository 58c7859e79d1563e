// A push connection's bytes in the kernel: how many may wait there, how many were read. Service thread only.
#pragma once

#include <cstdint>

namespace jobcast::plugin {

// Left alone, Linux takes megabytes for a client that does not read: minutes of snapshots that are old by the time it wakes, and memory
// that no limit of ours counts. With this bound a socket is writable only while little is unsent, so what waits stays in the session, as
// marks, and becomes the newest state when it is written. Without effect on a Unix socket, whose queue is short by itself.
void keep_kernel_queue_short(int fd);

// Bytes that were read from this connection so far; 0 for a Unix socket, which does not say.
[[nodiscard]] uint64_t bytes_read(int fd);

}  // namespace jobcast::plugin
