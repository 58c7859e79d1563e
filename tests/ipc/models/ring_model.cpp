// The lane: LaneWriter::append() and commit() of ipc/lane.h against jobcast_lane_read() of jobcast/ring.h. A ring of four records of two
// words; the intent is announced for two records at a time, the tail stored behind each; the reader looks at the tail when it is there,
// and once at intent for up to two records. The writer laps it. Whatever the reader accepts must be whole, and the one that stands at its
// position.
#include "model.h"

namespace {

enum Mutant { kNone, kIntentAfterRecord, kNoReleaseFence, kTailRelaxed, kTailLoadRelaxed, kNoAcquireFence, kNoIntentCheck, kCount };
const char* const kNames[kCount] = {
    "ring",
    "ring, intent stored after the record",
    "ring, no release fence after intent",
    "ring, tail stored relaxed",
    "ring, tail loaded relaxed",
    "ring, no acquire fence before the second look at intent",
    "ring, no second look at intent",
};

constexpr unsigned kUnits = 4, kAhead = 1, kBatch = 2, kRecords = 8;

template <int mutant>
struct Ring : rl::test_suite<Ring<mutant>, 2> {
  rl::atomic<unsigned> intent, tail, word[kUnits][2];

  void before() {
    intent($) = 0;
    tail($) = 0;
    for (auto& record : word)
      for (auto& one : record) one($) = 0;
  }

  void thread(unsigned index) {
    if (index == 0)
      write();
    else
      read();
  }

  void write() {
    unsigned announced = 0;
    for (unsigned n = 1; n <= kRecords; ++n) {
      const bool announces = n > announced;
      if (announces) announced = n + kAhead;
      if (announces && mutant != kIntentAfterRecord) intent($).store(announced, rl::mo_relaxed);
      if (announces && mutant != kNoReleaseFence) rl::atomic_thread_fence(rl::mo_release, $);
      for (auto& one : word[(n - 1) % kUnits]) one($).store(n, rl::mo_relaxed);
      if (announces && mutant == kIntentAfterRecord) intent($).store(announced, rl::mo_relaxed);
      tail($).store(n, mutant == kTailRelaxed ? rl::mo_relaxed : rl::mo_release);
    }
  }

  void read() {
    unsigned position = 0, end = 0;
    for (unsigned tries = 0; tries < 5; ++tries) {
      if (end == position) end = tail($).load(mutant == kTailLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      unsigned copies[kBatch][2], count = 0;
      for (; count < kBatch && position + count != end; ++count)
        for (unsigned i = 0; i < 2; ++i) copies[count][i] = word[(position + count) % kUnits][i]($).load(rl::mo_relaxed);
      if (mutant != kNoAcquireFence) rl::atomic_thread_fence(rl::mo_acquire, $);
      if (mutant != kNoIntentCheck && intent($).load(rl::mo_relaxed) - position > kUnits) {  // lapped: resync
        position = end = tail($).load(rl::mo_acquire);
        continue;
      }
      for (unsigned n = 0; n < count; ++n) {
        ++position;
        RL_ASSERT(copies[n][0] == position && copies[n][1] == position);
      }
    }
  }
};

}  // namespace

int main() { return model::check<Ring>(kNames); }
