// What the launcher's tests run as a job: each argument list is one behaviour, some of them hostile.
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "jobcast/layout.h"
#include "jobcast/worker.h"

namespace {

using Clock = std::chrono::steady_clock;

int number(const char* name) { return std::atoi(std::getenv(name)); }

// Tells the test that a point is reached: whole or not at all.
void write_file(const std::string& path, const std::string& text) {
  const std::string part = path + ".part";
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || write(fd, text.data(), text.size()) < 0 || rename(part.c_str(), path.c_str()) != 0) _exit(99);
  close(fd);
}

int list_descriptors() {
  DIR* dir = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(dir)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != dirfd(dir)) std::printf("%d ", fd);
  }
  closedir(dir);
  return 0;
}

// As many reports as fit into `ms`, each one more; the result tells how many, and what the last one was.
int report_for(int ms, const char* ready) {
  const auto end = Clock::now() + std::chrono::milliseconds(ms);
  uint64_t done = 0;
  jobcast_phase("counting");
  do jobcast_progress(++done, 0);
  while (Clock::now() < end);
  const std::string result = "{\"done\":" + std::to_string(done) + "}";
  if (*ready) write_file(ready, "x");
  return jobcast_worker_result(result.data(), result.size()) == JOBCAST_OK ? 0 : 1;
}

// One more report each time the file appears; it is taken away.
int report_when_told(const char* file) {
  for (uint64_t done = 1;; ++done) {
    while (unlink(file) != 0) usleep(1000);
    jobcast_progress(done, 0);
  }
}

// What a worker may say one after the other, each once the next file is there.
int report_in_steps(const std::string& file) {
  const auto step = [&file](int number) {
    while (access((file + std::to_string(number)).c_str(), F_OK) != 0) usleep(1000);
  };
  jobcast_phase("write");
  jobcast_message("block 600");
  jobcast_progress(1, 1);
  jobcast_progress(600, 1000);
  step(1);
  jobcast_message(nullptr);
  jobcast_progress(601, 0);
  step(2);
  jobcast_phase("verify");
  jobcast_progress(3, 1000);
  step(3);
  jobcast_phase(nullptr);
  jobcast_progress(4, 1000);
  step(4);
  return 0;
}

