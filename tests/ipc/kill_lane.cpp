// Writers and workers that die by SIGKILL at random moments, N times (default 200; `./dev soak lane` asks for 10,000). What they leave
// must hold no torn, stale or unreadable record, and no reader may sleep through what was flushed before the death.
// `kill_lane control`: the writer never rings, which must be found out.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

#include "base/clock.h"
#include "base/invariant.h"
#include "ipc/fd_channel.h"
#include "ipc/latch.h"
#include "ipc/membarrier.h"
#include "jobcast/worker.h"
#include "tests/ipc/region_fixture.h"

using namespace jobcast;
using namespace jobcast::test;
using Drained = RegionReader::Drained;

namespace {

constexpr int64_t kLostAfterMs = 10'000;  // a flushed event that no bell announced for so long

struct Totals {
  uint64_t records = 0, laps = 0, sleeps = 0, slots = 0, reports = 0;
} totals;

bool control = false;

// What the writer has certainly flushed; a page of the test's own.
struct Witness {
  uint64_t flushed_rev;
};

void pause_us(long us) {
  const timespec time{0, us * 1000};
  nanosleep(&time, nullptr);
}

[[noreturn]] void write_until_killed(int socket, Witness& witness, uint64_t seed) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::mt19937_64 random(seed);
  auto writer = RegionWriter::create({.ring_bytes = 65536, .slots = 16, .first_position = (uint64_t{1} << 32) - random() % 3000}).value();
  for (int i = 0; i < 2; ++i) {
    auto grant = writer.add_reader(random() % 2 && membarrier_offered());
    const int fds[] = {grant->region.get(), grant->block.get(), grant->doorbell.get()};
    invariant(send_with_fds(socket, "x", fds).ok());
  }
  for (uint64_t rev = 0;;) {
    for (uint64_t batch = 1 + random() % 8; batch > 0; --batch) {
      ++rev;
      put(writer, static_cast<uint32_t>(random() % 24), rev, random() % 10 ? JobState::running : JobState::completed);
    }
    if (!control) writer.flush();
    __atomic_store_n(&witness.flushed_rev, rev, __ATOMIC_RELEASE);
    if (random() % 4 == 0) pause_us(static_cast<long>(random() % 30));
  }
}

Result<RegionReader> receive_reader(int socket) {
  char byte;
  auto got = receive_with_fds(socket, {&byte, 1});
  invariant(got.ok() && got->fd_count == 3);
  return RegionReader::open(std::move(got->fds[0]), std::move(got->fds[1]), std::move(got->fds[2]));
}

class Checker {
 public:
  explicit Checker(RegionReader reader) : reader_(std::move(reader)) {}

  // Until caught up; a lap is answered by a resync.
  void drain() {
    for (;;) {
      const Drained end = reader_.drain([&](const Event& event) {
        invariant(proven(event));
        invariant(event.rev > ring_rev_);
        invariant(lapped_ || event.rev == ring_rev_ + 1);
        lapped_ = false;
        ring_rev_ = event.rev;
        by_job_[event.job] = event.rev;
        ++totals.records;
      });
      invariant(end != Drained::corrupt);
      if (end == Drained::empty) return;
      if (end == Drained::lapped) {
        ++totals.laps;
        lapped_ = true;
        reader_.resync([&](const Event& event) { invariant(proven(event)); });
      }
    }
  }

  // Sleeps as a reader does, until `until_ms` at most.
  void sleep(const Witness& witness, int64_t until_ms) {
    if (!reader_.arm()) return;
    ++totals.sleeps;
    const int64_t start = now().mono_ms();
    for (;;) {
      pollfd ready{reader_.doorbell_fd(), POLLIN, 0};
      if (poll(&ready, 1, 1) == 1) {
        (void)reader_.clear_doorbell();
        return;
      }
      const uint64_t flushed = __atomic_load_n(&witness.flushed_rev, __ATOMIC_ACQUIRE);
      // After a lap the newest rev that was passed over is not known.
      const bool lost = !lapped_ && flushed > ring_rev_ && poll(&ready, 1, 0) == 0;
      invariant(!lost);  // armed, flushed since, and nobody rang
      invariant(now().mono_ms() - start < kLostAfterMs);
      if (now().mono_ms() >= until_ms) return;
    }
  }

  // After the death: the bell says so, and every slot is readable and not behind the ring.
  void check_remains(RegionReader& late) {
    drain();
    pollfd ready{reader_.doorbell_fd(), POLLIN, 0};
    invariant(poll(&ready, 1, 1000) == 1);
    while (reader_.clear_doorbell()) {
    }
    std::map<JobId, uint64_t> table;
    late.begin_resync();
    Event event;
    for (uint32_t slot = 0; slot < late.slots(); ++slot) {
      if (!late.slot_changed(slot)) continue;
      invariant(late.read_slot(slot, event));  // written once: readable for ever
      invariant(proven(event));
      invariant(table.emplace(event.job, event.rev).second);
      ++totals.slots;
    }
    for (const auto& [id, rev] : table)
      if (const auto seen = by_job_.find(id); seen != by_job_.end()) invariant(rev >= seen->second);
    invariant(late.drain([](const Event&) {}) == Drained::empty);
  }

