// See doorbell.h. Any thread.
#include "ipc/doorbell.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace jobcast {
namespace {

constexpr int kClearsMax = 64;  // what is left after them rings again

}  // namespace

Result<std::pair<Fd, Fd>> doorbell_pair() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return {Errc::internal, std::string("doorbell: socketpair: ") + strerror(errno)};
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

void ring_doorbell(int fd) {
  const char byte = 1;
  while (send(fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

bool clear_doorbell(int fd) {
  for (int i = 0; i < kClearsMax; ++i) {
    char byte[8];
    const auto got = recv(fd, byte, sizeof byte, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0 && errno != EINTR) return errno == EAGAIN || errno == EWOULDBLOCK;
  }
  return true;
}

}  // namespace jobcast