int report_without_doorbell(uint64_t count) {
  close(number("JOBCAST_DOORBELL_FD"));
  usleep(50'000);  // time for the engine to notice; the outcome does not depend on it
  for (uint64_t done = 1; done <= count; ++done) jobcast_progress(done, 0);
  return 0;
}

int obey_cancel(const char* ready) {
  write_file(ready, "x");
  while (!jobcast_cancel_requested()) usleep(1000);
  return 3;
}

// A grandchild in a session of its own; `hidden` takes the mark out of its environment too.
int leave_grandchild(const char* file, bool hidden, bool stay) {
  if (fork() == 0) {
    setsid();
    signal(SIGTERM, SIG_IGN);
    char* const argv[] = {const_cast<char*>("/bin/sh"), const_cast<char*>("-c"),
                          const_cast<char*>("echo $$ > \"$0.part\"; mv \"$0.part\" \"$0\"; while :; do sleep 1000; done"),
                          const_cast<char*>(file), nullptr};
    char* const nothing[] = {nullptr};
    execve(argv[0], argv, hidden ? nothing : environ);
    _exit(98);
  }
  while (access(file, F_OK) != 0) usleep(1000);
  while (stay) pause();
  return 0;
}

// Lives on when the engine dies, with a child in its session that carries no mark.
int survive(const char* file) {
  prctl(PR_SET_PDEATHSIG, 0);
  const pid_t child = fork();
  if (child == 0) {
    char* const argv[] = {const_cast<char*>("/bin/sleep"), const_cast<char*>("1000"), nullptr};
    char* const nothing[] = {nullptr};
    execve(argv[0], argv, nothing);
    _exit(98);
  }
  const std::string command = "/proc/" + std::to_string(child) + "/cmdline";
  for (char start[16] = {}; std::strncmp(start, "/bin/sleep", 10) != 0;) {  // its exec is done
    const int fd = open(command.c_str(), O_RDONLY);
    (void)!read(fd, start, sizeof start);
    close(fd);
  }
  write_file(file, std::to_string(child));
  for (;;) pause();
}

int many_grandchildren(int count) {
  for (int i = 0; i < count; ++i)
    if (fork() == 0) {
      setsid();
      if (fork() != 0) _exit(0);  // its child is the engine's from here on
      for (;;) pause();
    }
  return 0;
}

// Everything that a worker can do to the page and the doorbell.
int scribble(int ms) {
  const int latch_fd = number("JOBCAST_LATCH_FD"), bell = number("JOBCAST_DOORBELL_FD");
  auto* page = static_cast<unsigned char*>(mmap(nullptr, JOBCAST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, latch_fd, 0));
  if (page == MAP_FAILED || ftruncate(latch_fd, 0) == 0) return 9;
  const auto end = Clock::now() + std::chrono::milliseconds(ms);
  unsigned seed = 1;
  while (Clock::now() < end) {
    for (int i = 0; i < 64; ++i) {
      seed = seed * 1664525 + 1013904223;
      reinterpret_cast<volatile unsigned*>(page)[(seed >> 8) % (JOBCAST_PAGE_BYTES / 4)] = seed;
    }
    (void)send(bell, &seed, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  return 0;
}

int flood(long megabytes) {
  static char block[65536];
  std::memset(block, 'x', sizeof block);
  for (size_t i = 79; i < sizeof block; i += 80) block[i] = '\n';
  for (long i = 0; i < megabytes * 16; ++i)
    if (write(1, block, sizeof block) < 0) return 1;
  return 0;
}

int write_result_beyond_its_room() {
  static char block[65536];
  std::memset(block, '1', sizeof block);
  const int fd = number("JOBCAST_RESULT_FD");
  for (int i = 0; i < 8; ++i)
    if (write(fd, block, sizeof block) != sizeof block) return 1;
  if (write(fd, block, 1) >= 0 || ftruncate(fd, 1 << 20) == 0 || ftruncate(fd, 0) == 0) return 2;
  return 0;
}

int try_args() {
  size_t length = 0;
  const char* args = jobcast_worker_args(&length);
  const int fd = number("JOBCAST_ARGS_FD");
  if (pwrite(fd, "x", 1, 0) >= 0 || ftruncate(fd, 0) == 0 || lseek(fd, 0, SEEK_CUR) != 0) return 2;
  return jobcast_worker_result(args, length) == JOBCAST_OK ? 0 : 1;
}

int show_privileges() {
  char line[256];
  FILE* status = std::fopen("/proc/self/status", "r");
  while (std::fgets(line, sizeof line, status))
    if (!std::strncmp(line, "SigBlk", 6) || !std::strncmp(line, "SigIgn", 6) || !std::strncmp(line, "NoNewPrivs", 10))
      std::fputs(line, stdout);
  std::fclose(status);
  int death = 0;
  prctl(PR_GET_PDEATHSIG, &death);
  char target[64] = {};
  (void)!readlink("/proc/self/fd/0", target, sizeof target - 1);
  std::printf("death %d\nsession %d\ngroup %d\nstdin %s\n", death, getsid(0) == getpid(), getpgrp() == getpid(), target);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const char* first = argc > 2 ? argv[2] : "";
  const char* second = argc > 3 ? argv[3] : "";
  if (what == "descriptors") return list_descriptors();
  if (what == "privileges") return show_privileges();
  if (what == "scribble") return scribble(std::atoi(first));
  if (what == "flood") return flood(std::atol(first));
  if (what == "grandchild") return leave_grandchild(first, false, false);
  if (what == "grandchild-and-stay") return leave_grandchild(first, false, true);
  if (what == "hidden-grandchild") return leave_grandchild(first, true, false);
  if (what == "survivor") return survive(first);
  if (what == "many-grandchildren") return many_grandchildren(std::atoi(first));
  if (what == "large-result") return write_result_beyond_its_room();
  if (jobcast_worker_open() != JOBCAST_OK) return 97;
  if (what == "report") return report_for(std::atoi(first), second);
  if (what == "report-in-steps") return report_in_steps(first);
  if (what == "report-when-told") return report_when_told(first);
  if (what == "deaf-report") return report_without_doorbell(std::strtoull(first, nullptr, 10));
  if (what == "obey-cancel") return obey_cancel(first);
  if (what == "args") return try_args();
  return 96;
}
