// What a program is started with, and how its end is told: real programs.
#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <set>

#include "tests/engine/launcher_fixture.h"

namespace {

using namespace jobcast::engine;
using namespace jobcast::engine::test;
using jobcast::Errc;
using jobcast::Fd;

void assert_text(const std::string& text, const std::string& part) {
  if (text.find(part) == std::string::npos) fail_msg("'%s' is not in '%s'", part.c_str(), text.c_str());
}

void an_exit_status_is_told_with_the_last_line_of_stderr(void**) {
  for (const LauncherOptions options : {LauncherOptions{}, LauncherOptions{true, false}, kPlain}) {
    Engine engine(options);
    Outcome outcome = engine.run_shell("exit 0");
    assert_true(outcome.success);
    assert_int_equal(outcome.exit_code.value(), 0);
    assert_string_equal(outcome.error.c_str(), "");
    outcome = engine.run_shell("echo first >&2; printf 'no such\\tfile\\n\\n' >&2; echo out; exit 3");
    assert_false(outcome.success);
    assert_int_equal(outcome.reason, Reason::exit);
    assert_int_equal(outcome.exit_code.value(), 3);
    assert_string_equal(outcome.error.c_str(), "no such file");
    assert_string_equal(engine.run_shell("exit 7").error.c_str(), "exit status 7");
    assert_int_equal(engine.launcher->running(), 0);
  }
}

void a_signal_is_told_as_such(void**) {
  Engine engine;
  const Outcome outcome = engine.run_shell("echo gone wrong >&2; kill -SEGV $$");
  assert_int_equal(outcome.reason, Reason::signal);
  assert_int_equal(outcome.exit_code.value(), 128 + SIGSEGV);
  assert_string_equal(outcome.error.c_str(), "killed by signal 11 (Segmentation fault): gone wrong");
}

void a_program_that_cannot_start_is_named_with_errno(void**) {
  Engine engine;
  Outcome outcome = engine.run(Engine::program({"/nonexistent/solver", "-x"}));
  assert_int_equal(outcome.reason, Reason::spawn_error);
  assert_false(outcome.exit_code.has_value());
  assert_string_equal(outcome.error.c_str(), "cannot execute the kind's program: No such file or directory (errno 2)");
  KindConfig kind = Engine::shell("exit 0");
  kind.working_dir = "/nonexistent";
  outcome = engine.run(kind);
  assert_int_equal(outcome.reason, Reason::spawn_error);
  assert_string_equal(outcome.error.c_str(), "cannot enter the kind's working_dir: No such file or directory (errno 2)");
}

void the_program_has_its_own_session_no_privileges_to_gain_and_clean_signals(void**) {
  sigset_t blocked, before;
  sigfillset(&blocked);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  signal(SIGPIPE, SIG_IGN);
  Engine engine;
  assert_true(engine.run(Engine::helper({"privileges"})).success);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const std::string log = engine.log();
  for (const char* part :
       {"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "NoNewPrivs:\t1", "death 9", "session 1", "group 1", "stdin /dev/null"})
    assert_text(log, part);
}

void the_program_inherits_no_other_descriptor(void**) {
  const Fd leak(fcntl(0, F_DUPFD, 200));  // neither it nor a pipe is closed on exec by itself
  int pipe_ends[2];
  assert_int_equal(pipe(pipe_ends), 0);
  Engine engine;
  assert_true(engine.run(Engine::helper({"descriptors"})).success);
  assert_string_equal(engine.log().c_str(), "0 1 2 3 4 5 6 ");
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

void the_engine_keeps_no_descriptor_of_a_finished_job(void**) {
  const auto count = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  Engine engine;
  assert_true(engine.run_shell("exit 0").success);
  const auto before = count();
  for (int i = 0; i < 5; ++i) assert_true(engine.run(Engine::helper({"report", "1"})).success);
  assert_int_equal(count(), before);
}

void the_environment_is_what_the_kind_allows_and_sets(void**) {
  setenv("JOBCAST_TEST_ALLOWED", "yes", 1);
  setenv("JOBCAST_TEST_SECRET", "no", 1);
  setenv("JOBCAST_TEST_BOTH", "engine", 1);
  Engine engine;
  KindConfig kind = Engine::program({"/usr/bin/env"});
  kind.env_allow = {"JOBCAST_TEST_ALLOWED", "JOBCAST_TEST_BOTH", "JOBCAST_TEST_ABSENT"};
  kind.env_set = {{"JOBCAST_TEST_BOTH", "kind"}, {"JOBCAST_JOB_ID", "forged"}};
  kind.threads = 3;
  assert_true(engine.run(kind).success);
  std::istringstream log(engine.log());
  std::set<std::string> lines;
  for (std::string line; std::getline(log, line);) lines.insert(line);
  const std::set<std::string> wanted{
      "JOBCAST_ARGS_FD=3",  "JOBCAST_ATTEMPT=1",   "JOBCAST_DOORBELL_FD=6",    "JOBCAST_JOB_ID=" + engine.last.id.text(),
      "JOBCAST_LATCH_FD=5", "JOBCAST_RESULT_FD=4", "JOBCAST_TEST_ALLOWED=yes", "JOBCAST_TEST_BOTH=kind",
      "JOBCAST_THREADS=3",  "PYTHONUNBUFFERED=1"};
  assert_true(lines == wanted);
}

void limits_and_working_dir_hold(void**) {
  Engine engine;
  KindConfig kind = Engine::shell("ulimit -c; ulimit -n; ulimit -v; ulimit -f; pwd");
  kind.open_files_max = 99;
  kind.address_space_bytes_max = 256 << 20;
  kind.file_bytes_max = 1 << 20;
  kind.working_dir = "/usr";
  assert_true(engine.run(kind).success);
  assert_string_equal(engine.log().c_str(), "0\n99\n262144\n2048\n/usr\n");
}

void a_file_beyond_its_limit_is_output_limit(void**) {
  Engine engine;
  KindConfig kind = Engine::shell("exec dd if=/dev/zero of=" + engine.dir.path + "/big bs=4096 count=10 2>/dev/null");
  kind.file_bytes_max = 8192;
  const Outcome outcome = engine.run(kind);
  assert_int_equal(outcome.reason, Reason::output_limit);
  assert_string_equal(outcome.error.c_str(), "wrote a file beyond file_bytes_max (8192 bytes)");
}

void args_reach_argv_as_single_elements(void**) {
  Engine engine;
  KindConfig kind = Engine::program({"/usr/bin/printf", "<%s>"});
  kind.argv_from_args = {"name", "count", "ratio", "deep"};
  kind.argv_dash = true;
  assert_true(engine.run(kind, R"({"name":"a b; rm -rf $HOME \"'","count":12,"ratio":-0.5,"deep":true,"other":1})").success);
  assert_string_equal(engine.log().c_str(), "<a b; rm -rf $HOME \"'><12><-0.5><true>");
  for (const char* args : {"{}", R"({"name":null,"count":1})", R"({"name":["a"]})", R"({"name":{}})"}) {
    jobcast::engine::Job job = engine.job();
    job.args_json = args;
    const auto refused = engine.launcher->prepare(job, kind);
    assert_false(refused.ok());
    assert_int_equal(refused.error().code, Errc::invalid);
    assert_string_equal(refused.error().field.c_str(), "args.name");
  }
}

void a_value_that_would_act_as_an_option_is_refused(void**) {
  Engine engine;
  KindConfig kind = Engine::program({"/usr/bin/printf", "<%s>"});
  kind.argv_from_args = {"name", "count"};
  assert_true(engine.run(kind, R"({"name":"a-b","count":0})").success);
  for (const char* args : {R"({"name":"--help","count":1})", R"({"name":"-","count":1})", R"({"name":"","count":-1})"}) {
    jobcast::engine::Job job = engine.job();
    job.args_json = args;
    const auto refused = engine.launcher->prepare(job, kind);
    assert_false(refused.ok());
    assert_int_equal(refused.error().code, Errc::invalid);
    assert_non_null(strstr(refused.error().detail.c_str(), "argv_dash"));
    assert_string_equal(refused.error().field.c_str(), strstr(args, "-1") ? "args.count" : "args.name");
  }
}

void args_are_sealed_and_the_result_comes_back(void**) {
  Engine engine;
  Outcome outcome = engine.run(Engine::helper({"args"}), R"({"hands":["AsAh", "KdKc"]})");
  assert_true(outcome.success);
  assert_string_equal(outcome.result_json.c_str(), R"({"hands":["AsAh","KdKc"]})");
  outcome = engine.run_shell(R"(cat <&$JOBCAST_ARGS_FD >/dev/null; echo '{"a":1}' >&$JOBCAST_RESULT_FD)");
  assert_string_equal(outcome.result_json.c_str(), R"({"a":1})");
  outcome = engine.run_shell(R"(echo '{"a":1}' >&$JOBCAST_RESULT_FD; exit 1)");
  assert_string_equal(outcome.result_json.c_str(), "");
}

void a_bad_result_fails_the_job_and_says_so(void**) {
  Engine engine;
  Outcome outcome = engine.run_shell(R"(echo '{"a":' >&$JOBCAST_RESULT_FD)");
  assert_false(outcome.success);
  assert_int_equal(outcome.reason, Reason::exit);
  assert_int_equal(outcome.exit_code.value(), 0);
  assert_text(outcome.error, "the program's result is refused: ");
  outcome = engine.run(Engine::helper({"large-result"}));
  assert_int_equal(outcome.exit_code.value(), 0);  // it found the memory bounded
  assert_text(outcome.error, "the program's result is refused: ");
  outcome =
      engine.run_shell("{ printf '[1'; for i in $(seq 300000); do printf ',1'; done; echo ']'; } >&$JOBCAST_RESULT_FD 2>/dev/null; exit 0");
  assert_false(outcome.success);
  assert_string_equal(outcome.error.c_str(), "the program's result is refused: longer than 512 KiB");
}

void the_log_is_capped_and_what_is_dropped_is_counted(void**) {
  Engine engine;
  KindConfig kind = Engine::helper({"flood", "8"});
  kind.log_bytes_max = 100'000;
  kind.log_bytes_per_second_max = 1 << 30;
  assert_true(engine.run(kind).success);
  assert_true(engine.log().size() > 100'000 && engine.log().size() < 100'200);  // and two lines about what is missing
  assert_int_equal(engine.launcher->log_dropped(engine.last.id), 8 * 1024 * 1024 - 100'000);
  kind.log_bytes_max = 1 << 30;
  kind.log_bytes_per_second_max = 50'000;
  assert_true(engine.run(kind).success);
  assert_true(engine.log().size() >= 50'000);
  assert_true(engine.launcher->log_dropped(engine.last.id) > 0);
  assert_int_equal(engine.launcher->log_dropped(engine.ids.next(0)), 0);
}

void each_attempt_begins_its_log_anew(void**) {
  Engine engine;
  jobcast::engine::Job job = engine.job();
  engine.start(job, Engine::shell("echo one; exit 1"));
  (void)engine.finish(job);
  engine.seen.finished.clear();
  job.fence = ++engine.fence;
  engine.start(job, Engine::shell("echo two"));
  (void)engine.finish(job);
  assert_string_equal(contents(engine.launcher->log_path(job.id)).c_str(), "two\n");
}

void nothing_of_the_program_runs_before_the_gate_opens(void**) {
  Engine engine;
  const auto job = engine.job();
  const std::string mark = engine.dir.path + "/ran";
  const auto attempt = engine.launcher->prepare(job, Engine::shell("echo x > " + mark));
  assert_true(attempt.ok());
  const auto pid = static_cast<pid_t>(attempt->pid);
  assert_int_equal(read_proc_stat(pid)->start_ticks, attempt->start_ticks);
  assert_string_equal(attempt->boot_id.c_str(), boot_id().c_str());
  engine.until("the child at its gate", [&] { return read_proc_stat(pid)->state == 'S' && read_proc_stat(pid)->session == pid; });
  assert_int_equal(access(mark.c_str(), F_OK), -1);
  engine.launcher->release(job.id);
  assert_true(engine.finish(job).success);
  assert_int_equal(access(mark.c_str(), F_OK), 0);
}

void an_abandoned_child_goes_without_a_trace(void**) {
  for (const LauncherOptions options : {LauncherOptions{}, LauncherOptions{true, false}, kPlain}) {
    Engine engine(options);
    const auto job = engine.job();
    const auto attempt = engine.launcher->prepare(job, Engine::shell("exit 0"));
    assert_int_equal(engine.launcher->running(), 1);
    engine.launcher->abandon(job.id);
    assert_int_equal(engine.launcher->running(), 0);
    const auto pid = static_cast<pid_t>(attempt->pid);
    engine.start(job, Engine::shell("exit 5"));  // the same job may be prepared again at once
    engine.until("the child's end", [&] { return !read_proc_stat(pid); });
    assert_int_equal(engine.finish(job).exit_code.value(), 5);
    if (!attempt->cgroup.empty()) assert_int_equal(access(attempt->cgroup.c_str(), F_OK), -1);
  }
}

void the_next_job_may_be_started_from_the_end_of_one(void**) {
  Engine engine;
  const auto first = engine.job(), second = engine.job();
  engine.seen.then = [&] {
    engine.seen.then = nullptr;
    engine.start(second, Engine::shell("exit 2"));
  };
  engine.start(first, Engine::shell("exit 1"));
  assert_int_equal(engine.finish(second).exit_code.value(), 2);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_exit_status_is_told_with_the_last_line_of_stderr),
      cmocka_unit_test(a_signal_is_told_as_such),
      cmocka_unit_test(a_program_that_cannot_start_is_named_with_errno),
      cmocka_unit_test(the_program_has_its_own_session_no_privileges_to_gain_and_clean_signals),
      cmocka_unit_test(the_program_inherits_no_other_descriptor),
      cmocka_unit_test(the_engine_keeps_no_descriptor_of_a_finished_job),
      cmocka_unit_test(the_environment_is_what_the_kind_allows_and_sets),
      cmocka_unit_test(limits_and_working_dir_hold),
      cmocka_unit_test(a_file_beyond_its_limit_is_output_limit),
      cmocka_unit_test(args_reach_argv_as_single_elements),
      cmocka_unit_test(a_value_that_would_act_as_an_option_is_refused),
      cmocka_unit_test(args_are_sealed_and_the_result_comes_back),
      cmocka_unit_test(a_bad_result_fails_the_job_and_says_so),
      cmocka_unit_test(the_log_is_capped_and_what_is_dropped_is_counted),
      cmocka_unit_test(each_attempt_begins_its_log_anew),
      cmocka_unit_test(nothing_of_the_program_runs_before_the_gate_opens),
      cmocka_unit_test(an_abandoned_child_goes_without_a_trace),
      cmocka_unit_test(the_next_job_may_be_started_from_the_end_of_one),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
