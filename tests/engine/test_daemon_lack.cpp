// A machine that has nothing to spare: limits set on the running engine from outside. Jobs wait, and none is charged for it.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/handle.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

constexpr uid_t kNobody = 65534;

std::unique_ptr<Daemon> daemon;

int make_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

// Set by a process of the engine's own user: root need not have the capability to do it to others.
rlim_t allow(__rlimit_resource what, rlim_t amount) {
  rlimit limit{};
  struct stat engine = {};
  assert_int_equal(stat(("/proc/" + std::to_string(daemon->pid())).c_str(), &engine), 0);
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const pid_t helper = fork();
  if (helper == 0) {
    if (geteuid() != engine.st_uid && (setgid(engine.st_gid) != 0 || setuid(engine.st_uid) != 0)) _exit(1);
    if (prlimit(daemon->pid(), what, nullptr, &limit) != 0 || write(to.get(), &limit, sizeof limit) != sizeof limit) _exit(1);
    limit.rlim_cur = amount;
    _exit(prlimit(daemon->pid(), what, &limit, nullptr) == 0 ? 0 : 1);
  }
  to.reset();
  assert_int_equal(read(from.get(), &limit, sizeof limit), sizeof limit);
  int status = -1;
  assert_int_equal(waitpid(helper, &status, 0), helper);
  assert_int_equal(status, 0);
  return limit.rlim_cur;
}

std::string waiting(const std::string& id) {
  const Json job = daemon->job(id);
  return std::string(job.view().get("waiting").get("why").string().value_or(""));
}

bool held() { return daemon->result("engine.stats", "{}").view().get("starts").get("held").boolean().value_or(false); }

// Forty jobs are acknowledged while starts must fail; all of them complete once the lack is over, and none has lost an attempt.
void forty_jobs_outlive(__rlimit_resource what, rlim_t too_little) {
  const rlim_t before = allow(what, too_little);
  std::vector<std::string> ids;
  for (int i = 0; i < 40; ++i) ids.push_back(daemon->submit("echo"));
  until("starts are held", held);
  until("the first job says what it waits for", [&] { return waiting(ids.front()) == "no_resources"; });
  const Json lacking = daemon->result("engine.stats", "{}");
  until("it was tried again", [&] {
    return *daemon->result("engine.stats", "{}").view().get("starts").get("put_off").integer() >
           *lacking.view().get("starts").get("put_off").integer();
  });
  for (const std::string& id : ids) assert_string_equal(daemon->state(id).c_str(), "queued");
  allow(what, before);
  for (const std::string& id : ids) {
    const Json job = daemon->until(id, "completed");
    assert_int_equal(*job.view().get("attempt").integer(), 1);
  }
  until("starts are not held any more", [] { return !held(); });
  const std::string log = daemon->stderr_text();
  assert_true(log.find("event=starts_held") != std::string::npos && log.find("event=starts_resumed") != std::string::npos);
}

void acknowledged_jobs_fail_while_no_process_is_to_be_had(void**) {
  if (geteuid() == 0) daemon->run_as(kNobody);  // root is bound by no limit on processes
  assert_true(daemon->start());
  forty_jobs_outlive(RLIMIT_NPROC, 1);
}

void acknowledged_jobs_fail_while_no_descriptor_is_to_be_had(void**) {
#ifdef __SANITIZE_ADDRESS__
  skip();  // UBSan's look at an object's type opens a pipe, and takes a type that it cannot look at for a wrong one
#endif
  assert_true(daemon->start());
  (void)daemon->client();
  const auto open = static_cast<rlim_t>(std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(daemon->pid()) + "/fd"),
                                                      std::filesystem::directory_iterator()));
  for (const rlim_t to_spare : {0, 3, 6}) forty_jobs_outlive(RLIMIT_NOFILE, open + to_spare);
}

void a_low_limit_on_descriptors_is_enough_for_a_job(void**) {
  assert_true(daemon->start());
  (void)allow(RLIMIT_NOFILE, 60);
  daemon->until(daemon->submit("echo"), "completed");
}

void a_job_that_is_cancelled_while_starts_are_held_is_cancelled(void**) {
  if (geteuid() == 0) daemon->run_as(kNobody);
  assert_true(daemon->start());
  const rlim_t before = allow(RLIMIT_NPROC, 1);
  const std::string one = daemon->submit("echo"), other = daemon->submit("echo");
  until("starts are held", held);
  (void)daemon->result("job.cancel", with_id(one));
  daemon->until(one, "cancelled");
  allow(RLIMIT_NPROC, before);
  daemon->until(other, "completed");
}

void a_program_that_does_not_exist_is_no_lack(void**) {
  daemon->add_kind("gone", R"({"argv":["/no/such/program"],"progress":"none"})");
  daemon->add_kind("script", R"({"argv":[")" + daemon->file("noexec") + R"("],"progress":"none"})");
  daemon->add_kind("nowhere", R"({"argv":["/bin/true"],"progress":"none","working_dir":"/no/such/directory"})");
  daemon->add_kind("tight", R"({"argv":["/bin/true"],"progress":"none","address_space_bytes_max":4096})");
  daemon->touch("noexec");
  assert_true(daemon->start());  // with a warning: other kinds run all the same
  assert_true(daemon->stderr_text().find("key=kinds.gone.argv") != std::string::npos);
  for (const char* kind : {"gone", "script", "nowhere"}) {
    const Json job = daemon->until(daemon->submit(kind), "failed");
    assert_string_equal(std::string(job.view().get("reason").string().value_or("")).c_str(), "spawn_error");
  }
  daemon->until(daemon->submit("tight"), "failed");
  assert_false(held());
  daemon->until(daemon->submit("echo"), "completed");
}

void a_program_that_is_being_written_is_run_once_it_is_whole(void**) {
  const std::string program = daemon->file("program");
  std::filesystem::copy_file("/bin/true", program);
  daemon->add_kind("upgraded", R"({"argv":[")" + program + R"("],"progress":"none"})");
  assert_true(daemon->start());
  Fd writer(open(program.c_str(), O_RDWR | O_CLOEXEC));
  assert_true(static_cast<bool>(writer));
  const std::string id = daemon->submit("upgraded");
  daemon->until(id, "running");
  usleep(100'000);  // the outcome does not depend on it
  writer.reset();
  daemon->until(id, "completed");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(acknowledged_jobs_fail_while_no_process_is_to_be_had, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(acknowledged_jobs_fail_while_no_descriptor_is_to_be_had, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_low_limit_on_descriptors_is_enough_for_a_job, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_job_that_is_cancelled_while_starts_are_held_is_cancelled, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_program_that_does_not_exist_is_no_lack, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_program_that_is_being_written_is_run_once_it_is_whole, make_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
