// A job that says every 50 ms what time it is, so that whoever shows its message can be asked how old that is. Ends after "ms" of its args.
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jobcast/worker.h"

static uint64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int main(void) {
  if (jobcast_worker_open() != JOBCAST_OK) return 2;
  size_t length = 0;
  const char* args = jobcast_worker_args(&length);
  const char* ms = args ? strstr(args, "\"ms\":") : NULL;
  const uint64_t begin = wall_ms(), last = ms ? strtoull(ms + 5, NULL, 10) : 1000;
  const struct timespec pause = {0, 50000000};
  for (uint64_t now = begin; now - begin < last && !jobcast_cancel_requested(); now = wall_ms()) {
    char text[32];
    snprintf(text, sizeof text, "at %" PRIu64, now);
    jobcast_message(text);
    jobcast_progress(now - begin, last);
    nanosleep(&pause, NULL);
  }
  return 0;
}
