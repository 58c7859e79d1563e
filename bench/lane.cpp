// The lane between two pinned processes, each measure beside its floor of the same round; medians over rounds. `./dev bench lane`.
#include <sys/epoll.h>

#include <atomic>
#include <optional>

#include "bench/bench.h"
#include "bench/floors.h"
#include "ipc/membarrier.h"
#include "ipc/region.h"

using namespace jobcast;
using namespace jobcast::bench;
using namespace std::string_literals;
using Drained = RegionReader::Drained;

namespace {

constexpr int kRounds = 11;
constexpr size_t kHeader = 40;  // of a record: `128 B` means two cache lines with it
constexpr uint64_t kBatch = 16;
constexpr int64_t kLingerNs = 3'000;
constexpr long kGapUs = 300;

struct Source {
  RegionWriter writer = RegionWriter::create({}).value();
  std::string snapshot;
  Event event;
  explicit Source(size_t record_bytes) : snapshot(record_bytes - kHeader, 's') {
    event.job.bytes[15] = 1;
    event.state = JobState::running;
    event.snapshot = snapshot;
  }
  void put() {
    event.rev++;
    writer.publish(event);
  }
  void publish() {
    put();
    writer.flush();
  }
};

// Attached before the fork, used in whichever process.
RegionReader attach(RegionWriter& writer, bool membarrier) {
  auto grant = writer.add_reader(membarrier).value();
  return RegionReader::open(std::move(grant.region), std::move(grant.block), std::move(grant.doorbell)).value();
}

// A reader that spins at the tail takes its line from the writer with every look: one that is in no hurry looks a little less often.
void linger() {
  for (const int64_t end = now_ns() + kLingerNs; now_ns() < end;) relax();
}

uint64_t wait_for(RegionReader& reader) {
  Event event;
  Drained step;
  while ((step = reader.next(event)) == Drained::empty) relax();
  invariant(step == Drained::more);
  return event.rev;
}

double one_way_ns(size_t bytes) {
  constexpr uint64_t kCount = 30'000;
  Source there(bytes), back(bytes);
  auto reader_there = attach(there.writer, true), reader_back = attach(back.writer, true);
  Peer peer([&] {
    for (uint64_t i = 1; i <= kCount + 1; ++i) {
      invariant(wait_for(reader_there) == i);
      back.publish();
    }
  });
  const auto turn = [&](uint64_t i) {
    there.publish();
    invariant(wait_for(reader_back) == i);
  };
  turn(1);
  const int64_t start = now_ns();
  for (uint64_t i = 2; i <= kCount + 1; ++i) turn(i);
  return static_cast<double>(now_ns() - start) / kCount / 2;
}

// Lossless by a reader that says how far it is, as no reader of ours does: the lane itself never waits. The writer flushes every `batch`
// records, as the engine does once a turn, of `jobs` jobs in turn.
double per_second(size_t bytes, uint64_t batch, unsigned char jobs) {
  constexpr uint64_t kCount = 600'000;
  Source source(bytes);
  auto reader = attach(source.writer, true);
  auto& seen = shared<std::atomic<uint64_t>>();
  seen = ~uint64_t{0};
  Peer peer([&] {
    uint64_t last = 0;
    seen = 0;
    while (last < kCount) {
      const Drained end = reader.drain([&](const Event& event) { last = event.rev; });
      invariant(end == Drained::more || end == Drained::empty);
      seen.store(last, std::memory_order_release);
      if (end == Drained::empty) linger();
    }
  });
  while (seen == ~uint64_t{0}) relax();
  const uint64_t lead_max = (1 << 20) / bytes / 2;
  uint64_t read = 0;
  const int64_t start = now_ns();
  for (uint64_t i = 0; i < kCount; ++i) {
    while (i - read >= lead_max) read = seen.load(std::memory_order_acquire);
    if (jobs > 1) source.event.job.bytes[15] = static_cast<unsigned char>(i % jobs);
    source.put();
    if ((i + 1) % batch == 0) source.writer.flush();
  }
  source.writer.flush();
  while (seen.load(std::memory_order_acquire) < kCount) relax();
  return kCount * 1e9 / static_cast<double>(now_ns() - start);
}

enum class Reader { none, spinning, stopped, dead };

// What one publish() with its flush() costs its caller, one after the other. Without membarrier each has a fence.
double publish_ns(Reader kind, bool membarrier) {
  constexpr uint64_t kCount = 200'000;
  Source source(128);
  std::optional<RegionReader> reader;
  std::optional<Peer> peer;
  auto& ready = shared<std::atomic<int>>();
  if (kind != Reader::none) {
    reader.emplace(attach(source.writer, membarrier && membarrier_offered()));
    peer.emplace([&] {
      (void)reader->arm();
      ready = 1;
      for (;;) switch (reader->drain([](const Event&) {})) {
          case Drained::lapped: reader->resync([](const Event&) {}); break;
          case Drained::empty: linger(); break;
          case Drained::more:
          case Drained::corrupt: break;
        }
    });
    while (ready != 1) relax();
    if (kind == Reader::stopped) {
      kill(peer->pid(), SIGSTOP);
      waitpid(peer->pid(), nullptr, WUNTRACED);
    }
    if (kind == Reader::dead) peer->end();
  }
  for (int i = 0; i < 20'000; ++i) source.publish();  // touches every page of the ring once
  const int64_t start = cpu_ns();
  for (uint64_t i = 0; i < kCount; ++i) source.publish();
  return static_cast<double>(cpu_ns() - start) / kCount;
}

void sleep_until_bell(int epoll, RegionReader& reader) {
  epoll_event event;
  while (epoll_wait(epoll, &event, 1, -1) != 1) {
  }
  invariant(reader.clear_doorbell());
}

int epoll_of(const RegionReader& reader) {
  const int epoll = epoll_create1(0);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  epoll_ctl(epoll, EPOLL_CTL_ADD, reader.doorbell_fd(), &wanted);
  return epoll;
}

double asleep_one_way_ns(bool membarrier) {
  constexpr int kCount = 60;
  Source source(128);
  auto reader = attach(source.writer, membarrier);
  struct Sent {
    std::atomic<int64_t> at{0}, latency[kCount];
    std::atomic<int> done{-1};
  };
  auto& sent = shared<Sent>();
  Peer peer([&] {
    const int epoll = epoll_of(reader);
    int done = 0;
    while (done < kCount) {
      const Drained end = reader.drain([&](const Event&) {
        sent.latency[done] = now_ns() - sent.at.load();
        ++done;
      });
      if (end == Drained::empty && reader.arm()) {
        sent.done = done;
        sleep_until_bell(epoll, reader);
      }
    }
    sent.done = done;
  });
  while (sent.done < 0) relax();
  std::vector<int64_t> latencies;
  for (int i = 0; i < kCount; ++i) {
    const timespec gap{0, kGapUs * 1000};
    nanosleep(&gap, nullptr);
    sent.at = now_ns();
    source.publish();
    while (sent.done <= i) relax();
    latencies.push_back(sent.latency[i]);
  }
  std::sort(latencies.begin(), latencies.end());
  return static_cast<double>(latencies[kCount / 2]);
}

struct Resync {
  double ns, share;  // of one pass over all slots, and of the ring that was overwritten meanwhile
};

// The writer publishes every job in turn as fast as it can; each pass of the reader finds every slot written anew. Medians of the passes.
Resync resync(size_t snapshot_bytes) {
  constexpr uint32_t kSlots = RegionOptions{}.slots;
  constexpr int kPasses = 50;
  Source source(kHeader + snapshot_bytes);
  auto reader = attach(source.writer, true);
  struct Results {
    alignas(128) std::atomic<uint64_t> published{0};
    alignas(128) std::atomic<int> done{0};
    double ns[kPasses], share[kPasses];
  };
  auto& results = shared<Results>();
  Peer peer([&] {
    const size_t lines = (kHeader + snapshot_bytes + 63) / 64;
    const double record_bytes = static_cast<double>(lines * 64);
    while (results.published < 2 * kSlots) relax();  // every page was touched
    for (int i = 0; i < kPasses; ++i) {
      const uint64_t before = results.published;
      const int64_t start = now_ns();
      uint32_t seen = 0;
      reader.resync([&](const Event&) { ++seen; });
      results.ns[i] = static_cast<double>(now_ns() - start);
      const uint64_t after = results.published;
      results.share[i] = static_cast<double>(after - before) * record_bytes / RegionOptions{}.ring_bytes;
      invariant(seen >= kSlots - kSlots / 16);  // a slot may be rewritten too often while it is read
      while (results.published < after + 2 * kSlots) relax();
    }
    results.done = 1;
  });
  while (results.done == 0) {
    for (uint32_t i = 0; i < kSlots; ++i) {
      memcpy(source.event.job.bytes.data(), &i, sizeof i);
      source.put();
      if (i % kBatch == kBatch - 1) source.writer.flush();
      results.published.store(source.event.rev, std::memory_order_relaxed);
    }
  }
  std::sort(results.ns, results.ns + kPasses);
  std::sort(results.share, results.share + kPasses);
  return {results.ns[kPasses / 2], results.share[kPasses / 2]};
}

struct Wakeups {
  double per_message, per_arming, rate;
};

// A message every 4 µs, each flushed, to a reader that looks on for 50 µs before it sleeps.
Wakeups wakeups() {
  constexpr uint64_t kCount = 100'000;
  constexpr int64_t kSpacingNs = 4'000, kSpinNs = 50'000;
  Source source(128);
  auto reader = attach(source.writer, false);
  auto& arms = shared<std::atomic<uint64_t>>();
  auto& state = shared<std::atomic<int>>();
  Peer peer([&] {
    const int epoll = epoll_of(reader);
    uint64_t last = 0;
    state = 1;
    int64_t empty_since = 0;
    while (last < kCount) {
      const uint64_t before = last;
      const Drained end = reader.drain([&](const Event& event) { last = event.rev; });
      invariant(end != Drained::lapped && end != Drained::corrupt);
      if (last != before) {
        empty_since = 0;
        continue;
      }
      const int64_t now = now_ns();
      if (empty_since == 0) empty_since = now;
      if (now - empty_since < kSpinNs) continue;
      if (last < kCount && reader.arm()) sleep_until_bell(epoll, reader);
      empty_since = 0;
    }
    arms = reader.stats().arms;
    state = 2;
  });
  while (state != 1) relax();
  const int64_t start = now_ns();
  for (uint64_t i = 0; i < kCount; ++i) {
    while (now_ns() - start < static_cast<int64_t>(i) * kSpacingNs) relax();
    source.publish();
  }
  const int64_t end = now_ns();
  while (state != 2) relax();
  const auto rung = static_cast<double>(source.writer.stats().doorbells);
  return {rung / kCount, arms > 0 ? rung / static_cast<double>(arms.load()) : 0, kCount * 1e9 / static_cast<double>(end - start)};
}

struct ResyncCase {
  const char* name;
  size_t snapshot_bytes;
};
constexpr ResyncCase kResyncs[] = {{"700 B in each slot", 700}, {"4 KiB in each slot", 4096}};

}  // namespace

int main(int argc, char** argv) {
  pin(0);
  Samples all;
  for (int round = 0; round < kRounds; ++round) {
    all.add("line", cache_line_one_way_ns());
    all.add("one way 128", one_way_ns(128));
    all.add("one way 512", one_way_ns(512));
    all.add("spsc 128", spsc_per_second(128));
    all.add("lane 128", per_second(128, kBatch, 1));
    all.add("lane 128 alone", per_second(128, 1, 1));
    all.add("lane 128 jobs", per_second(128, kBatch, kBatch));
    all.add("spsc 512", spsc_per_second(512));
    all.add("lane 512", per_second(512, kBatch, 1));
    all.add("lane 512 jobs", per_second(512, kBatch, kBatch));
    all.add("pipe", pipe_per_second(128));
    all.add("unix", unix_stream_per_second(128));
    all.add("publish", publish_ns(Reader::spinning, true));
    all.add("publish flush", publish_ns(Reader::spinning, false));
    all.add("publish alone", publish_ns(Reader::none, true));
    all.add("publish stopped", publish_ns(Reader::stopped, true));
    all.add("publish dead", publish_ns(Reader::dead, true));
    all.add("eventfd", wake_one_way_ns(Waker::eventfd, kGapUs));
    all.add("seqpacket", wake_one_way_ns(Waker::seqpacket, kGapUs));
    all.add("asleep", asleep_one_way_ns(false));
    all.add("asleep membarrier", asleep_one_way_ns(membarrier_offered()));
    for (const auto& [name, bytes] : kResyncs) {
      const Resync pass = resync(bytes);
      all.add(name, pass.share);
      all.add(name + " us"s, pass.ns / 1000);
    }
    const Wakeups woken = wakeups();
    all.add("wakeups", woken.per_message);
    all.add("per arming", woken.per_arming);
    all.add("rate", woken.rate);
  }
  const auto of = [&](const std::string& name) { return all.median(name); };
  Table table(wants_json(argc, argv));
  table.show("cache line, one way", of("line"), "ns");
  table.ratio("one way, reader spinning, 128 B", of("one way 128"), "ns", of("line"), Goal::at_most, 2.8);
  table.ratio("one way, reader spinning, 512 B", of("one way 512"), "ns", of("line"), Goal::at_most, 4.5);
  table.ratio("lossless to one reader, 128 B, to a bare SPSC ring", of("lane 128"), "msg/s", of("spsc 128"), Goal::at_least, 0.6);
  table.show("the same, each record flushed alone", of("lane 128 alone"), "msg/s");
  table.show("the same, 16 jobs in turn", of("lane 128 jobs"), "msg/s");
  table.ratio("lossless to one reader, 512 B, to a bare SPSC ring", of("lane 512"), "msg/s", of("spsc 512"), Goal::at_least, 0.9);
  table.show("the same, 16 jobs in turn", of("lane 512 jobs"), "msg/s");
  table.ratio("lossless to one reader, 128 B, to a pipe", of("lane 128"), "msg/s", of("pipe"), Goal::at_least, 10);
  table.ratio("lossless to one reader, 128 B, to a Unix stream", of("lane 128"), "msg/s", of("unix"), Goal::at_least, 35);
  table.ratio("publish and look, reader spinning, 128 B, no fence", of("publish"), "ns", of("line"), Goal::at_most, 0.35);
  table.ratio("publish and look, reader spinning, 128 B, with fence", of("publish flush"), "ns", of("line"), Goal::at_most, 1.3);
  table.ratio("publish, reader stopped, to none", of("publish stopped"), "ns", of("publish alone"), Goal::at_most, 1.1);
  table.ratio("publish, reader dead, to none", of("publish dead"), "ns", of("publish alone"), Goal::at_most, 1.1);
  table.ratio("one way, reader asleep in epoll, to an eventfd", of("asleep"), "ns", of("eventfd"), Goal::at_most, 1.2);
  table.ratio("one way, reader asleep, armed by membarrier", of("asleep membarrier"), "ns", of("eventfd"), Goal::at_most, 1.2);
  table.show("bare seqpacket wake, one way", of("seqpacket"), "ns");
  table.value("wake-ups a message at the rate below", of("wakeups"), "1", 0, Goal::at_most, 0.001);
  table.value("wake-ups an arming", of("per arming"), "1", 0, Goal::at_most, 1);
  table.value("rate of that run", of("rate"), "msg/s", 0, Goal::at_least, 200'000);
  for (const auto& resync : kResyncs) {
    table.value("resync, share of the ring overwritten, "s + resync.name, of(resync.name), "1", 0, Goal::at_most, 0.5);
    table.show("the same pass took", of(resync.name + " us"s), "us");
  }
  return 0;
}
