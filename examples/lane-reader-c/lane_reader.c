/* Prints what a running engine publishes, one line a change: `rev state job_id snapshot`. Plain C11 with nothing but jobcast/ring.h.
 *
 *   cc -std=c11 -Iinclude examples/lane-reader-c/lane_reader.c -o lane-reader
 *   ./lane-reader /run/jobcast/engine.sock [COUNT]       COUNT: end after so many lines
 *
 * First comes the newest state of every job, then each change as it happens. It sleeps while nothing does, costs the engine nothing while
 * it is awake, and ends with status 0 when the engine does. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "jobcast/ring.h"

static const char* const state_names[] = {"", "scheduled", "queued", "running", "retrying", "completed", "failed", "cancelled"};

static long lines_left = -1; /* -1: no end */

static _Noreturn void fail(const char* what) {
  fprintf(stderr, "lane-reader: %s\n", what);
  exit(1);
}

static int attach(const char* path, int fds[3]) {
  const int engine = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) fail("the socket's path is too long");
  strcpy(address.sun_path, path);
  if (engine < 0 || connect(engine, (const struct sockaddr*)&address, sizeof address) != 0) fail("no engine listens there");
  static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"attach\"}\n";
  if (send(engine, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1)) fail("the engine hung up");

  char answer[4096];
  union {
    char bytes[CMSG_SPACE(3 * sizeof(int))];
    struct cmsghdr aligned;
  } control;
  struct iovec part = {answer, sizeof answer - 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  const ssize_t received = recvmsg(engine, &message, MSG_CMSG_CLOEXEC);
  if (received <= 0) fail("the engine hung up");
  answer[received] = 0;
  const struct cmsghdr* head = CMSG_FIRSTHDR(&message);
  if (!head || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(3 * sizeof(int))) {
    fprintf(stderr, "lane-reader: the engine refused to attach us: %s", answer);
    exit(1);
  }
  memcpy(fds, CMSG_DATA(head), 3 * sizeof(int));
  return engine; /* the attachment ends with this connection */
}

static void print(const struct jobcast_event* event) {
  printf("%llu %s ", (unsigned long long)event->rev, state_names[event->state]);
  for (int i = 0; i < 16; i++) printf(i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", event->job_id[i]);
  printf(" %.*s\n", (int)event->snapshot_bytes, event->snapshot);
  fflush(stdout);
  if (lines_left == 1) exit(0);
  if (lines_left > 1) lines_left--;
}

static void read_all_slots(struct jobcast_lane* lane, void* buffer) {
  struct jobcast_event event;
  jobcast_lane_resync(lane);
  for (uint32_t slot = 0; slot < lane->slots; slot++)
    if (jobcast_slot_read(lane, slot, buffer, &event) == JOBCAST_LANE_RECORD) print(&event);
}

int main(int argc, char** argv) {
  for (int fd = 0; fd <= 2; fd++) /* so that the engine's socket never becomes standard output */
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != fd) return 1;
  if (argc < 2) fail("usage: lane-reader SOCKET [COUNT]");
  if (argc > 2) lines_left = strtol(argv[2], NULL, 10);
  int fds[3];
  attach(argv[1], fds);

  struct stat status;
  if (fstat(fds[0], &status) != 0) fail("fstat");
  void* map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fds[0], 0);
  struct jobcast_reader_block* block = mmap(NULL, JOBCAST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
  if (map == MAP_FAILED || block == MAP_FAILED) fail("mmap");
  struct jobcast_lane lane;
  const int opened = jobcast_lane_open(&lane, map, (size_t)status.st_size);
  if (opened == JOBCAST_INVALID) fail("the engine has another layout version: build this program anew");
  if (opened != JOBCAST_OK) fail("this is no region of jobcast");

  static uint64_t buffer[4096]; /* 64-bit for the alignment */
  read_all_slots(&lane, buffer);
  for (;;) {
    uint32_t filled;
    switch (jobcast_lane_read(&lane, buffer, sizeof buffer, 16, &filled)) {
      case JOBCAST_LANE_RECORD:
        for (uint32_t at = 0; at < filled;) {
          struct jobcast_event event;
          const uint32_t bytes = jobcast_record_decode((const char*)buffer + at, filled - at, lane.slots, &event);
          if (bytes == 0) fail("the region is damaged");
          print(&event);
          at += bytes;
        }
        break;
      case JOBCAST_LANE_EMPTY:
        if (jobcast_lane_arm(&lane, block)) {
          struct pollfd bell = {.fd = fds[2], .events = POLLIN};
          char byte;
          if (poll(&bell, 1, -1) < 0) fail("poll");
          /* End of file: the engine is gone. What it still published is read before we go. */
          if (recv(fds[2], &byte, 1, MSG_DONTWAIT) == 0 && __atomic_load_n(&lane.region->tail, __ATOMIC_ACQUIRE) == lane.position) return 0;
        }
        break;
      case JOBCAST_LANE_LAPPED: read_all_slots(&lane, buffer); break;
      case JOBCAST_LANE_CORRUPT: fail("the region is damaged");
    }
  }
}
