// include/jobcast/client.h against a real jobcastd, from C++ and from a program in plain C.
#include "jobcast/client.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "jobcast/layout.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;
jobcast_client* client = nullptr;

int start(void**) {
  daemon = std::make_unique<Daemon>();
  if (!daemon->start()) return -1;
  return jobcast_client_open(&client, daemon->socket().c_str());
}

int end(void**) {
  jobcast_client_close(client);
  daemon.reset();
  return 0;
}

void ok(int status) {
  if (status != JOBCAST_OK) fail_msg("%d: %s", status, jobcast_client_error(client));
}

jobcast_job submit(const char* kind, const char* gate = nullptr) {
  const std::string args = gate ? R"({"file":")" + daemon->file(gate) + "\"}" : "{}";
  jobcast_submission wanted{};
  wanted.kind = kind;
  wanted.owner = "panel";
  wanted.args_json = args.c_str();
  jobcast_job job{};
  ok(jobcast_client_submit(client, &wanted, &job, nullptr));
  return job;
}

void a_job_is_submitted_watched_and_waited_for(void**) {
  jobcast_job job = submit("percent", "go");
  assert_int_equal(job.state, JOBCAST_QUEUED);
  std::vector<uint32_t> states = {job.state};
  unsigned updates = 0;
  for (uint64_t rev = job.rev; !jobcast_job_is_over(&job); rev = job.rev) {
    ok(jobcast_client_next(client, &job, kPatienceMs));
    assert_true(job.rev > rev);
    if (states.back() != job.state) states.push_back(job.state);
    if (++updates == 4) daemon->touch("go");
  }
  assert_true((states == std::vector<uint32_t>{JOBCAST_QUEUED, JOBCAST_RUNNING, JOBCAST_COMPLETED}));
  assert_int_equal(strlen(job.snapshot), job.snapshot_bytes);
  jobcast_job again{};
  ok(jobcast_client_get(client, job.id, "panel", &again));
  assert_int_equal(again.rev, job.rev);
  assert_int_equal(jobcast_client_get(client, job.id, "mallory", &again), JOBCAST_NOT_FOUND);
}

void several_jobs_are_watched_in_turn(void**) {
  jobcast_job first = submit("wait", "one"), second = submit("wait", "two");
  while (first.state != JOBCAST_RUNNING) ok(jobcast_client_next(client, &first, kPatienceMs));
  daemon->touch("two");  // what happens to the second while the first is looked at is not missed
  while (daemon->state(second.id) != "completed") assert_int_equal(jobcast_client_next(client, &first, 5), JOBCAST_RETRY);
  ok(jobcast_client_wait(client, &second, 1000));
  assert_int_equal(second.state, JOBCAST_COMPLETED);
  daemon->touch("one");
  ok(jobcast_client_wait(client, &first, kPatienceMs));
}

void an_old_job_is_told_at_once(void**) {
  const std::string id = daemon->submit("fail");
  daemon->until(id, "failed");
  jobcast_job job{};
  strcpy(job.id, id.c_str());
  ok(jobcast_client_next(client, &job, 0));
  assert_int_equal(job.state, JOBCAST_FAILED);
  assert_int_equal(jobcast_client_next(client, &job, 0), JOBCAST_RETRY);
}

void a_cancelled_job_ends(void**) {
  jobcast_job job = submit("wait", "never");
  while (job.state != JOBCAST_RUNNING) ok(jobcast_client_next(client, &job, kPatienceMs));
  ok(jobcast_client_cancel(client, job.id, "panel", "somebody", &job));
  ok(jobcast_client_wait(client, &job, kPatienceMs));
  assert_int_equal(job.state, JOBCAST_CANCELLED);
}

void a_watch_outlives_its_engine(void**) {
  jobcast_job job = submit("wait", "never");
  while (job.state != JOBCAST_RUNNING) ok(jobcast_client_next(client, &job, kPatienceMs));
  const uint64_t rev = job.rev;
  daemon->kill_hard();
  assert_int_equal(jobcast_client_next(client, &job, 30), JOBCAST_CLOSED);
  assert_true(daemon->start());
  ok(jobcast_client_wait(client, &job, kPatienceMs));
  assert_int_equal(job.state, JOBCAST_FAILED);
  assert_true(job.rev > rev);
}

