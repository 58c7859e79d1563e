// A program that is started with closed descriptors, blocked signals and children that nobody waits for.
#include "base/surroundings.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>

#include "tests/cmocka.h"

namespace {

int in_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = -1;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void no_socket_becomes_standard_output(void**) {
  assert_int_equal(in_child([] {
                     for (int fd = 0; fd <= 2; ++fd) close(fd);
                     jobcast::settle_surroundings();
                     if (socket(AF_UNIX, SOCK_STREAM, 0) <= 2) return 1;
                     char byte = 0;
                     if (write(1, "x", 1) != -1 || errno != EBADF || write(2, "x", 1) != -1) return 2;
                     return read(0, &byte, 1) == -1 && errno == EBADF ? 0 : 3;
                   }),
                   0);
}

void open_descriptors_are_left_alone(void**) {
  assert_int_equal(in_child([] {
                     int ends[2];
                     if (pipe(ends) != 0 || dup2(ends[1], 1) != 1) return 1;
                     close(2);
                     jobcast::settle_surroundings();
                     return write(1, "x", 1) == 1 && fcntl(2, F_GETFD) >= 0 ? 0 : 2;
                   }),
                   0);
}

void inherited_signals_and_umask_do_no_harm(void**) {
  assert_int_equal(in_child([] {
                     sigset_t all, now;
                     sigfillset(&all);
                     sigprocmask(SIG_SETMASK, &all, nullptr);
                     signal(SIGCHLD, SIG_IGN);
                     umask(0777);
                     jobcast::settle_surroundings();
                     sigprocmask(SIG_SETMASK, nullptr, &now);
                     if (sigismember(&now, SIGTERM) != 0) return 1;
                     if (umask(0) != 0077) return 2;
                     return in_child([] { return 7; }) == 7 ? 0 : 3;
                   }),
                   0);
}

void a_limit_on_the_size_of_files_fails_the_write_and_ends_nobody(void**) {
  assert_int_equal(in_child([] {
                     jobcast::settle_surroundings();
                     const rlimit none{};
                     if (setrlimit(RLIMIT_FSIZE, &none) != 0) return 1;
                     return write(open("/tmp", O_WRONLY | O_TMPFILE, 0600), "x", 1) == -1 && errno == EFBIG ? 0 : 2;
                   }),
                   0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(no_socket_becomes_standard_output),
      cmocka_unit_test(open_descriptors_are_left_alone),
      cmocka_unit_test(inherited_signals_and_umask_do_no_harm),
      cmocka_unit_test(a_limit_on_the_size_of_files_fails_the_write_and_ends_nobody),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
