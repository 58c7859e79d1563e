/* What a job process does with its latch; see jobcast/worker.h. The worker's own threads, as that header says.
 * docs/worker.md tells the same to programs without this library, docs/shared-memory.md why the stores stand in this order. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "jobcast/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jobcast/layout.h"

static struct {
  struct jobcast_latch* latch; /* NULL outside jobcastd */
  int fenced;                  /* the engine's membarrier(2) does not reach us: fence after each report */
  int doorbell;
  int result;
  uint32_t sequence;
  uint32_t newest[2]; /* our own copy of what the latch shows */
  char* args;
  size_t args_length;
  struct jobcast_text text;
} worker = {.doorbell = -1, .result = -1};

/* The descriptor that an environment variable names, closed on exec from now on; -1: none. */
static int fd_of(const char* name) {
  const char* text = getenv(name);
  if (!text || !*text) return -1;
  char* end;
  const long number = strtol(text, &end, 10);
  if (*end || number < 0 || number > 1 << 20 || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0) return -1;
  return (int)number;
}

static int read_args(int fd) {
  char* args = malloc(JOBCAST_ARGS_BYTES_MAX + 1);
  if (!args) return JOBCAST_INTERNAL;
  size_t length = 0;
  while (length < JOBCAST_ARGS_BYTES_MAX) {
    ssize_t got = pread(fd, args + length, JOBCAST_ARGS_BYTES_MAX - length, (off_t)length);
    if (got < 0 && errno == ESPIPE) got = read(fd, args + length, JOBCAST_ARGS_BYTES_MAX - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      free(args);
      return JOBCAST_CORRUPT;
    }
    if (got == 0) break;
    length += (size_t)got;
  }
  args[length] = '\0';
  worker.args = args;
  worker.args_length = length;
  return JOBCAST_OK;
}

int jobcast_worker_open(void) {
  if (worker.latch) return JOBCAST_OK;
  const int latch_fd = fd_of("JOBCAST_LATCH_FD");
  const int args_fd = fd_of("JOBCAST_ARGS_FD");
  if (latch_fd < 0 || args_fd < 0) return getenv("JOBCAST_LATCH_FD") ? JOBCAST_CORRUPT : JOBCAST_NOT_FOUND;
  struct stat status;
  if (fstat(latch_fd, &status) != 0 || status.st_size != JOBCAST_PAGE_BYTES) return JOBCAST_CORRUPT;
  struct jobcast_latch* latch = mmap(NULL, JOBCAST_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, latch_fd, 0);
  if (latch == MAP_FAILED) return JOBCAST_CORRUPT;
  if (latch->magic != JOBCAST_LATCH_MAGIC || latch->layout_version != JOBCAST_LAYOUT_VERSION || read_args(args_fd) != JOBCAST_OK) {
    munmap(latch, JOBCAST_PAGE_BYTES);
    return JOBCAST_CORRUPT;
  }
  worker.doorbell = fd_of("JOBCAST_DOORBELL_FD");
  worker.result = fd_of("JOBCAST_RESULT_FD");
  worker.fenced =
      !(latch->flags & JOBCAST_LATCH_MEMBARRIER) || syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) != 0;
  worker.latch = latch;
  return JOBCAST_OK;
}

