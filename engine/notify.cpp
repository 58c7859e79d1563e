// One datagram to NOTIFY_SOCKET.
#include "engine/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/handle.h"

namespace jobcast::engine {

void notify_manager(std::string_view state) {
  const char* const path = getenv("NOTIFY_SOCKET");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = path ? strlen(path) : 0;
  if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) return;
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  (void)sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

std::optional<int64_t> watchdog_ms() {
  const char* const within_us = getenv("WATCHDOG_USEC");
  const char* const whose = getenv("WATCHDOG_PID");
  if (!within_us || (whose && strtoll(whose, nullptr, 10) != getpid())) return std::nullopt;
  const long long us = strtoll(within_us, nullptr, 10);
  if (us <= 0) return std::nullopt;
  return std::max<int64_t>(us / 1000, 1);
}

}  // namespace jobcast::engine
