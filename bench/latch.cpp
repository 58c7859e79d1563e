// What progress costs the job's own code, and how soon the engine hears of it. `./dev bench latch`.
#include <sys/epoll.h>

#include <atomic>
#include <optional>
#include <string>

#include "bench/bench.h"
#include "bench/floors.h"
#include "ipc/latch.h"
#include "ipc/membarrier.h"
#include "jobcast/layout.h"
#include "jobcast/worker.h"

using namespace jobcast;
using namespace jobcast::bench;

namespace {

constexpr int kRounds = 11;
constexpr long kGapUs = 300;

void become_worker(const WorkerLatch::ChildEnds& ends) {
  setenv("JOBCAST_LATCH_FD", std::to_string(ends.latch.get()).c_str(), 1);
  setenv("JOBCAST_DOORBELL_FD", std::to_string(ends.doorbell.get()).c_str(), 1);
  setenv("JOBCAST_ARGS_FD", std::to_string(memfd_create("args", 0)).c_str(), 1);
  invariant(jobcast_worker_open() == JOBCAST_OK);
}

enum class Engine { never_looks, samples_every_50_ms, samples_at_once };

// A tight loop of reports in a process of its own. `fenced`: as on a kernel without membarrier(2).
double progress_ns(Engine engine, bool fenced) {
  constexpr uint64_t kCount = 20'000'000;
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  if (fenced) {
    void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ends.latch.get(), 0);
    static_cast<jobcast_latch*>(page)->flags = 0;
    munmap(page, 4096);
  }
  auto& took = shared<std::atomic<int64_t>>();
  Peer peer([&] {
    become_worker(ends);
    jobcast_progress(0, kCount);  // the first one rings
    const int64_t start = cpu_ns();
    for (uint64_t i = 0; i < kCount; ++i) jobcast_progress(i, kCount);
    took = cpu_ns() - start;
  });
  while (took == 0) {
    if (engine == Engine::never_looks) continue;
    (void)latch.sample();
    if (engine == Engine::samples_every_50_ms) {
      const timespec interval{0, 50'000'000};
      nanosleep(&interval, nullptr);
    }
  }
  return static_cast<double>(took) / kCount;
}

double sample_ns() {
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  Peer peer([&] {
    become_worker(ends);
    for (uint64_t i = 0;; ++i) jobcast_progress(i, 0);
  });
  while (!latch.sample()) relax();
  constexpr int kCount = 2000;
  int64_t spent = 0;
  for (int seen = 0; seen < kCount;) {
    const int64_t start = now_ns();
    if (!latch.sample()) continue;
    spent += now_ns() - start;
    ++seen;
  }
  return static_cast<double>(spent) / kCount;
}

// The engine sleeps in epoll, armed; a report wakes it.
double asleep_one_way_ns() {
  constexpr int kCount = 60;
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  struct Sent {
    std::atomic<int64_t> at{0};
    std::atomic<int> asked{0};
  };
  auto& sent = shared<Sent>();
  Peer peer([&] {
    become_worker(ends);
    for (int i = 1; i <= kCount; ++i) {
      while (sent.asked < i) relax();
      const timespec gap{0, kGapUs * 1000};
      nanosleep(&gap, nullptr);
      sent.at = now_ns();
      jobcast_progress(static_cast<uint64_t>(i), kCount);
    }
    for (;;) pause();
  });
  const int epoll = epoll_create1(0);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  epoll_ctl(epoll, EPOLL_CTL_ADD, latch.doorbell_fd(), &wanted);
  std::vector<int64_t> latencies;
  for (int i = 1; i <= kCount; ++i) {
    if (i > 1) invariant(latch.arm());
    sent.asked = i;
    epoll_event event;
    while (epoll_wait(epoll, &event, 1, -1) != 1) {
    }
    invariant(latch.clear_doorbell());
    const auto report = latch.sample();
    latencies.push_back(now_ns() - sent.at.load());
    invariant(report && report->done == static_cast<uint64_t>(i));
  }
  close(epoll);
  std::sort(latencies.begin(), latencies.end());
  return static_cast<double>(latencies[kCount / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  pin(0);
  Samples all;
  for (int round = 0; round < kRounds; ++round) {
    all.add("empty", empty_loop_ns());
    all.add("progress", progress_ns(Engine::samples_every_50_ms, false));
    all.add("progress alone", progress_ns(Engine::never_looks, false));
    all.add("progress fenced", progress_ns(Engine::samples_every_50_ms, true));
    all.add("sample", sample_ns());
    all.add("eventfd", wake_one_way_ns(Waker::eventfd, kGapUs));
    all.add("seqpacket", wake_one_way_ns(Waker::seqpacket, kGapUs));
    all.add("asleep", asleep_one_way_ns());
  }
  const auto of = [&](const char* name) { return all.median(name); };
  Table table(wants_json(argc, argv));
  table.value("jobcast_progress(), sampled every 50 ms", of("progress"), "ns", of("empty"), Goal::at_most, 5);
  table.value("jobcast_progress(), never sampled", of("progress alone"), "ns", of("empty"), Goal::at_most, 5);
  table.value("jobcast_progress(), no membarrier: with its own fence", of("progress fenced"), "ns", of("empty"), Goal::at_most, 20);
  table.show("WorkerLatch::sample() of a worker that never pauses", of("sample"), "ns");
  table.ratio("report to an engine asleep in epoll, to an eventfd", of("asleep"), "ns", of("eventfd"), Goal::at_most, 1.2);
  table.show("bare seqpacket wake, one way", of("seqpacket"), "ns");
  return 0;
}
