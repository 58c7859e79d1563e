// A real jobcastd for tests: its directory, its process, its control socket. One thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/handle.h"
#include "base/json.h"
#include "base/result.h"
#include "ipc/control_client.h"
#include "ipc/region.h"

namespace jobcast::test {

// A condition is looked at again every few milliseconds; after this long the test fails.
constexpr int kPatienceMs = 15'000;

class Daemon {
 public:
  // `more`: further top-level members of the config, such as ",\"retain_count\":3".
  explicit Daemon(const std::string& more = {});
  ~Daemon();  // ends the engine and removes the directory
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Before start(): one more kind, as it stands in the config.
  void add_kind(const std::string& name, const std::string& object);
  // Before start(), and as root: the engine runs as this user, who gets the directory.
  void run_as(uid_t user);

  // The engine starts on another boot of the machine from now on: it has a boot_id of its own mounted over the kernel's. False: this
  // user may not do that here.
  bool boot(const std::string& name);

  // Before start(): the manager wants a WATCHDOG=1 within this time.
  void watchdog_ms(int within) { watchdog_ms_ = within; }
  // The next thing that the engine tells its manager after READY=1; "" if that takes longer.
  std::string told_manager(int patience_ms) const;

  // Starts jobcastd and waits until it says READY=1 to its NOTIFY_SOCKET. False: it ended first; see exit_status().
  bool start();
  void kill_hard();  // SIGKILL, and waits until the process is gone
  int stop();        // SIGTERM; the exit status
  int wait_exit();
  [[nodiscard]] pid_t pid() const { return pid_; }

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] std::string file(const std::string& name) const { return dir_ + "/" + name; }
  // What a submit adds for a job that waits for this file.
  [[nodiscard]] std::string gate(const std::string& name) const { return R"(,"args":{"file":")" + file(name) + R"("})"; }
  [[nodiscard]] std::string socket() const { return dir_ + "/engine.sock"; }
  [[nodiscard]] std::string stderr_text() const;
  // For a test that takes the disk away: what the engine logs comes through a pipe, which stderr_text() empties.
  void log_through_pipe() { piped_ = true; }
  void touch(const std::string& name) const;

  ControlClient& client();  // connects when it has to
  void disconnect() { client_.reset(); }
  bool connected();  // tries to connect where there is no connection; notices an engine that is gone

  // `params` is JSON. raw() and result() fail the test when there is no result; error() when there is no error.
  std::string raw(const char* method, const std::string& params);  // the very bytes
  Json result(const char* method, const std::string& params);
  Error error(const char* method, const std::string& params);
  // The id of a new job: kind and further members, such as ",\"priority\":5".
  std::string submit(const std::string& kind, const std::string& more = {});
  Json job(const std::string& id);
  std::string state(const std::string& id);
  Json until(const std::string& id, const std::string& state);  // the snapshot, once the job is there

 private:
  void write_config() const;

  std::string dir_, kinds_, more_, boot_;
  std::optional<uid_t> user_;
  int watchdog_ms_ = 0;
  pid_t pid_ = -1;
  Fd notify_, log_;
  bool piped_ = false;
  mutable std::string logged_;
  std::optional<ControlClient> client_;
};

void until(const char* what, const std::function<bool()>& condition);

// A copy of an event, as a reader keeps it.
struct Seen {
  std::string job;
  uint64_t rev = 0;
  JobState state = JobState::queued;
  bool list_changed = false;
  std::string owner, snapshot;
};

// Attached to a daemon's region by a connection of its own.
class Watcher {
 public:
  explicit Watcher(const Daemon& daemon);
  std::vector<Seen> table();  // what the state table holds now
  // Drains into seen() and, where nothing is there, sleeps on the doorbell until something comes. False: the engine is gone.
  bool wait();
  const std::vector<Seen>& seen() const { return seen_; }
  const Seen& until(const std::string& job, JobState state);
  uint64_t epoch() const { return reader_.epoch(); }

 private:
  explicit Watcher(std::pair<ControlClient, ControlClient::Attached> both);
  Watcher(ControlClient client, ControlClient::Attached attached);
  ControlClient client_;
  RegionReader reader_;
  std::vector<Seen> seen_;
};

// The params of a method about one job.
inline std::string with_id(const std::string& id, const std::string& more = {}) { return R"({"job_id":")" + id + "\"" + more + "}"; }

}  // namespace jobcast::test
