// How much of a push connection may wait in the kernel. Service thread only.
//
// Left alone, Linux takes megabytes for a client that does not read: minutes of snapshots that are old by the time it wakes, and memory
// that no limit of ours counts. With this bound a socket is writable only while little is unsent, so what waits stays in the session, as
// marks, and becomes the newest state when it is written.
#pragma once

#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace jobcast::plugin {

// Linux calls the socket writable below half of it, so one write of 16 KiB always fits.
constexpr int kUnsentBytesMax = 32 << 10;

// Without effect on a Unix socket, whose queue is short by itself.
inline void keep_kernel_queue_short(lws* wsi) {
  const int bytes = kUnsentBytesMax;
  (void)setsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
}

}  // namespace jobcast::plugin
