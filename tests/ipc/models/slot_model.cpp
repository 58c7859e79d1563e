// The two-copy latch: StateTableWriter::write() of ipc/state_table.cpp against jobcast_slot_read() of jobcast/ring.h; the same shape
// carries phase and message in publish_text() of ipc/worker.c. Whatever the reader accepts must be whole, and what its sequence names.
// Also: the order of slot and ring. A reader that resyncs at a tail must find in the slot what was published before it.
#include "model.h"

namespace {

enum Mutant {
  kNone,
  kNoReleaseFence,
  kSequenceRelaxed,
  kSequenceLoadRelaxed,
  kNoAcquireFence,
  kNoRecheck,
  kRingFirst,
  kTailRelaxed,
  kTailLoadRelaxed,
  kCount
};
const char* const kNames[kCount] = {
    "slot",
    "slot, no release fence before a copy is overwritten",
    "slot, sequence stored relaxed",
    "slot, sequence loaded relaxed",
    "slot, no acquire fence before the second look at the sequence",
    "slot, no second look at the sequence",
    "slot, ring published before the slot",
    "slot, tail stored relaxed",
    "slot, resync loads the tail relaxed",
};

constexpr unsigned kWrites = 4;

template <int mutant>
struct Slot : rl::test_suite<Slot<mutant>, 2> {
  rl::atomic<unsigned> sequence, tail, copy[2][2];

  void before() {
    sequence($) = 0;
    tail($) = 0;
    for (auto& one : copy)
      for (auto& word : one) word($) = 0;
  }

  void thread(unsigned index) {
    if (index == 0)
      write();
    else
      read();
  }

  void publish_tail(unsigned n) { tail($).store(n, mutant == kTailRelaxed ? rl::mo_relaxed : rl::mo_release); }

  void write() {
    for (unsigned n = 1; n <= kWrites; ++n) {
      if (mutant == kRingFirst) publish_tail(n);
      if (mutant != kNoReleaseFence) rl::atomic_thread_fence(rl::mo_release, $);
      for (auto& word : copy[n & 1]) word($).store(n, rl::mo_relaxed);
      sequence($).store(n, mutant == kSequenceRelaxed ? rl::mo_relaxed : rl::mo_release);
      if (mutant != kRingFirst) publish_tail(n);
    }
  }

  void read() {
    for (unsigned tries = 0; tries < 4; ++tries) {
      const unsigned from = tail($).load(mutant == kTailLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      const unsigned seen = sequence($).load(mutant == kSequenceLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      RL_ASSERT(seen >= from);
      unsigned words[2];
      for (unsigned i = 0; i < 2; ++i) words[i] = copy[seen & 1][i]($).load(rl::mo_relaxed);
      if (mutant != kNoAcquireFence) rl::atomic_thread_fence(rl::mo_acquire, $);
      if (mutant != kNoRecheck && sequence($).load(rl::mo_relaxed) != seen) continue;
      RL_ASSERT(words[0] == seen && words[1] == seen);
    }
  }
};

}  // namespace

int main() { return model::check<Slot>(kNames); }
