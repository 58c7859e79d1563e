// A process that inserts and finishes jobs, and says so only when the store has answered, is killed at random points. Whatever it said
// must be true of the file that it leaves.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>

#include "base/handle.h"
#include "tests/engine/store_fixture.h"

extern char** environ;

namespace {

using namespace jobcast::engine;
using jobcast::Fd;
using jobcast::JobId;
using jobcast::JobState;

struct Said {
  std::array<uint8_t, 16> job;
  uint8_t state;
  uint8_t boot;
};

// The process that will be killed. Keeps up to 64 jobs on their way.
[[noreturn]] void work(const char* path) {
  auto opened = Store::open(path);
  if (!opened) abort();
  Store& store = **opened;
  const auto loaded = store.load(10);
  if (!loaded) abort();
  const auto say = [&](const Job& job) {
    const Said said{job.id.bytes, static_cast<uint8_t>(job.state), static_cast<uint8_t>(loaded->boot)};
    if (write(STDOUT_FILENO, &said, sizeof said) != sizeof said) _exit(1);
  };
  int on_their_way = 0;
  for (;;) {
    while (on_their_way < 64) {
      ++on_their_way;
      store.insert(new_job(), [&](auto inserted) {
        if (!inserted) abort();
        Job job = inserted->job;
        say(job);
        job.state = JobState::running;
        job.fence = 1;
        store.update(job, Attempt{job.id, 1, 1, 1, "boot", ""}, [&, job](auto done) mutable {
          if (!done) abort();
          say(job);
          job.state = JobState::completed;
          job.finished_ms = 1;
          job.result_json = "{\"r\":1}";
          job.result_bytes = job.result_json.size();
          store.update(job, std::nullopt, [&, job](auto finished) {
            if (!finished) abort();
            say(job);
            --on_their_way;
          });
        });
      });
    }
    pollfd ready{store.ready_fd(), POLLIN, 0};
    poll(&ready, 1, -1);
    store.deliver();
  }
}

// Runs the worker until it has said `enough` things, kills it, and gives all that it said.
std::map<JobId, Said> killed_after(size_t enough) {
  std::array<int, 2> ends{};
  assert_int_equal(pipe2(ends.data(), O_CLOEXEC), 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
  const std::string path = store_path();
  std::array<char*, 4> argv{const_cast<char*>("test_store_kill"), const_cast<char*>("--work"), const_cast<char*>(path.c_str()), nullptr};
  pid_t child = 0;
  assert_int_equal(posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
  to.reset();
  std::map<JobId, Said> out;
  Said said{};
  for (size_t count = 0; read(from.get(), &said, sizeof said) == sizeof said; ++count) {
    if (count == enough) kill(child, SIGKILL);
    out[JobId{said.job}] = said;
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  return out;
}

void nothing_that_was_answered_is_lost_to_kill_9(void**) {
  std::mt19937 random(std::random_device{}());
  uint32_t boot = 0;
  size_t checked = 0;
  for (int round = 0; round < 8; ++round) {
    const auto said = killed_after(random() % 1500);
    auto store = open_store();
    const auto loaded = store->load(1'000'000);
    if (!loaded) fail_msg("%s", loaded.error().detail.c_str());
    assert_true(loaded->boot > boot);
    boot = loaded->boot;
    std::map<JobId, const Job*> jobs;
    for (const auto* list : {&loaded->live, &loaded->finished})
      for (const Job& job : *list) assert_true(jobs.emplace(job.id, &job).second);  // in one state, not in two
    for (const auto& [id, what] : said) {
      const auto found = jobs.find(id);
      if (found == jobs.end()) fail_msg("job %s was answered and is lost", id.text().c_str());
      const Job& job = *found->second;
      if (static_cast<int>(job.state) < what.state)
        fail_msg("job %s was said to be %d and is %d", id.text().c_str(), what.state, static_cast<int>(job.state));
      if (job.state == JobState::completed) assert_string_equal(job.result_json.c_str(), "{\"r\":1}");
      assert_true(what.boot < boot);
      ++checked;
    }
    for (const Attempt& attempt : loaded->attempts) assert_int_equal(jobs.at(attempt.job)->state, JobState::running);
  }
  assert_true(checked > 100);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--work") work(argv[2]);
  const CMUnitTest tests[] = {cmocka_unit_test(nothing_that_was_answered_is_lost_to_kill_9)};
  return cmocka_run_group_tests(tests, make_store_directory, remove_store_directory);
}