static void ring(void) {
  const char byte = 1;
  while (send(worker.doorbell, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

/* After a store that the engine may be waiting for. */
static inline void wake_if_armed(struct jobcast_latch* latch) {
  if (worker.fenced)
    /* seq_cst fence, with the engine's between its store of `armed` and its look at the reports: one of us sees the other's store. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
  else
    /* The engine's membarrier(2) is that fence on both sides. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  if (__builtin_expect(__atomic_load_n(&latch->armed, __ATOMIC_RELAXED) != 0, 0) &&
      __atomic_exchange_n(&latch->armed, 0, __ATOMIC_ACQ_REL) != 0)
    ring();
}

void jobcast_progress(uint64_t done, uint64_t total) {
  struct jobcast_latch* latch = worker.latch;
  if (!latch) return;
  /* Simpson's four slots: the pair that the engine does not read, and in it the report that is not its newest one.
   * acquire: the engine's last reads of that pair came before it turned to the other one. */
  const uint32_t pair = 1u ^ (__atomic_load_n(&latch->reading, __ATOMIC_ACQUIRE) & 1u);
  const uint32_t which = 1u ^ worker.newest[pair];
  struct jobcast_report* report = &latch->report[pair][which];
  __atomic_store_n(&report->begin, ++worker.sequence, __ATOMIC_RELAXED);
  __atomic_thread_fence(__ATOMIC_RELEASE); /* whoever sees a number stored below sees this `begin` too */
  __atomic_store_n(&report->done_low, (uint32_t)done, __ATOMIC_RELAXED);
  __atomic_store_n(&report->done_high, (uint32_t)(done >> 32), __ATOMIC_RELAXED);
  __atomic_store_n(&report->total_low, (uint32_t)total, __ATOMIC_RELAXED);
  __atomic_store_n(&report->total_high, (uint32_t)(total >> 32), __ATOMIC_RELAXED);
  __atomic_store_n(&report->end, worker.sequence, __ATOMIC_RELEASE); /* release: the numbers are there */
  worker.newest[pair] = which;
  __atomic_store_n(&latch->newest[pair], which, __ATOMIC_RELEASE); /* release: the report is whole */
  __atomic_store_n(&latch->latest, pair, __ATOMIC_RELEASE);        /* release: so is what this pair's `newest` names */
  wake_if_armed(latch);
}

/* Copies at most `bytes_max` bytes, never a part of a UTF-8 character, and zeroes the rest. */
static void cut(char* to, size_t size, const char* text) {
  size_t length = text ? strnlen(text, size) : 0;
  if (length >= size) {
    length = size - 1;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) length--;
  }
  memset(to, 0, size);
  if (length) memcpy(to, text, length);
}

static void publish_text(void) {
  struct jobcast_latch* latch = worker.latch;
  const uint32_t next = __atomic_load_n(&latch->text_sequence, __ATOMIC_RELAXED) + 1;
  const uint32_t* from = (const uint32_t*)(const void*)&worker.text;
  uint32_t* to = (uint32_t*)(void*)&latch->text[next & 1];
  /* release fence: whoever sees a word stored below sees the sequence that left this copy, and reads again. */
  __atomic_thread_fence(__ATOMIC_RELEASE);
  for (size_t i = 0; i < sizeof worker.text / 4; i++) __atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
  __atomic_store_n(&latch->text_sequence, next, __ATOMIC_RELEASE); /* release: the copy is whole */
  wake_if_armed(latch);
}

void jobcast_phase(const char* phase) {
  if (!worker.latch) return;
  cut((char*)worker.text.phase, sizeof worker.text.phase, phase);
  publish_text();
}

void jobcast_message(const char* message) {
  if (!worker.latch) return;
  cut((char*)worker.text.message, sizeof worker.text.message, message);
  publish_text();
}

int jobcast_cancel_requested(void) {
  struct jobcast_latch* latch = worker.latch;
  if (!latch || __atomic_load_n(&latch->cancel, __ATOMIC_RELAXED) == 0) return 0;
  if (__atomic_exchange_n(&latch->cancel_seen, 1, __ATOMIC_ACQ_REL) == 0) ring(); /* the acknowledgement, once */
  return 1;
}

const char* jobcast_worker_args(size_t* length) {
  if (length) *length = worker.args_length;
  return worker.args;
}

int jobcast_worker_result(const char* json, size_t length) {
  if (!worker.latch || worker.result < 0) return JOBCAST_NOT_FOUND;
  if (length > JOBCAST_RESULT_BYTES_MAX) return JOBCAST_FULL;
  for (size_t written = 0; written < length;) {
    const ssize_t put = pwrite(worker.result, json + written, length - written, (off_t)written);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return JOBCAST_INTERNAL;
    written += (size_t)put;
  }
  /* The memory's size is sealed, so a longer result of before cannot be cut off: the text ends at the first zero byte. */
  const char end = '\0';
  if (length < JOBCAST_RESULT_BYTES_MAX && pwrite(worker.result, &end, 1, (off_t)length) != 1) return JOBCAST_INTERNAL;
  return JOBCAST_OK;
}

unsigned jobcast_worker_threads(void) {
  const char* text = getenv("JOBCAST_THREADS");
  const long given = text ? strtol(text, NULL, 10) : 0;
  if (given >= 1 && given <= 4096) return (unsigned)given;
  cpu_set_t usable;
  const int count = sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : 1;
  return count < 1 ? 1u : (unsigned)count;
}
