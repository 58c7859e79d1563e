// What a job can do to the engine's files, since it runs as the engine's user: whatever it puts in their place, the engine neither waits
// for it nor follows it nor writes to it. And a loop that stands still is noticed by the service manager.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

std::string text(JsonView view) { return std::string(view.string().value_or("")); }

std::string contents(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path) << bytes; }

// A job of this kind swaps its log for something else in its first attempt, waits for the file `go`, fails, and prints in its second.
void add_swapping_kind(const std::string& name, const std::string& swap) {
  daemon->add_kind(name, R"({"progress":"none","max_attempts":2,"retry_initial_ms":1,"argv":["/bin/sh","-c","L=)" +
                             daemon->file("state/logs") + R"(/$JOBCAST_JOB_ID.log; V=)" + daemon->file("victim") +
                             R"(; if [ $JOBCAST_ATTEMPT = 2 ]; then echo second; exit 0; fi; rm -f $L; )" + swap + "; touch " +
                             daemon->file("swapped") + "; while [ ! -e " + daemon->file("go") +
                             R"( ]; do sleep 0.01; done; echo late; exit 1"]})");
}

struct Swap {
  const char* name;
  const char* script;
  bool told;  // while it lies there, a reader of the log is told
};
constexpr Swap kSwaps[] = {
    {"fifo", "mkfifo $L", true},
    {"link", "ln -s $V $L", true},
    {"shadow", "ln -s /etc/shadow $L", true},
    {"second-name", "ln $V $L", true},
    {"directory", "mkdir $L", true},
    {"full-directory", "mkdir $L $L/x", true},
    {"device", "ln -s /dev/zero $L", true},
    {"sparse", "truncate -s 1T $L", false},
    {"removed", ":", false},
};

int make_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  for (const Swap& swap : kSwaps) add_swapping_kind(swap.name, swap.script);
  write_file(daemon->file("victim"), "unharmed");
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

std::string log_of(const std::string& id) { return text(daemon->result("job.log", with_id(id)).view().get("data")); }

void a_job_that_replaces_its_log_stops_the_engine(void**) {
  assert_true(daemon->start());
  for (const Swap& swap : kSwaps) {
    unlink(daemon->file("swapped").c_str());
    unlink(daemon->file("go").c_str());
    const std::string id = daemon->submit(swap.name);
    until(swap.name, [] { return access(daemon->file("swapped").c_str(), F_OK) == 0; });
    if (swap.told) {
      const Error refused = daemon->error("job.log", with_id(id));
      assert_int_equal(static_cast<int>(refused.code), static_cast<int>(Errc::not_found));
      assert_non_null(strstr(refused.detail.c_str(), "its program put something else"));
      assert_null(strstr(refused.detail.c_str(), "/"));
    } else {
      (void)daemon->result("job.log", with_id(id, R"(,"offset":-4096)"));
    }
    daemon->touch("go");
    daemon->until(id, "completed");
    if (std::string(swap.name) != "full-directory") assert_string_equal(log_of(id).c_str(), "second\n");
    assert_string_equal(contents(daemon->file("victim")).c_str(), "unharmed");
  }
  const std::string log = daemon->stderr_text();
  assert_true(log.find("is a FIFO") != std::string::npos && log.find("event=job_log_failed") != std::string::npos);
  assert_int_equal(daemon->stop(), 0);
}

void a_directory_of_logs_that_becomes_a_link_is_not_followed(void**) {
  assert_true(daemon->start());
  const std::string before = daemon->submit("echo"), logs = daemon->file("state/logs");
  daemon->until(before, "completed");
  std::filesystem::rename(logs, daemon->file("elsewhere"));
  std::filesystem::create_directory_symlink(daemon->file("elsewhere"), logs);
  (void)daemon->error("job.log", with_id(before));
  const std::string after = daemon->submit("echo");
  daemon->until(after, "completed");  // its output counts as dropped
  assert_false(std::filesystem::exists(daemon->file("elsewhere/" + after + ".log")));
  assert_int_equal(daemon->stop(), 0);
  assert_false(daemon->start());
  assert_int_equal(daemon->wait_exit(), 2);
  assert_non_null(strstr(daemon->stderr_text().c_str(), "put the directory back"));
}

void retention_removes_what_lies_in_a_logs_place_and_nothing_else(void**) {
  daemon = std::make_unique<Daemon>(R"(,"retain_count":0)");
  write_file(daemon->file("victim"), "unharmed");
  assert_true(daemon->start());
  const std::string id = daemon->submit("echo"), log = daemon->file("state/logs/" + id + ".log");
  daemon->until(id, "completed");
  std::filesystem::remove(log);
  std::filesystem::create_symlink(daemon->file("victim"), log);
  assert_int_equal(daemon->stop(), 0);
  assert_true(daemon->start());
  until("the link goes", [&] { return !std::filesystem::is_symlink(log); });
  assert_string_equal(contents(daemon->file("victim")).c_str(), "unharmed");
}

void a_journal_or_lock_that_is_something_else_is_not_waited_for(void**) {
  const std::string journal = daemon->socket() + ".progress", lock = daemon->file("state/lock");
  for (const char* swap : {"fifo", "link", "sparse", "second-name", "directory"}) {
    const std::string what = swap;
    std::filesystem::remove_all(journal);
    if (what == "fifo") assert_int_equal(mkfifo(journal.c_str(), 0600), 0);
    if (what == "link") std::filesystem::create_symlink(daemon->file("victim"), journal);
    if (what == "second-name") std::filesystem::create_hard_link(daemon->file("victim"), journal);
    if (what == "directory") std::filesystem::create_directory(journal);
    if (what == "sparse") {
      write_file(journal, "");
      assert_int_equal(truncate(journal.c_str(), off_t{1} << 40), 0);
    }
    assert_true(daemon->start());
    daemon->until(daemon->submit("percent", daemon->gate("go")), "running");
    daemon->kill_hard();
    assert_string_equal(contents(daemon->file("victim")).c_str(), "unharmed");
  }
  for (const char* swap : {"fifo", "link", "second-name"}) {
    const std::string what = swap;
    unlink(lock.c_str());
    if (what == "fifo") assert_int_equal(mkfifo(lock.c_str(), 0600), 0);
    if (what == "link") std::filesystem::create_symlink(daemon->file("victim"), lock);
    if (what == "second-name") std::filesystem::create_hard_link(daemon->file("victim"), lock);
    assert_false(daemon->start());
    assert_int_equal(daemon->wait_exit(), 2);
    assert_non_null(strstr(daemon->stderr_text().c_str(), lock.c_str()));
  }
}

void a_loop_that_stands_still_is_not_noticed_by_the_manager(void**) {
  daemon->watchdog_ms(600);
  assert_true(daemon->start());
  for (int i = 0; i < 3; ++i) assert_string_equal(daemon->told_manager(kPatienceMs).c_str(), "WATCHDOG=1");
  kill(daemon->pid(), SIGSTOP);
  while (!daemon->told_manager(200).empty()) {
  }
  assert_string_equal(daemon->told_manager(1200).c_str(), "");  // the manager waits no longer than 600 ms
  kill(daemon->pid(), SIGCONT);
  assert_string_equal(daemon->told_manager(kPatienceMs).c_str(), "WATCHDOG=1");
  assert_int_equal(daemon->stop(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_job_that_replaces_its_log_stops_the_engine, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_directory_of_logs_that_becomes_a_link_is_not_followed, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(retention_removes_what_lies_in_a_logs_place_and_nothing_else, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_journal_or_lock_that_is_something_else_is_not_waited_for, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_loop_that_stands_still_is_not_noticed_by_the_manager, make_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
