// An engine of its own for the tests that kill one: starts one job, writes the attempt's proof to a file, and turns its loop for ever.
//   job_engine prepare|release plain|full DIR PROGRAM [ARGUMENT…]
#include <fstream>
#include <string_view>

#include "tests/engine/launcher_fixture.h"

int main(int argc, char** argv) {
  using namespace jobcast::engine;
  using namespace jobcast::engine::test;
  if (argc < 5) return 2;
  Loop loop;
  Recorder seen;
  const std::string dir = argv[3];
  Launcher launcher(loop, seen, dir + "/logs", 50, std::string_view(argv[2]) == "plain" ? kPlain : LauncherOptions{});
  Job job;
  jobcast::JobIdSource ids;
  job.id = ids.next(jobcast::now().unix_ms);
  job.attempt = 1;
  job.fence = 7;
  const auto attempt = launcher.prepare(job, Engine::program({argv + 4, argv + argc}));
  if (!attempt) return 3;
  if (std::string_view(argv[1]) == "release") launcher.release(job.id);
  std::ofstream(dir + "/attempt.part") << job.id.text() << ' ' << attempt->pid << ' ' << attempt->start_ticks << ' ' << attempt->boot_id
                                       << ' ' << attempt->cgroup << '\n';
  std::filesystem::rename(dir + "/attempt.part", dir + "/attempt");
  loop.run();
}
