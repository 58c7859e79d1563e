// A job that does what a test says, so that the tests of the plugin decide what the real engine has to tell and when. It reads lines from
// a FIFO, which it makes where it is started and names after its job.
//
//   progress N         N of 100 are done
//   flood N            N reports, a millisecond apart
//   finish completed   it ends well; `finish failed`: it does not
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "jobcast/worker.h"

static void flood(uint64_t reports) {
  const struct timespec pause = {0, 1000000};
  for (uint64_t done = 1; done <= reports; done++) {
    jobcast_progress(done, reports);
    nanosleep(&pause, NULL);
  }
}

int main(void) {
  char word[16], value[16];
  if (jobcast_worker_open() != JOBCAST_OK) return 2;
  const char* path = getenv("JOBCAST_JOB_ID");
  if (mkfifo(path, 0600) != 0) return 2;
  FILE* commands = fopen(path, "r+");  // its own writer too: a test may come and go
  if (!commands) return 2;
  while (fscanf(commands, "%15s %15s", word, value) == 2) {
    if (!strcmp(word, "progress")) jobcast_progress(strtoull(value, NULL, 10), 100);
    if (!strcmp(word, "flood")) flood(strtoull(value, NULL, 10));
    if (!strcmp(word, "finish")) return strcmp(value, "completed") != 0;
  }
  return 2;
}
