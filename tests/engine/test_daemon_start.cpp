// jobcastd as a process: its command line, its place on the machine, its stop, its idleness.
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

int make_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

struct Ran {
  int status = -1;
  std::string out;  // and its standard error
};

Ran run(const std::vector<std::string>& words) {
  const char* const bin = getenv("JOBCAST_BIN");
  std::vector<std::string> argv = {std::string(bin ? bin : "build/bin") + "/jobcastd"};
  argv.insert(argv.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (auto& word : argv) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_msg("pipe");
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(ends[1]);
  Ran ran;
  char chunk[4096];
  for (ssize_t got; (got = read(ends[0], chunk, sizeof chunk)) > 0;) ran.out.append(chunk, static_cast<size_t>(got));
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

void ends_with(const std::vector<std::string>& words, int status, const char* said) {
  const Ran ran = run(words);
  if (ran.status != status || ran.out.find(said) == std::string::npos)
    fail_msg("status %d instead of %d, said: %s", ran.status, status, ran.out.c_str());
}

std::string status_line(pid_t pid, const char* key) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) return line.substr(strlen(key) + 1);
  return "";
}

void the_command_line_explains_itself(void**) {
  ends_with({"--help"}, 0, "usage: jobcastd");
  ends_with({"-h"}, 0, "HUP is ignored");
  ends_with({"--version"}, 0, "jobcastd " JOBCAST_VERSION);
  ends_with({"--verbose"}, 2, "unknown option --verbose");
  ends_with({"--config"}, 2, "--config wants a value");
  ends_with({"--log-level", "loud"}, 2, "error, warning, notice, info or debug");
  ends_with({"--socket", "here"}, 2, "absolute path");
  ends_with({"serve"}, 2, "unexpected argument \"serve\"");
}

void the_config_is_checked_before_anything_is_touched(void**) {
  ends_with({"--config", "/nonexistent.conf"}, 2, "/nonexistent.conf");
  ends_with({"--config", daemon->file("jobcastd.conf"), "--check-config"}, 0, "ok, 10 kinds, 3 queues");
  const std::string bad = daemon->file("bad.conf"), state = daemon->file("untouched");
  std::ofstream(bad) << R"({"kinds": {"x": {"argv": ["/bin/true"], "timout_ms": 5}}})";
  for (const auto& words : {std::vector<std::string>{"--config", bad, "--check-config"}, {"--config", bad, "--state-dir", state}})
    ends_with(words, 2, "kinds.x.timout_ms");
  struct stat info = {};
  assert_int_equal(stat(state.c_str(), &info), -1);
  std::ofstream(bad) << R"({"control": {"users": ["no-such-user"]}})";
  ends_with({"--config", bad, "--check-config"}, 2, "names a user that this machine does not have: \"no-such-user\"");
}

void one_engine_a_state_directory(void**) {
  assert_true(daemon->start());
  const std::string config = daemon->file("jobcastd.conf"), pid = "pid " + std::to_string(daemon->pid());
  ends_with({"--config", config, "--state-dir", daemon->file("state"), "--socket", daemon->file("other.sock")}, 1, pid.c_str());
  ends_with({"--config", config, "--state-dir", daemon->file("other"), "--socket", daemon->socket()}, 1, "another program listens on");
  (void)daemon->result("queue.list", "{}");  // the first one is unharmed
  assert_int_equal(daemon->stop(), 0);
}

// As a child does that an engine forked in the moment of its death, and that has not come to close what it does not need.
void a_child_of_a_killed_engine_that_holds_its_socket_keeps_no_other_from_starting(void**) {
  const pid_t listener = fork();
  if (listener == 0) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    daemon->socket().copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, 8) != 0) _exit(1);
    if (fork() == 0) sleep(4);
    _exit(0);
  }
  int status = -1;
  assert_int_equal(waitpid(listener, &status, 0), listener);
  assert_int_equal(status, 0);
  assert_true(daemon->start());
  assert_int_equal(daemon->stop(), 0);
}

