// A launcher with its loop and an observer that remembers, for tests that run real programs. Waits are bounded, never fixed.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "engine/launcher.h"
#include "engine/proc.h"
#include "tests/cmocka.h"

namespace jobcast::engine::test {

constexpr int64_t kBoundMs = 20'000;

inline std::string beside_this_test(const char* name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

inline std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct TempDir {
  TempDir() {
    char name[] = "/tmp/jobcast-test-XXXXXX";
    path = mkdtemp(name);
    chmod(path.c_str(), 0755);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

struct Recorder : LauncherObserver {
  struct Told {
    int64_t mono_ns;
    Progress progress;
  };
  void on_progress(const JobId& job, uint64_t, const Progress& raw) override { progress[job].push_back({now().mono_ns, raw}); }
  void on_cancel_acknowledged(const JobId& job, uint64_t) override { ++acknowledged[job]; }
  void on_finished(const JobId& job, uint64_t fence, const Outcome& outcome) override {
    finished[job].push_back(outcome);
    fences[job] = fence;
    if (then) then();
  }
  void on_orphan_gone(const Attempt& attempt) override { ++gone[attempt.job]; }
  std::map<JobId, std::vector<Told>> progress;
  std::map<JobId, int> acknowledged, gone;
  std::map<JobId, std::vector<Outcome>> finished;
  std::map<JobId, uint64_t> fences;
  std::function<void()> then;
};

struct Engine {
  explicit Engine(LauncherOptions options = {}, int64_t progress_interval_ms = 50)
      : launcher(std::make_unique<Launcher>(loop, seen, dir.path + "/logs", progress_interval_ms, options)) {}

  // Turns the loop until `done`; fails the test when it does not become true in time.
  template <class Done>
  void until(const char* what, Done done, int64_t bound_ms = kBoundMs) {
    const int64_t end = now().mono_ms() + bound_ms;
    while (!done()) {
      if (now().mono_ms() > end) fail_msg("not in time: %s", what);
      loop.turn(10);
    }
  }

  Job job() {
    Job made;
    made.id = ids.next(now().unix_ms);
    made.kind = "test";
    made.attempt = 1;
    made.fence = ++fence;
    return made;
  }

  Attempt start(const Job& made, const KindConfig& kind) {
    const auto attempt = launcher->prepare(made, kind);
    if (!attempt) fail_msg("prepare: %s", attempt.error().detail.c_str());
    launcher->release(made.id);
    return attempt.value();
  }

  Outcome finish(const Job& made) {
    until("the job's end", [&] { return !seen.finished[made.id].empty(); });
    assert_int_equal(seen.finished[made.id].size(), 1);
    assert_int_equal(seen.fences[made.id], made.fence);
    return seen.finished[made.id].front();
  }

  Outcome run(const KindConfig& kind, const std::string& args = "{}") {
    last = job();
    last.args_json = args;
    start(last, kind);
    return finish(last);
  }

  Outcome run_shell(const std::string& script) { return run(shell(script)); }
  [[nodiscard]] std::string log() const { return contents(launcher->log_path(last.id)); }

  // A file that a job writes when it has come to a certain point, by renaming it into place or in one small write.
  std::string wait_for_file(const std::string& name) {
    const std::string path = dir.path + "/" + name;
    until(name.c_str(), [&] { return !contents(path).empty(); });
    return contents(path);
  }

  static KindConfig program(std::vector<std::string> argv) {
    KindConfig kind;
    kind.name = "test";
    kind.argv = std::move(argv);
    kind.grace_ms = 300;
    kind.cancel_ms = 300;
    return kind;
  }
  static KindConfig shell(const std::string& script) { return program({"/bin/sh", "-c", script}); }
  static KindConfig helper(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), beside_this_test("job_program"));
    return program(std::move(arguments));
  }

  TempDir dir;
  Loop loop;
  Recorder seen;
  JobIdSource ids;
  uint64_t fence = 0;
  Job last;
  std::unique_ptr<Launcher> launcher;
};

inline bool alive(pid_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat && !stat->dead();
}

// What does not depend on the kernel's newer gifts must hold without them.
constexpr LauncherOptions kPlain{false, false};

}  // namespace jobcast::engine::test