void what_is_wrong_is_said_in_words(void**) {
  jobcast_submission wanted{};
  wanted.kind = "nope";
  wanted.owner = "panel";
  assert_int_equal(jobcast_client_submit(client, &wanted, nullptr, nullptr), JOBCAST_INVALID);
  assert_non_null(strstr(jobcast_client_error(client), "nope"));
  wanted.args_json = "{";
  assert_int_equal(jobcast_client_submit(client, &wanted, nullptr, nullptr), JOBCAST_INVALID);
  wanted.args_json = nullptr;
  wanted.owner = "\xff";
  assert_int_equal(jobcast_client_submit(client, &wanted, nullptr, nullptr), JOBCAST_INVALID);
  jobcast_job job{};
  assert_int_equal(jobcast_client_next(client, &job, 0), JOBCAST_INVALID);
  strcpy(job.id, "0192f0c1-0000-7000-8000-000000000000");
  assert_int_equal(jobcast_client_next(client, &job, 1000), JOBCAST_NOT_FOUND);
  const char* result = nullptr;
  size_t bytes = 0;
  ok(jobcast_client_call(client, "queue.list", nullptr, &result, &bytes));
  assert_non_null(strstr(result, "\"queues\""));
  assert_int_equal(strlen(result), bytes);
  assert_string_equal(jobcast_client_error(client), "");
  assert_int_equal(jobcast_client_call(client, "no.such", nullptr, &result, &bytes), JOBCAST_INVALID);
  jobcast_client* none = nullptr;
  assert_int_equal(jobcast_client_open(&none, "/nonexistent.sock"), JOBCAST_NOT_FOUND);
  assert_non_null(strstr(jobcast_client_error(none), "/nonexistent.sock"));
  jobcast_client_close(none);
  jobcast_client_close(nullptr);
}

void the_same_key_gives_the_same_job(void**) {
  jobcast_submission wanted{};
  wanted.kind = "echo";
  wanted.owner = "panel";
  wanted.idempotency_key = "k";
  wanted.priority = 7;
  wanted.run_at_ms = now().unix_ms + 3'600'000;
  jobcast_job first{}, second{};
  int created = -1;
  ok(jobcast_client_submit(client, &wanted, &first, &created));
  assert_int_equal(created, 1);
  assert_int_equal(first.state, JOBCAST_SCHEDULED);
  ok(jobcast_client_submit(client, &wanted, &second, &created));
  assert_int_equal(created, 0);
  assert_string_equal(first.id, second.id);
}

void a_program_in_c_submits_and_watches(void**) {
  const char* const bin = getenv("JOBCAST_BIN");
  const std::string command = std::string(bin ? bin : "build/bin") + "/examples/submit-and-watch " + daemon->socket() + " echo alice";
  FILE* const program = popen(command.c_str(), "r");
  std::string printed;
  for (char line[8192]; fgets(line, sizeof line, program);) printed += line;
  assert_int_equal(pclose(program), 0);
  assert_non_null(strstr(printed.c_str(), R"("state":"queued")"));
  assert_non_null(strstr(printed.c_str(), R"("result":{"answer":42})"));
  assert_int_equal(WEXITSTATUS(system((command.substr(0, command.find(" echo")) + " fail alice > /dev/null").c_str())), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_job_is_submitted_watched_and_waited_for, start, end),
      cmocka_unit_test_setup_teardown(several_jobs_are_watched_in_turn, start, end),
      cmocka_unit_test_setup_teardown(an_old_job_is_told_at_once, start, end),
      cmocka_unit_test_setup_teardown(a_cancelled_job_ends, start, end),
      cmocka_unit_test_setup_teardown(a_watch_outlives_its_engine, start, end),
      cmocka_unit_test_setup_teardown(what_is_wrong_is_said_in_words, start, end),
      cmocka_unit_test_setup_teardown(the_same_key_gives_the_same_job, start, end),
      cmocka_unit_test_setup_teardown(a_program_in_c_submits_and_watches, start, end),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
