// The engine is killed: what it had started is found and ended by the next one, and nothing else is.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <csignal>

#include "engine/cgroup.h"
#include "engine/orphans.h"
#include "tests/engine/launcher_fixture.h"

namespace {

using namespace jobcast::engine;
using namespace jobcast::engine::test;
using jobcast::JobId;

template <class Done>
void wait_until(const char* what, Done done) {
  const int64_t end = jobcast::now().mono_ms() + kBoundMs;
  while (!done()) {
    if (jobcast::now().mono_ms() > end) fail_msg("not in time: %s", what);
    usleep(1000);
  }
}

pid_t start_process(std::vector<std::string> argv, const char* mark = nullptr) {
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    if (mark) setenv("JOBCAST_JOB_ID", mark, 1);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  return pid;
}

void end_process(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

// Starts an engine with one job, and kills it once `ready` (and the attempt's proof) are written.
struct KilledEngine {
  KilledEngine(const char* how_far, const char* options, std::vector<std::string> program, const std::string& ready = "") {
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);  // set by the launchers of earlier tests: orphans go to init, as they would
    std::vector<std::string> argv{beside_this_test("job_engine"), how_far, options, dir.path};
    for (std::string& argument : program) {
      const size_t at = argument.find("DIR");
      if (at != std::string::npos) argument.replace(at, 3, dir.path);
      argv.push_back(argument);
    }
    const pid_t engine = start_process(argv);
    wait_until("the proof", [&] { return !contents(dir.path + "/attempt").empty(); });
    if (!ready.empty()) wait_until("the job", [&] { return !contents(dir.path + "/" + ready).empty(); });
    end_process(engine);
    std::istringstream proof(contents(dir.path + "/attempt"));
    std::string id;
    proof >> id >> attempt.pid >> attempt.start_ticks >> attempt.boot_id >> attempt.cgroup;
    attempt.job = JobId::parse(id).value();
    attempt.fence = 7;
  }
  [[nodiscard]] pid_t main() const { return static_cast<pid_t>(attempt.pid); }
  [[nodiscard]] pid_t pid_in(const char* file) const { return static_cast<pid_t>(std::stol(contents(dir.path + "/" + file))); }
  TempDir dir;
  Attempt attempt;
};

// The next engine; true when it reported in time, once.
void resolve(const std::vector<Attempt>& attempts) {
  Engine engine(kPlain);
  const int64_t begin = jobcast::now().mono_ms();
  engine.launcher->resolve_orphans(attempts);
  assert_true(engine.seen.gone.empty());  // never from inside the call
  engine.until("the orphans' end", [&] { return engine.seen.gone.size() == attempts.size(); });
  assert_true(jobcast::now().mono_ms() - begin <= Orphans::kWithinMs + 200);
  engine.loop.turn(0);
  for (const auto& [job, times] : engine.seen.gone) assert_int_equal(times, 1);
}

void an_engine_killed_before_the_gate_opens_leaves_nothing(void**) {
  for (const char* options : {"full", "plain"}) {
    const KilledEngine killed("prepare", options, {"/bin/sh", "-c", "echo x > DIR/ran"});
    wait_until("the child's end", [&] { return !alive(killed.main()); });
    assert_int_equal(access((killed.dir.path + "/ran").c_str(), F_OK), -1);
    resolve({killed.attempt});
    if (!killed.attempt.cgroup.empty()) assert_int_equal(access(killed.attempt.cgroup.c_str(), F_OK), -1);
  }
}

void a_job_dies_with_its_engine(void**) {
  const KilledEngine killed("release", "full", {"/bin/sh", "-c", "echo x > DIR/ready; exec sleep 1000"}, "ready");
  wait_until("the job's end", [&] { return !alive(killed.main()); });
  resolve({killed.attempt});
}

void a_grandchild_in_another_session_is_found_by_its_mark(void**) {
  const KilledEngine killed("release", "plain", {beside_this_test("job_program"), "grandchild-and-stay", "DIR/pid"}, "pid");
  const pid_t orphan = killed.pid_in("pid");
  assert_true(alive(orphan));
  resolve({killed.attempt});
  assert_false(alive(orphan));
}

void a_main_process_that_shook_off_its_death_signal_goes_with_its_session(void**) {
  const KilledEngine killed("release", "plain", {beside_this_test("job_program"), "survivor", "DIR/pid"}, "pid");
  const pid_t member = killed.pid_in("pid");  // in the session, without the mark
  assert_true(alive(killed.main()));
  assert_true(alive(member));
  resolve({killed.attempt});
  assert_false(alive(killed.main()));
  assert_false(alive(member));
}

void a_control_group_holds_even_those_that_hid(void**) {
  const KilledEngine killed("release", "full", {beside_this_test("job_program"), "hidden-grandchild", "DIR/pid"}, "pid");
  const pid_t orphan = killed.pid_in("pid");
  if (killed.attempt.cgroup.empty()) {
    kill(-orphan, SIGKILL);  // with what it sleeps in
    skip();
  }
  resolve({killed.attempt});
  assert_false(alive(orphan));
  assert_int_equal(access(killed.attempt.cgroup.c_str(), F_OK), -1);
}

struct Innocent {
  explicit Innocent(const char* mark = nullptr) : pid(start_process({"/bin/sleep", "1000"}, mark)) {
    wait_until("sleep", [&] { return contents("/proc/" + std::to_string(pid) + "/comm") == "sleep\n"; });
    start_ticks = read_proc_stat(pid)->start_ticks;
  }
  ~Innocent() { end_process(pid); }
  pid_t pid;
  uint64_t start_ticks = 0;
};

constexpr pid_t kNobody = 1 << 23;  // above the kernel's largest pid: a made-up attempt must not name some process of the machine

Attempt attempt_of(pid_t pid, uint64_t start_ticks) {
  static jobcast::JobIdSource ids;
  return {ids.next(jobcast::now().unix_ms), 7, pid, start_ticks, boot_id(), ""};
}

void a_process_that_merely_has_the_recorded_number_survives(void**) {
  const Innocent reused;
  resolve({attempt_of(reused.pid, reused.start_ticks - 1), attempt_of(reused.pid, reused.start_ticks + 1)});
  assert_true(alive(reused.pid));
}

void a_process_of_another_boot_survives(void**) {
  const Innocent same;
  Attempt before = attempt_of(same.pid, same.start_ticks);
  before.boot_id = "00000000-0000-0000-0000-000000000000";
  resolve({before});
  assert_true(alive(same.pid));
}

void a_process_with_the_mark_that_is_older_than_the_attempt_survives(void**) {
  const JobId job = jobcast::JobIdSource().next(jobcast::now().unix_ms);
  const Innocent older(job.text().c_str());
  Attempt attempt = attempt_of(kNobody, older.start_ticks + 1);
  attempt.job = job;
  resolve({attempt});
  assert_true(alive(older.pid));
}

void a_process_in_a_control_group_of_another_name_survives(void**) {
  const std::string own = Cgroup::own_directory();
  const std::string name = "jobcast-test-" + std::to_string(getpid());
  Cgroup group = Cgroup::create(own, name);
  if (!group) skip();
  {
    const Innocent inside;
    assert_true(group.add(inside.pid));
    Attempt attempt = attempt_of(kNobody, inside.start_ticks);
    attempt.cgroup = own + "/" + name;
    resolve({attempt});
    assert_true(alive(inside.pid));
  }
  wait_until("the group's end", [&] { return group.remove(); });
}

void nonsense_from_the_store_harms_nobody(void**) {
  const Attempt none{}, first = attempt_of(1, 0), negative = attempt_of(-1, 0), self = attempt_of(getpid(), 1);
  resolve({none, first, negative, self});
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_engine_killed_before_the_gate_opens_leaves_nothing),
      cmocka_unit_test(a_job_dies_with_its_engine),
      cmocka_unit_test(a_grandchild_in_another_session_is_found_by_its_mark),
      cmocka_unit_test(a_main_process_that_shook_off_its_death_signal_goes_with_its_session),
      cmocka_unit_test(a_control_group_holds_even_those_that_hid),
      cmocka_unit_test(a_process_that_merely_has_the_recorded_number_survives),
      cmocka_unit_test(a_process_of_another_boot_survives),
      cmocka_unit_test(a_process_with_the_mark_that_is_older_than_the_attempt_survives),
      cmocka_unit_test(a_process_in_a_control_group_of_another_name_survives),
      cmocka_unit_test(nonsense_from_the_store_harms_nobody),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
