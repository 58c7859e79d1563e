/* Submit, watch and cancel jobs from a C or C++ program on the engine's machine. C11 and C++; link libjobcast-client.a, libcjson and
 * the C++ runtime.
 *
 *   struct jobcast_client *client;
 *   struct jobcast_job job = {0};
 *   if (jobcast_client_open(&client, NULL) != JOBCAST_OK) return 1;
 *   struct jobcast_submission wanted = {.kind = "flash", .owner = "panel", .args_json = "{\"image\":7}"};
 *   if (jobcast_client_submit(client, &wanted, &job, NULL) == JOBCAST_OK)
 *     while (!jobcast_job_is_over(&job) && jobcast_client_next(client, &job, 60000) == JOBCAST_OK)
 *       show(job.snapshot, job.snapshot_bytes);
 *   else
 *     complain(jobcast_client_error(client));
 *   jobcast_client_close(client);
 *
 * Changes come through the engine's shared memory: nothing is polled, and the engine is not asked. The engine may be restarted meanwhile:
 * the next call connects anew. A client belongs to one thread at a time. All texts are UTF-8. Functions that give an int give a
 * jobcast_status.
 */
#ifndef JOBCAST_CLIENT_H
#define JOBCAST_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "jobcast/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct jobcast_client;

/* A job as it was last seen. Begin with all bytes zero. */
struct jobcast_job {
  char id[37];          /* UUID, NUL at its end */
  uint32_t state;       /* enum jobcast_job_state of jobcast/layout.h: 5 and above is over */
  uint64_t rev;         /* grows with every visible change */
  const char* snapshot; /* the JSON of docs/protocol.md, NUL at its end; the client's, valid until its next call */
  size_t snapshot_bytes;
};

static inline int jobcast_job_is_over(const struct jobcast_job* job) { return job->state >= 5; }

/* What docs/control-protocol.md says of job.submit. kind and owner are required; NULL and 0 leave the rest to the engine. */
struct jobcast_submission {
  const char *kind, *owner, *args_json, *meta_json, *queue, *unique_key, *idempotency_key;
  int priority;
  int max_attempts;
  int64_t run_at_ms;
};

/* socket_path NULL: $JOBCAST_SOCKET, else /run/jobcast/engine.sock. On failure too *client is set, for jobcast_client_error(), and must be
 * closed; NULL alone when memory has run out. JOBCAST_CLOSED, JOBCAST_NOT_FOUND: no engine there. JOBCAST_UNAUTHORIZED, JOBCAST_FULL. */
int jobcast_client_open(struct jobcast_client** client, const char* socket_path);
void jobcast_client_close(struct jobcast_client* client);

/* What was wrong with the last call, in words; "" after success. The client's, valid until its next call. */
const char* jobcast_client_error(const struct jobcast_client* client);

/* The job is kept once this gives JOBCAST_OK. *created (may be NULL): 0 when a key named a job that there is already. JOBCAST_INVALID says
 * which member is wrong. JOBCAST_RETRY: it is not kept. JOBCAST_CLOSED: it may or may not be kept; with an idempotency_key it is safe to
 * submit again. */
int jobcast_client_submit(struct jobcast_client* client, const struct jobcast_submission* wanted, struct jobcast_job* job, int* created);

/* owner NULL: whoever owns it; else JOBCAST_NOT_FOUND for another's job, as for an absent one. */
int jobcast_client_get(struct jobcast_client* client, const char* job_id, const char* owner, struct jobcast_job* job);

/* Asks a job to end; `by` (may be NULL) is whoever asked. A running job is over only when jobcast_client_next() says so. */
int jobcast_client_cancel(struct jobcast_client* client, const char* job_id, const char* owner, const char* by, struct jobcast_job* job);

/* Waits until there is something newer than *job, whose id is set and whose rev is 0 or what was seen last, and puts it there; at once
 * where there is already. Changes in between may be left out, the last one never. A job that is over has nothing newer: do not wait for it.
 * timeout_ms 0: only looks; below 0: waits for ever. JOBCAST_RETRY: nothing came in time. JOBCAST_CLOSED: nothing came, and there is no
 * engine at the moment. JOBCAST_NOT_FOUND: no such job. JOBCAST_FULL: all readers' places are taken. */
int jobcast_client_next(struct jobcast_client* client, struct jobcast_job* job, int timeout_ms);

/* As jobcast_client_next(), until the job is over. */
int jobcast_client_wait(struct jobcast_client* client, struct jobcast_job* job, int timeout_ms);

/* Any method of docs/control-protocol.md. params_json NULL: {}. *result_json is the client's, valid until its next call; NUL at its end. */
int jobcast_client_call(struct jobcast_client* client, const char* method, const char* params_json, const char** result_json,
                        size_t* result_bytes);

#ifdef __cplusplus
}
#endif
#endif
