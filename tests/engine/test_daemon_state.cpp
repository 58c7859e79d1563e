// A state directory to which something happened: the engine refuses it or stops acknowledging, says which file and what to do, and touches
// nothing. Real engines, killed and stopped, and real damage.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;
namespace fs = std::filesystem;

std::unique_ptr<Daemon> daemon;

int make_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

std::string in_state(const std::string& name) { return daemon->file("state/" + name); }
std::string db() { return in_state("jobs.db"); }
std::string wal() { return in_state("jobs.db-wal"); }
std::string mark() { return in_state("acknowledged"); }

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// Jobs that wait for good: what is there afterwards can be counted.
std::vector<std::string> submit_some(int count) {
  std::vector<std::string> ids;
  for (int i = 0; i < count; ++i) ids.push_back(daemon->submit("echo", R"(,"run_at_ms":4102444800000)"));
  return ids;
}

// Starts, acknowledges some jobs, and is killed: the newest changes are in the log alone.
void killed_with(int jobs) {
  assert_true(daemon->start());
  submit_some(jobs);
  daemon->kill_hard();
}

std::map<std::string, std::string> everything() {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(daemon->file("state")))
    if (entry.is_regular_file() && !entry.is_symlink()) out[entry.path()] = contents(entry.path());
  return out;
}

void refused(const char* what, const std::string& file, const char* remedy) {
  const auto before = everything();
  const std::string log = daemon->file("stderr");
  unlink(log.c_str());
  if (daemon->start()) fail_msg("%s: the engine started", what);
  const int status = daemon->wait_exit();
  const std::string said = daemon->stderr_text();
  if (status != 2) fail_msg("%s: status %d: %s", what, status, said.c_str());
  if (said.find(file) == std::string::npos || said.find(remedy) == std::string::npos)
    fail_msg("%s: neither \"%s\" nor \"%s\" may be missing: %s", what, file.c_str(), remedy, said.c_str());
  const auto after = everything();
  for (const auto& [path, bytes] : before)
    if (!after.contains(path) || after.at(path) != bytes) fail_msg("%s: %s was touched", what, path.c_str());
  if (after.size() != before.size()) fail_msg("%s: %zu files became %zu", what, before.size(), after.size());
}

void sql(const char* text) {
  sqlite3* connection = nullptr;
  assert_int_equal(sqlite3_open(db().c_str(), &connection), SQLITE_OK);
  char* error = nullptr;
  if (sqlite3_exec(connection, text, nullptr, nullptr, &error) != SQLITE_OK) fail_msg("%s: %s", text, error);
  sqlite3_close(connection);
}

