// The wake-up: RegionWriter::flush() against jobcast_lane_arm() of jobcast/ring.h. The same shape wakes the engine for a worker's report
// (wake_if_armed() of ipc/worker.c against WorkerLatch::arm()). A reader that sleeps while something lies in the ring and nobody rings is
// a lost wake-up; more than one ring an arming is a storm. With membarrier(2) one fence stands for both (see the document).
#include "model.h"

namespace {

enum Mutant { kNone, kNoWriterFence, kNoReaderFence, kNoRecheck, kLookBeforePublish, kCheckBeforeArm, kNeverDisarmed, kCount };
const char* const kNames[kCount] = {
    "wake-up",
    "wake-up, no fence between the writer's tail and its look",
    "wake-up, no fence between the reader's arming and its look",
    "wake-up, the reader does not look again after arming",
    "wake-up, the writer looks before it publishes",
    "wake-up, the reader looks before it arms",
    "wake-up, the writer leaves the reader armed",
};

constexpr unsigned kRecords = 3;

template <int mutant>
struct WakeUp : rl::test_suite<WakeUp<mutant>, 2> {
  rl::atomic<unsigned> tail, armed, bell;
  rl::var<unsigned> armings, position;
  rl::var<bool> asleep;

  void before() {
    tail($) = 0;
    armed($) = 0;
    bell($) = 0;
    armings($) = 0;
    position($) = 0;
    asleep($) = false;
  }

  // The bell is a socket: it loses nothing, and its bytes wait for a reader that sleeps later.
  void after() {
    if (asleep($)) RL_ASSERT(tail($).load(rl::mo_relaxed) == position($) || bell($).load(rl::mo_relaxed) > 0);
    RL_ASSERT(bell($).load(rl::mo_relaxed) <= armings($));
  }

  void thread(unsigned index) {
    if (index == 0)
      write();
    else
      read();
  }

  void ring_if_armed() {
    if (mutant == kNeverDisarmed) {
      if (armed($).load(rl::mo_relaxed) != 0) bell($).fetch_add(1, rl::mo_seq_cst);
      return;
    }
    if (armed($).load(rl::mo_relaxed) != 0 && armed($).exchange(0, rl::mo_acq_rel) != 0) bell($).fetch_add(1, rl::mo_seq_cst);
  }

  void write() {
    for (unsigned n = 1; n <= kRecords; ++n) {
      if (mutant == kLookBeforePublish) ring_if_armed();
      tail($).store(n, rl::mo_release);
      if (mutant == kLookBeforePublish) continue;
      if (mutant != kNoWriterFence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
      ring_if_armed();
    }
  }

  void read() {
    unsigned at = 0, rounds = 0;
    for (; rounds < 3; ++rounds) {
      at = tail($).load(rl::mo_acquire);  // drained
      position($) = at;
      const bool nothing_before = mutant != kCheckBeforeArm || tail($).load(rl::mo_relaxed) == at;
      armed($).store(1, rl::mo_relaxed);
      armings($) = armings($) + 1;
      if (mutant != kNoReaderFence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
      const bool nothing = mutant == kNoRecheck || mutant == kCheckBeforeArm ? nothing_before : tail($).load(rl::mo_relaxed) == at;
      if (nothing) {
        asleep($) = true;
        return;
      }
      armed($).store(0, rl::mo_relaxed);
    }
  }
};

}  // namespace

int main() { return model::check<WakeUp>(kNames); }
