// What a process costs: /bin/true from prepare() to on_finished through the launcher, beside a bare posix_spawn and waitpid.
// `./dev bench launch`.
#include <spawn.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/log.h"
#include "bench/bench.h"
#include "engine/launcher.h"

using namespace jobcast;
using namespace jobcast::bench;
using namespace jobcast::engine;

namespace {

constexpr int kRounds = 301;
constexpr double kRatioGoal = 4;  // a gate, a session, seven descriptors, memory for args, result and latch, a log, a control group

struct Ends : LauncherObserver {
  void on_progress(const JobId&, uint64_t, const engine::Progress&) override {}
  void on_cancel_acknowledged(const JobId&, uint64_t) override {}
  void on_finished(const JobId&, uint64_t, const Outcome& outcome) override {
    invariant(outcome.success);
    ++finished;
  }
  void on_orphan_gone(const Attempt&) override {}
  int finished = 0;
};

void spawn_bare() {
  char* argv[] = {const_cast<char*>("/bin/true"), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = 0;
  invariant(posix_spawn(&pid, argv[0], nullptr, nullptr, argv, environment) == 0 && waitpid(pid, nullptr, 0) == pid);
}

template <class Work>
double time_us(Work&& work) {
  const int64_t start = now_ns();
  work();
  return static_cast<double>(now_ns() - start) / 1000;
}

void measure(Table& table, const char* name, const std::string& logs, LauncherOptions options) {
  Loop loop;
  Ends ends;
  Launcher launcher(loop, ends, logs, 50, options);
  KindConfig kind;
  kind.argv = {"/bin/true"};
  Job job;
  JobIdSource ids;
  const auto launch = [&] {
    job.id = ids.next(now().unix_ms);
    ++job.fence;
    invariant(launcher.prepare(job, kind).ok());
    launcher.release(job.id);
    for (const int before = ends.finished; ends.finished == before;) loop.turn(1000);
  };
  Samples samples;
  for (int i = 0; i < kRounds; ++i) {  // by turns: what else the machine does falls on both
    samples.add("bare", time_us(spawn_bare));
    samples.add("launcher", time_us(launch));
  }
  table.ratio(name, samples.median("launcher"), "us", samples.median("bare"), Goal::at_most, kRatioGoal);
}

}  // namespace

int main(int argc, char** argv) {
  char dir[] = "/tmp/jobcast-bench-XXXXXX";
  invariant(mkdtemp(dir) != nullptr);
  Table table(wants_json(argc, argv));
  measure(table, "job of /bin/true, start to finish", dir, {});
  measure(table, "the same without a control group", dir, {false, true});
  std::filesystem::remove_all(dir);
}