void only_a_dead_sockets_file_is_replaced(void**) {
  std::ofstream(daemon->socket()) << "mine";
  assert_false(daemon->start());
  assert_int_equal(daemon->wait_exit(), 2);
  assert_non_null(strstr(daemon->stderr_text().c_str(), "is no socket"));
  unlink(daemon->socket().c_str());
  const Fd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  daemon->socket().copy(address.sun_path, sizeof address.sun_path - 1);
  assert_int_equal(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  assert_true(daemon->start());
  assert_int_equal(daemon->stop(), 0);
  ends_with({"--config", daemon->file("jobcastd.conf"), "--state-dir", daemon->file("state"), "--socket", "/tmp/" + std::string(120, 'x')},
            2, "at most 107");
}

void a_clean_stop_puts_running_jobs_back_without_charging_the_attempt(void**) {
  assert_true(daemon->start());
  const std::string job = daemon->submit("lasting", daemon->gate("go")),
                    queued = daemon->submit("echo", R"(,"run_at_ms":)" + std::to_string(now().unix_ms + 3'600'000));
  daemon->until(job, "running");
  const int64_t rev = *daemon->job(job).view().get("rev").integer();
  Watcher watcher(*daemon);
  assert_int_equal(daemon->stop(), 0);
  struct stat info = {};
  assert_int_equal(stat(daemon->socket().c_str(), &info), -1);
  while (watcher.wait()) {
  }
  assert_int_equal(static_cast<int>(watcher.seen().back().state), static_cast<int>(JobState::queued));
  assert_true(daemon->start());
  const Json again = daemon->until(job, "running");
  assert_int_equal(*again.view().get("attempt").integer(), 1);
  assert_true(*again.view().get("rev").integer() > rev);
  assert_string_equal(daemon->state(queued).c_str(), "scheduled");
  daemon->touch("go");
  daemon->until(job, "completed");
  assert_int_equal(daemon->stop(), 0);
}

void asked_twice_it_stops_at_once(void**) {
  assert_true(daemon->start());
  const std::string job = daemon->submit("deaf");
  until("it has closed its ears",
        [&] { return daemon->result("job.log", R"({"job_id":")" + job + "\"}").view().get("size").integer() > 0; });
  const int64_t from = now().mono_ms();
  kill(daemon->pid(), SIGTERM);
  until("it is stopping", [] { return daemon->stderr_text().find("event=stopping") != std::string::npos; });
  assert_int_equal(static_cast<int>(daemon->error("job.submit", R"({"kind":"echo","owner":"alice"})").code), static_cast<int>(Errc::retry));
  assert_int_equal(daemon->stop(), 0);
  assert_true(now().mono_ms() - from < 5000);
  assert_true(daemon->start());
  assert_string_equal(std::string(daemon->until(job, "failed").view().get("reason").string().value_or("")).c_str(), "stopped");
  assert_int_equal(daemon->stop(), 0);
}

// Connects as that user and group; the answer's error code, 0 for a result, -1 where it cannot connect.
int answer_for(uid_t user, gid_t group) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_msg("pipe");
  const pid_t child = fork();
  if (child == 0) {
    int answer = -1;
    if (setgroups(0, nullptr) == 0 && setgid(group) == 0 && setuid(user) == 0)
      if (auto client = ControlClient::connect(daemon->socket())) {
        const auto done = client->call("queue.list", Json::object());
        answer = done ? 0 : static_cast<int>(done.error().code);
      }
    _exit(write(ends[1], &answer, sizeof answer) == sizeof answer ? 0 : 1);
  }
  int answer = -2;
  if (read(ends[0], &answer, sizeof answer) != sizeof answer) fail_msg("read");
  close(ends[0]);
  close(ends[1]);
  waitpid(child, nullptr, 0);
  return answer;
}

void control_users_lets_nobody_in(void**) {
  const passwd* const listed = getpwnam("nobody");
  if (geteuid() != 0 || !listed) skip();
  const uid_t user = listed->pw_uid, other = 12345;
  const gid_t group = 12345;  // of nobody's
  daemon = std::make_unique<Daemon>(R"(,"control":{"users":["nobody"]})");
  assert_true(daemon->start());
  assert_non_null(strstr(daemon->stderr_text().c_str(), "user nobody cannot enter"));  // mkdtemp made it 0700
  assert_int_equal(answer_for(user, group), -1);
  assert_int_equal(chmod(daemon->dir().c_str(), 0711), 0);
  assert_int_equal(answer_for(user, group), 0);
  assert_int_equal(answer_for(other, group), static_cast<int>(Errc::unauthorized));
  assert_int_equal(daemon->stop(), 0);
}

