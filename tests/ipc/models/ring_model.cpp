// The lane: LaneWriter::append() and commit() of ipc/lane.h against jobcast_lane_read() of jobcast/ring.h. A ring of four records of two
// words, batches of two, the intent announced a batch ahead; the writer laps the reader. Whatever the reader accepts must be whole, and
// the one that stands at its position.
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

constexpr unsigned kUnits = 4, kBatch = 2, kRecords = 8;

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
    for (unsigned first = 1; first <= kRecords; first += kBatch) {
      const unsigned end = first + kBatch - 1;
      if (mutant != kIntentAfterRecord) intent($).store(end, rl::mo_relaxed);
      if (mutant != kNoReleaseFence) rl::atomic_thread_fence(rl::mo_release, $);
      for (unsigned n = first; n <= end; ++n)
        for (auto& one : word[(n - 1) % kUnits]) one($).store(n, rl::mo_relaxed);
      if (mutant == kIntentAfterRecord) intent($).store(end, rl::mo_relaxed);
      tail($).store(end, mutant == kTailRelaxed ? rl::mo_relaxed : rl::mo_release);
    }
  }

  void read() {
    unsigned position = 0;
    for (unsigned tries = 0; tries < 5; ++tries) {
      const unsigned end = tail($).load(mutant == kTailLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      if (end == position) continue;
      if (end - position > kUnits) {  // lapped: resync
        position = end;
        continue;
      }
      unsigned copy[2];
      for (unsigned i = 0; i < 2; ++i) copy[i] = word[position % kUnits][i]($).load(rl::mo_relaxed);
      if (mutant != kNoAcquireFence) rl::atomic_thread_fence(rl::mo_acquire, $);
      if (mutant != kNoIntentCheck && intent($).load(rl::mo_relaxed) - position > kUnits) {
        position = tail($).load(rl::mo_acquire);
        continue;
      }
      ++position;
      RL_ASSERT(copy[0] == position && copy[1] == position);
    }
  }
};

}  // namespace

int main() { return model::check<Ring>(kNames); }
