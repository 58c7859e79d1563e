// What a process costs: /bin/true from prepare() to on_finished through the launcher, beside a bare posix_spawn and waitpid in the same run.
//   launch [--json] [--count N]
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/launcher.h"

namespace {

using namespace jobcast::engine;

constexpr double kRatioGoal = 4.0;

struct Ends : LauncherObserver {
  void on_progress(const jobcast::JobId&, uint64_t, const Progress&) override {}
  void on_cancel_acknowledged(const jobcast::JobId&, uint64_t) override {}
  void on_finished(const jobcast::JobId&, uint64_t, const Outcome& outcome) override {
    if (!outcome.success) std::abort();
    ++finished;
  }
  void on_orphan_gone(const Attempt&) override {}
  int finished = 0;
};

double time_us(const std::function<void()>& once) {
  const int64_t begin = jobcast::now().mono_ns;
  once();
  return static_cast<double>(jobcast::now().mono_ns - begin) / 1000;
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void spawn_bare() {
  char* argv[] = {const_cast<char*>("/bin/true"), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  if (posix_spawn(&pid, argv[0], nullptr, nullptr, argv, environment) != 0 || waitpid(pid, nullptr, 0) != pid) std::abort();
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  int count = 200;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--json")) json = true;
    if (!std::strcmp(argv[i], "--count") && i + 1 < argc) count = std::max(1, std::atoi(argv[++i]));
  }
  char dir[] = "/tmp/jobcast-bench-XXXXXX";
  if (mkdtemp(dir) == nullptr) return 1;

  struct Way {
    const char* measure;
    LauncherOptions options;
  };
  bool all_met = true;
  for (const Way& way : {Way{"launch_true", {}}, Way{"launch_true_without_cgroup", {false, true}}}) {
    Loop loop;
    Ends ends;
    Launcher launcher(loop, ends, dir, 50, way.options);
    KindConfig kind;
    kind.argv = {"/bin/true"};
    Job job;
    jobcast::JobIdSource ids;
    const auto launch = [&] {
      job.id = ids.next(jobcast::now().unix_ms);
      ++job.fence;
      if (!launcher.prepare(job, kind)) std::abort();
      launcher.release(job.id);
      for (const int before = ends.finished; ends.finished == before;) loop.turn(1000);
    };
    spawn_bare();
    launch();
    std::vector<double> floors, values;  // by turns: what else the machine does falls on both
    for (int i = 0; i < count; ++i) {
      floors.push_back(time_us(spawn_bare));
      values.push_back(time_us(launch));
    }
    const double floor = median(floors), value = median(values);
    const double ratio = value / floor;
    all_met = all_met && ratio <= kRatioGoal;
    if (json)
      std::printf(R"({"measure":"%s","value":%.1f,"unit":"us","floor":%.1f,"ratio":%.2f,"goal":%.1f,"met":%s})"
                  "\n",
                  way.measure, value, floor, ratio, kRatioGoal, ratio <= kRatioGoal ? "true" : "false");
    else
      std::printf("%-28s %8.1f us   bare posix_spawn+waitpid %8.1f us   x %.2f   goal x %.1f: %s\n", way.measure, value, floor, ratio,
                  kRatioGoal, ratio <= kRatioGoal ? "met" : "not met");
  }
  std::filesystem::remove_all(dir);
  return all_met ? 0 : 1;
}
