// ioctl and getsockopt, as far as the kernel answers.
#include "lws-plugin/kernel_queue.h"

#include <linux/tcp.h>  // glibc's own tcp_info ends before what is read here
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

namespace jobcast::plugin {
namespace {

// Linux calls the socket writable below half of it, so one write of 16 KiB always fits.
constexpr int kUnsentBytesMax = 32 << 10;

}  // namespace

void keep_kernel_queue_short(int fd) { (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof kUnsentBytesMax); }

uint64_t bytes_read(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  int unread = 0;
  if (ioctl(fd, FIONREAD, &unread) != 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return 0;
  return info.tcpi_bytes_received - std::min<uint64_t>(info.tcpi_bytes_received, static_cast<uint64_t>(unread));
}

}  // namespace jobcast::plugin
