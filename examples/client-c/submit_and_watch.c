/* Submits a job and prints each of its snapshots, one a line, until it is over: jobcast/client.h from plain C.
 *
 *   submit-and-watch SOCKET KIND OWNER [ARGS_JSON]
 *
 * Exit status: 0 the job completed, 1 it ended otherwise, 2 it could not be submitted or watched. */
#include <stdio.h>

#include "jobcast/client.h"
#include "jobcast/layout.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: %s SOCKET KIND OWNER [ARGS_JSON]\n", argv[0]);
    return 2;
  }
  struct jobcast_client* client;
  struct jobcast_job job = {.rev = 0};
  struct jobcast_submission wanted = {.kind = argv[2], .owner = argv[3], .args_json = argc > 4 ? argv[4] : NULL};
  int status = jobcast_client_open(&client, argv[1]);
  if (status == JOBCAST_OK) status = jobcast_client_submit(client, &wanted, &job, NULL);
  while (status == JOBCAST_OK) {
    puts(job.snapshot);
    fflush(stdout);
    if (jobcast_job_is_over(&job)) break;
    status = jobcast_client_next(client, &job, -1);
  }
  if (status != JOBCAST_OK) fprintf(stderr, "%s: %s\n", argv[0], jobcast_client_error(client));
  jobcast_client_close(client);
  return status != JOBCAST_OK ? 2 : job.state == JOBCAST_COMPLETED ? 0 : 1;
}
