#include "lws-plugin/kernel_queue.h"

#include <linux/tcp.h>  // glibc's own tcp_info ends before what is read here
#include <netinet/in.h>
#include <sys/socket.h>

namespace jobcast::plugin {
namespace {

// Linux calls the socket writable below half of it, so one write of 16 KiB always fits.
constexpr int kUnsentBytesMax = 32 << 10;

}  // namespace

void keep_kernel_queue_short(int fd) { (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytesMax, sizeof kUnsentBytesMax); }

uint64_t kernel_received(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_bytes_received : 0;
}

}  // namespace jobcast::plugin
