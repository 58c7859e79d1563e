// See fd_channel.h. Any thread.
#include "ipc/fd_channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/invariant.h"

namespace jobcast {
namespace {

constexpr size_t kControlBytes = CMSG_SPACE(kFdsMax * sizeof(int));

Error failed(const char* what) {
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {Errc::retry, "the socket is not ready", {}};
  if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN) return {Errc::closed, "the other side is gone", {}};
  return {Errc::internal, std::string(what) + ": " + strerror(errno), {}};
}

}  // namespace

Result<size_t> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds) {
  invariant(!bytes.empty() && fds.size() <= kFdsMax);
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[kControlBytes] = {};
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size_bytes());
    memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
  }
  for (;;) {
    const auto sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno != EINTR) return failed("sendmsg");
  }
}

Result<Received> receive_with_fds(int socket, std::span<char> buffer) {
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[kControlBytes] = {};
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = 0;
  do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got < 0) return failed("recvmsg");

  // Own every descriptor before anything else is decided.
  Received received;
  received.bytes = static_cast<size_t>(got);
  for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      invariant(received.fd_count < kFdsMax);
      received.fds[received.fd_count++].reset(fd);
    }
  }
  if (message.msg_flags & MSG_CTRUNC) return {Errc::corrupt, "more than " + std::to_string(kFdsMax) + " descriptors at once"};
  if (got == 0) return {Errc::closed, "the other side is gone"};
  return received;
}

}  // namespace jobcast