 private:
  RegionReader reader_;
  uint64_t ring_rev_ = 0;
  bool lapped_ = true;  // what was published before the first event it saw is not known
  std::map<JobId, uint64_t> by_job_;
};

void kill_a_writer(std::mt19937_64& random, Witness& witness) {
  witness.flushed_rev = 0;
  int ends[2];
  invariant(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  Fd mine(ends[0]), theirs(ends[1]);
  const uint64_t seed = random();
  const pid_t pid = fork();
  invariant(pid >= 0);
  if (pid == 0) write_until_killed(theirs.get(), witness, seed);
  theirs.reset();
  auto reader = receive_reader(mine.get());
  auto late = receive_reader(mine.get());
  invariant(reader.ok() && late.ok());
  Checker checker(std::move(*reader));
  const int64_t until_ns = now().mono_ns + static_cast<int64_t>(random() % 1'500'000);
  do {
    if (random() % 16 == 0) pause_us(500);  // long enough to be lapped
    checker.drain();
    checker.sleep(witness, until_ns / 1'000'000);
  } while (now().mono_ns < until_ns);
  kill(pid, SIGKILL);
  invariant(waitpid(pid, nullptr, 0) == pid);
  checker.check_remains(*late);
}

void kill_a_worker(std::mt19937_64& random) {
  auto latch = WorkerLatch::create().value();
  const Fd args(memfd_create("args", MFD_CLOEXEC));
  auto ends = latch.take_child_ends();
  const bool texts = random() % 2;
  const pid_t pid = fork();
  invariant(pid >= 0);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setenv("JOBCAST_LATCH_FD", std::to_string(ends.latch.get()).c_str(), 1);
    setenv("JOBCAST_DOORBELL_FD", std::to_string(ends.doorbell.get()).c_str(), 1);
    setenv("JOBCAST_ARGS_FD", std::to_string(args.get()).c_str(), 1);
    invariant(jobcast_worker_open() == JOBCAST_OK);
    for (uint64_t i = 1;; ++i) {
      const uint64_t value = i << 21 | (i & 0x1fffff);
      jobcast_progress(value, value + 1);
      if (texts && i % 64 == 0) jobcast_message(std::string(i % 200, static_cast<char>('a' + i % 26)).c_str());
    }
  }
  ends.doorbell.reset();
  uint64_t last = 0;
  const auto sample = [&] {
    const auto report = latch.sample();
    if (!report) return false;
    invariant(report->done >= last && (report->done == 0 || report->total == report->done + 1));
    invariant((report->done >> 21 & 0x1fffff) == (report->done & 0x1fffff));
    for (const char c : report->message) invariant(c == report->message[0]);
    last = report->done;
    ++totals.reports;
    return true;
  };
  const int64_t until_ns = now().mono_ns + static_cast<int64_t>(random() % 1'500'000);
  do {
    while (sample() && now().mono_ns < until_ns) {
    }
    if (!latch.arm()) continue;
    ++totals.sleeps;
    pollfd ready{latch.doorbell_fd(), POLLIN, 0};
    invariant(poll(&ready, 1, static_cast<int>(kLostAfterMs)) == 1);  // the worker reports all the time
    (void)latch.clear_doorbell();
  } while (now().mono_ns < until_ns);
  kill(pid, SIGKILL);
  invariant(waitpid(pid, nullptr, 0) == pid);
  while (sample()) {
  }
  while (latch.clear_doorbell()) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  control = argc > 1 && std::string_view(argv[1]) == "control";
  const int count = argc > 1 && !control ? atoi(argv[1]) : 200;
  std::random_device entropy;
  const uint64_t seed = argc > 2 ? strtoull(argv[2], nullptr, 10) : entropy();
  printf("seed=%llu\n", static_cast<unsigned long long>(seed));
  fflush(stdout);
  std::mt19937_64 random(seed);
  auto* witness = static_cast<Witness*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  for (int i = 0; i < count; ++i) {
    kill_a_writer(random, *witness);
    if (i % 4 == 0) kill_a_worker(random);
  }
  printf("kills=%d records=%llu laps=%llu sleeps=%llu slots=%llu reports=%llu torn=0 stale=0 unreadable=0 lost_wakeups=0\n",
         count + (count + 3) / 4, static_cast<unsigned long long>(totals.records), static_cast<unsigned long long>(totals.laps),
         static_cast<unsigned long long>(totals.sleeps), static_cast<unsigned long long>(totals.slots),
         static_cast<unsigned long long>(totals.reports));
  return 0;
}
