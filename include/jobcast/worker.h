/* Report progress from a job process that jobcastd started. C11 and C++; link libjobcast-worker.a.
 *
 *   jobcast_worker_open();                       // outside jobcastd: JOBCAST_NOT_FOUND, and every call below does nothing
 *   size_t length;
 *   const char *args = jobcast_worker_args(&length);
 *   for (uint64_t i = 0; i < total; i++) {
 *     work(i);
 *     jobcast_progress(i + 1, total);            // a few plain stores: cheap enough for an inner loop
 *     if (jobcast_cancel_requested()) return 3;
 *   }
 *   jobcast_worker_result(json, json_length);
 *
 * Threads: one thread at a time may call jobcast_progress(), jobcast_phase() and jobcast_message(); the others may be called by any.
 * The environment that jobcastd sets, for programs that do without this library (docs/worker.md is normative):
 *   JOBCAST_JOB_ID, JOBCAST_ATTEMPT, JOBCAST_THREADS   text
 *   JOBCAST_ARGS_FD      readable: the args as one JSON text, from offset 0
 *   JOBCAST_RESULT_FD    writable, 512 KiB and no more: one JSON text, the result, up to the first zero byte; what is there when the
 *                        process exits with status 0 counts. Its size is sealed: write into it, do not truncate it
 *   JOBCAST_LATCH_FD     memfd of one page, mapped shared by this library: struct jobcast_latch in layout.h
 *   JOBCAST_DOORBELL_FD  SOCK_SEQPACKET: one byte wakes the engine, sent only when the latch says "armed"
 */
#ifndef JOBCAST_WORKER_H
#define JOBCAST_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "jobcast/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Maps what the environment names. JOBCAST_OK, JOBCAST_NOT_FOUND (not started by jobcastd) or JOBCAST_CORRUPT. Call once, before the rest.
 */
int jobcast_worker_open(void);

/* `done` of `total` units, any unit; total 0 means "unknown", also after a known one. Never blocks, never fails. */
void jobcast_progress(uint64_t done, uint64_t total);

/* What it is doing now: UTF-8, cut at 63 bytes; and a line for people, cut at 255 bytes. NULL clears. Copied.
 * A new phase counts anew: its reports may begin below those of the phase before. */
void jobcast_phase(const char* phase);
void jobcast_message(const char* message);

/* 1 once somebody asked to cancel this job, else 0. Asking it is the acknowledgement; then stop soon and exit non-zero: TERM follows. */
int jobcast_cancel_requested(void);

/* The args' JSON text with a NUL after its *length bytes; owned by the library. NULL outside jobcastd. */
const char* jobcast_worker_args(size_t* length);

/* Hands in the result, one JSON text of at most 512 KiB; a later call replaces it. JOBCAST_OK, JOBCAST_FULL, JOBCAST_INTERNAL or
 * JOBCAST_NOT_FOUND. */
int jobcast_worker_result(const char* json, size_t length);

/* How many threads the kind may use: JOBCAST_THREADS, at least 1. Outside jobcastd: the number of processors this process may run on. */
unsigned jobcast_worker_threads(void);

#ifdef __cplusplus
}
#endif
#endif