void acknowledged_jobs_are_gone_with_a_missing_or_damaged_log(void**) {
  const std::map<const char*, std::function<void()>> damages = {
      {"removed", [] { unlink(wal().c_str()); }},
      {"empty", [] { fs::resize_file(wal(), 0); }},
      {"halved", [] { fs::resize_file(wal(), fs::file_size(wal()) / 2); }},
      {"cut by a byte", [] { fs::resize_file(wal(), fs::file_size(wal()) - 1); }},
      {"a byte in its middle",
       [] {
         std::string bytes = contents(wal());
         bytes[bytes.size() / 2] ^= 1;
         write_file(wal(), bytes);
       }},
      {"its head",
       [] {
         std::string bytes = contents(wal());
         bytes[17] ^= 1;
         write_file(wal(), bytes);
       }},
      {"of another database", [] { write_file(wal(), std::string(100'000, 'x')); }},
  };
  for (const auto& [what, damage] : damages) {
    daemon = std::make_unique<Daemon>();
    killed_with(20);
    const std::string whole = contents(wal());
    damage();
    refused(what, db(), mark().c_str());
    refused(what, db(), "changes that were acknowledged");  // and again: looking changed nothing
    write_file(wal(), whole);
    assert_true(daemon->start());
    assert_int_equal(daemon->result("job.list", "{}").view().get("jobs").size(), 20);
    daemon->kill_hard();
    damage();
    refused(what, db(), mark().c_str());
    unlink(mark().c_str());  // the remedy for who has no copy
    assert_true(daemon->start());
    submit_some(1);
    assert_int_equal(daemon->stop(), 0);
  }
}

void an_emptied_or_missing_database_begins_anew(void**) {
  for (const bool clean : {false, true}) {
    daemon = std::make_unique<Daemon>();
    assert_true(daemon->start());
    submit_some(5);
    if (clean)
      assert_int_equal(daemon->stop(), 0);
    else
      daemon->kill_hard();
    const std::string whole = contents(db());
    fs::resize_file(db(), 0);
    refused("empty", db() + " is empty", mark().c_str());
    unlink(db().c_str());
    refused("removed", db() + " is missing", mark().c_str());
    unlink(wal().c_str());
    refused("all removed", db() + " is missing", mark().c_str());
    write_file(db(), whole.substr(0, 4096));
    refused("cut", db(), clean ? "damaged" : "");
  }
}

void an_older_or_foreign_database_is_taken_for_this_one(void**) {
  assert_true(daemon->start());
  submit_some(3);
  assert_int_equal(daemon->stop(), 0);
  const std::string older = contents(db());
  fs::copy(daemon->file("state"), daemon->file("copy"), fs::copy_options::recursive);
  assert_true(daemon->start());
  submit_some(3);
  assert_int_equal(daemon->stop(), 0);
  const std::string newer = contents(db());
  write_file(db(), older);
  refused("older", db(), "acknowledged");

  Daemon other;
  assert_true(other.start());
  assert_int_equal(other.stop(), 0);
  write_file(db(), contents(other.file("state/jobs.db")));
  refused("foreign", db(), "is not the database");
  write_file(db(), newer);
  assert_true(daemon->start());
  assert_int_equal(daemon->result("job.list", "{}").view().get("jobs").size(), 6);
  assert_int_equal(daemon->stop(), 0);

  // A copy of a whole directory is one to go on with.
  fs::remove_all(daemon->file("state"));
  fs::rename(daemon->file("copy"), daemon->file("state"));
  assert_true(daemon->start());
  assert_int_equal(daemon->result("job.list", "{}").view().get("jobs").size(), 3);
  assert_int_equal(daemon->stop(), 0);
}

void rows_that_no_engine_wrote_are_taken_in(void**) {
  struct Row {
    const char* what;
    const char* change;
  };
  static constexpr Row kRows[] = {
      {"state", "UPDATE jobs SET state = 99"},
      {"no state", "UPDATE jobs SET state = 0"},
      {"reason", "UPDATE jobs SET reason = 'bad luck'"},
      {"meta", "UPDATE jobs SET meta = '{'"},
      {"meta that is none", "UPDATE jobs SET meta = '[]'"},
      {"args", "INSERT INTO args SELECT id, '{]' FROM jobs LIMIT 1"},
      {"rev beyond", "UPDATE jobs SET rev = 9007199254740992"},
      {"rev below", "UPDATE jobs SET rev = -1"},
      {"fence", "UPDATE jobs SET fence = 1 << 60"},
      {"id",
       "INSERT INTO jobs SELECT x'0102', kind, owner, queue, priority, created_ms, meta, unique_key, '', state, reason, attempt, "
       "max_attempts, "
       "crashes, fence, run_at_ms, started_ms, finished_ms, cancel_requested_ms, cancel_by, cancel_acknowledged_ms, exit_code, error, "
       "result_bytes, rev, done, total, percent, rate, eta_ms, phase, message FROM jobs LIMIT 1"},
      {"never made", "UPDATE jobs SET created_ms = 0"},
      {"attempts", "INSERT INTO attempts SELECT id, 1, -1, 1, 'x', '' FROM jobs LIMIT 1"},
      {"no utf-8", "UPDATE jobs SET error = CAST(x'ff' AS TEXT)"},
  };
  assert_true(daemon->start());
  submit_some(2);
  assert_int_equal(daemon->stop(), 0);
  const std::string good = contents(db()), good_mark = contents(mark());
  for (const Row& row : kRows) {
    sql(row.change);
    refused(row.what, "jobs.db", "restore a copy");
    write_file(db(), good);
    unlink(wal().c_str());
    write_file(mark(), good_mark);
  }
  assert_true(daemon->start());
  assert_int_equal(daemon->stop(), 0);
}

void a_database_that_is_something_else_is_followed(void**) {
  assert_true(daemon->start());
  submit_some(2);
  assert_int_equal(daemon->stop(), 0);
  fs::rename(db(), daemon->file("real"));
  fs::create_symlink(daemon->file("real"), db());
  refused("link", db(), "is a symbolic link");
  unlink(db().c_str());
  assert_int_equal(mkfifo(db().c_str(), 0600), 0);
  refused("fifo", db(), "is a FIFO");
  unlink(db().c_str());
  fs::create_hard_link(daemon->file("real"), db());
  refused("hard link", db(), "second name");
  unlink(db().c_str());
  fs::rename(daemon->file("real"), db());
  assert_int_equal(mkfifo(wal().c_str(), 0600), 0);
  refused("fifo for the log", wal(), "is a FIFO");
  unlink(wal().c_str());
  write_file(db() + "-journal", std::string(4096, 'j'));
  refused("journal", db() + "-journal", "move it away");
  unlink((db() + "-journal").c_str());
  if (geteuid() == 0) {
    assert_int_equal(chown(db().c_str(), 12345, 12345), 0);
    refused("somebody else's", db(), "belongs to user 12345");
    assert_int_equal(chown(db().c_str(), 0, 0), 0);
  }
  assert_true(daemon->start());
  assert_int_equal(daemon->stop(), 0);
}

void not_acknowledged(const char* what) {
  const Error error = daemon->error("job.submit", R"({"kind":"echo","owner":"alice"})");
  assert_int_equal(static_cast<int>(error.code), static_cast<int>(Errc::retry));
  if (error.detail.find(what) == std::string::npos) fail_msg("\"%s\" is not in: %s", what, error.detail.c_str());
  assert_null(strstr(error.detail.c_str(), "/"));  // it goes to clients
}

void further_jobs_are_acknowledged_into_nothing(void**) {
  assert_true(daemon->start());
  submit_some(2);
  fs::rename(daemon->file("state"), daemon->file("away"));
  not_acknowledged("jobs.db was removed");
  fs::create_directory(daemon->file("state"));
  write_file(db(), "");
  not_acknowledged("jobs.db was replaced");
  fs::remove_all(daemon->file("state"));
  fs::rename(daemon->file("away"), daemon->file("state"));
  submit_some(2);  // it is put back, and the engine goes on

  fs::rename(wal(), daemon->file("wal"));
  not_acknowledged("jobs.db-wal was removed");
  fs::rename(daemon->file("wal"), wal());
  unlink(mark().c_str());
  submit_some(1);  // made anew
  assert_true(fs::exists(mark()));

  const std::string running = daemon->submit("wait", daemon->gate("go"));
  daemon->until(running, "running");
  fs::rename(daemon->file("state"), daemon->file("away"));
  daemon->touch("go");
  until("its end is not shown", [] { return daemon->stderr_text().find("event=store_failed") != std::string::npos; });
  assert_string_equal(daemon->state(running).c_str(), "running");
  fs::rename(daemon->file("away"), daemon->file("state"));
  daemon->until(running, "completed");
  assert_int_equal(daemon->result("job.list", "{}").view().get("jobs").size(), 6);

  fs::remove_all(daemon->file("state"));
  not_acknowledged("jobs.db was removed");
  daemon->kill_hard();
}

void a_database_that_is_emptied_under_a_running_engine_is_noticed(void**) {
  assert_true(daemon->start());
  submit_some(2);
  assert_int_equal(daemon->stop(), 0);
  assert_true(daemon->start());
  fs::resize_file(db(), 0);
  not_acknowledged("jobs.db was cut");
  daemon->kill_hard();
}

// A kill at any moment, the first one included, is no damage.
void a_kill_is_taken_for_damage(void**) {
  const char* const soak = getenv("JOBCAST_SOAK");
  const int rounds = soak ? atoi(soak) : 40;
  for (int round = 0; round < rounds; ++round) {
    if (round % 10 == 0) daemon = std::make_unique<Daemon>();
    if (!daemon->start()) fail_msg("refused in round %d: %s", round, daemon->stderr_text().c_str());
    const pid_t pid = daemon->pid();
    const auto moment_us = static_cast<useconds_t>(rand() % 30'000);
    const pid_t killer = fork();
    if (killer == 0) {
      usleep(moment_us);
      _exit(kill(pid, SIGKILL) == 0 ? 0 : 1);
    }
    while (daemon->connected())
      if (!daemon->client().call_raw("job.submit", *Json::parse(R"({"kind":"echo","owner":"alice"})"))) break;
    waitpid(killer, nullptr, 0);
    daemon->kill_hard();
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(acknowledged_jobs_are_gone_with_a_missing_or_damaged_log, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(an_emptied_or_missing_database_begins_anew, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(an_older_or_foreign_database_is_taken_for_this_one, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(rows_that_no_engine_wrote_are_taken_in, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_database_that_is_something_else_is_followed, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(further_jobs_are_acknowledged_into_nothing, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_database_that_is_emptied_under_a_running_engine_is_noticed, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_kill_is_taken_for_damage, make_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
