// Descriptors over a Unix socket: they arrive, and none is ever left behind.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "ipc/fd_channel.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;

std::pair<Fd, Fd> sockets() {
  int ends[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

int open_descriptors() {
  DIR* dir = opendir("/proc/self/fd");
  int count = 0;
  while (readdir(dir)) ++count;
  closedir(dir);
  return count;
}

void bytes_and_descriptors_arrive_together(void**) {
  auto [a, b] = sockets();
  Fd one(memfd_create("one", 0)), two(memfd_create("two", 0));
  const int fds[] = {one.get(), two.get()};
  assert_int_equal(*send_with_fds(a.get(), "hello", fds), 5);
  assert_int_equal(*send_with_fds(a.get(), "again"), 5);
  char buffer[64];
  auto first = receive_with_fds(b.get(), buffer);
  assert_int_equal(first->fd_count, 2);
  assert_int_equal(fcntl(first->fds[0].get(), F_GETFD), FD_CLOEXEC);
  assert_memory_equal(buffer, "hello", 5);
  if (first->bytes == 5) assert_int_equal(receive_with_fds(b.get(), buffer)->fd_count, 0);
}

void nothing_yet_end_of_file_and_a_broken_pipe_are_told_apart(void**) {
  auto [a, b] = sockets();
  char buffer[8];
  assert_true(receive_with_fds(b.get(), buffer).error().code == Errc::retry);
  a.reset();
  assert_true(receive_with_fds(b.get(), buffer).error().code == Errc::closed);
  assert_true(send_with_fds(b.get(), "x").error().code == Errc::closed);
}

void too_many_descriptors_are_refused_and_none_leaks(void**) {
  auto [a, b] = sockets();
  const int before = open_descriptors();
  // Past our own sender, which would not do it.
  int fds[7] = {0, 0, 0, 0, 0, 0, 0};
  char byte = 'x';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fds)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof fds);
  memcpy(CMSG_DATA(head), fds, sizeof fds);
  assert_int_equal(sendmsg(a.get(), &message, 0), 1);
  char buffer[8];
  assert_true(receive_with_fds(b.get(), buffer).error().code == Errc::corrupt);
  assert_int_equal(open_descriptors(), before);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(bytes_and_descriptors_arrive_together),
      cmocka_unit_test(nothing_yet_end_of_file_and_a_broken_pipe_are_told_apart),
      cmocka_unit_test(too_many_descriptors_are_refused_and_none_leaks),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