void the_second_of_two_groups_is_not_let_in(void**) {
  if (geteuid() != 0 || !getgrnam("daemon") || !getgrnam("games")) skip();
  const gid_t first = getgrnam("daemon")->gr_gid, second = getgrnam("games")->gr_gid;
  daemon = std::make_unique<Daemon>(R"(,"control":{"groups":["daemon","games"]})");
  assert_int_equal(chmod(daemon->dir().c_str(), 0711), 0);
  assert_true(daemon->start());
  assert_null(strstr(daemon->stderr_text().c_str(), "cannot enter"));
  for (const gid_t group : {first, second}) assert_int_equal(answer_for(12345, group), 0);
  assert_int_equal(answer_for(12345, 12345), static_cast<int>(Errc::unauthorized));
  assert_int_equal(daemon->stop(), 0);
  daemon = std::make_unique<Daemon>(R"(,"control":{"groups":["daemon"]})");
  assert_int_equal(chmod(daemon->dir().c_str(), 0711), 0);
  assert_true(daemon->start());
  assert_int_equal(answer_for(12345, first), 0);
  assert_int_equal(answer_for(12345, second), -1);  // one group owns the file: the others do not even connect
  assert_int_equal(daemon->stop(), 0);
}

void hup_changes_nothing(void**) {
  assert_true(daemon->start());
  kill(daemon->pid(), SIGHUP);
  (void)daemon->result("queue.list", "{}");
  assert_int_equal(daemon->stop(), 0);
}

void what_is_over_for_long_goes_with_its_log(void**) {
  daemon = std::make_unique<Daemon>(R"(,"retain_count":3)");
  assert_true(daemon->start());
  std::vector<std::string> ids;
  for (int i = 0; i < 6; ++i) {
    ids.push_back(daemon->submit("echo"));
    daemon->until(ids.back(), "completed");
  }
  assert_int_equal(daemon->stop(), 0);
  assert_true(daemon->start());
  until("three are kept", [] { return daemon->result("job.list", "{}").view().get("jobs").size() == 3; });
  struct stat info = {};
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string log = daemon->file("state/logs/" + ids[i] + ".log");
    until("logs go with their jobs", [&] { return (stat(log.c_str(), &info) == 0) == (i >= 3); });
  }
  assert_int_equal(daemon->stop(), 0);
}

void an_idle_engine_sleeps_and_is_small(void**) {
  assert_true(daemon->start());
  daemon->until(daemon->submit("echo"), "completed");
  daemon->disconnect();
  // Idle is when no wake-up came for half a second; its clocks of one second may still have run once after the job.
  const auto switches = [] { return std::stol(status_line(daemon->pid(), "voluntary_ctxt_switches:")); };
  int64_t quiet_since = now().mono_ms();
  long last = switches();
  until("it is idle", [&] {
    const long count = switches();
    if (count != last) quiet_since = now().mono_ms();
    last = count;
    return now().mono_ms() - quiet_since > 2000;
  });
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  assert_true(std::stol(status_line(daemon->pid(), "VmRSS:")) < 10'000);
#endif
  assert_int_equal(daemon->stop(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_command_line_explains_itself, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(the_config_is_checked_before_anything_is_touched, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(one_engine_a_state_directory, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_child_of_a_killed_engine_that_holds_its_socket_keeps_no_other_from_starting, make_daemon,
                                      end_daemon),
      cmocka_unit_test_setup_teardown(only_a_dead_sockets_file_is_replaced, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_clean_stop_puts_running_jobs_back_without_charging_the_attempt, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(asked_twice_it_stops_at_once, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(control_users_lets_nobody_in, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(the_second_of_two_groups_is_not_let_in, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(hup_changes_nothing, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(what_is_over_for_long_goes_with_its_log, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(an_idle_engine_sleeps_and_is_small, make_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
