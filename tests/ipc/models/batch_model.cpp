// A batch of one job: RegionWriter::publish() and flush() of ipc/region_writer.cpp, with StateTableWriter::write(), put() and commit().
// The first record goes into the slot and is shown; the second waits on the ring until the slot has it too. A reader that resyncs at a
// tail, whenever that is, must find in the slot what lies before it or something newer, and on the ring everything behind it.
#include "model.h"

namespace {

enum Mutant {
  kNone,
  kShownAtOnce,
  kTailFirst,
  kSlotLeftBehind,
  kFirstSkipsSlot,
  kTailRelaxed,
  kTailLoadRelaxed,
  kResyncLoadsRelaxed,
  kCount
};
const char* const kNames[kCount] = {
    "batch",
    "batch, a record shown while its slot is held back",
    "batch, the tail moved before the slots are written",
    "batch, the slot keeps the first of two records",
    "batch, a first record shown without its slot",
    "batch, tail stored relaxed",
    "batch, tail loaded relaxed",
    "batch, resync loads the tail relaxed",
};

constexpr unsigned kBatches = 2;

template <int mutant>
struct Batch : rl::test_suite<Batch<mutant>, 2> {
  rl::atomic<unsigned> tail, sequence, copy[2], ring[2 * kBatches];
  unsigned written;  // the writer's own: writes of the slot

  void before() {
    tail($) = 0;
    sequence($) = 0;
    for (auto& one : copy) one($) = 0;
    for (auto& one : ring) one($) = 0;
    written = 0;
  }

  void thread(unsigned index) {
    if (index == 0)
      write();
    else
      read();
  }

  void write_slot(unsigned n) {
    ++written;
    rl::atomic_thread_fence(rl::mo_release, $);
    copy[written & 1]($).store(n, rl::mo_relaxed);
    sequence($).store(written, rl::mo_release);
  }
  void append(unsigned n) { ring[n - 1]($).store(n, rl::mo_relaxed); }
  void show(unsigned n) { tail($).store(n, mutant == kTailRelaxed ? rl::mo_relaxed : rl::mo_release); }

  void write() {
    for (unsigned n = 1; n < 2 * kBatches; n += 2) {
      if (mutant != kFirstSkipsSlot) write_slot(n);
      append(n);
      show(n);
      append(n + 1);
      if (mutant == kShownAtOnce || mutant == kTailFirst) show(n + 1);
      if (mutant != kSlotLeftBehind) write_slot(n + 1);
      if (mutant != kTailFirst) show(n + 1);
    }
  }

  void read() {
    for (unsigned tries = 0; tries < 3; ++tries) {
      unsigned position = tail($).load(mutant == kResyncLoadsRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      const unsigned seen = sequence($).load(rl::mo_acquire);
      if (seen == 0) RL_ASSERT(position == 0);  // an empty slot is believed at once
      const unsigned newest = copy[seen & 1]($).load(rl::mo_relaxed);
      rl::atomic_thread_fence(rl::mo_acquire, $);
      if (sequence($).load(rl::mo_relaxed) == seen) RL_ASSERT(newest >= position);
      const unsigned end = tail($).load(mutant == kTailLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      for (; position != end; ++position) RL_ASSERT(ring[position]($).load(rl::mo_relaxed) == position + 1);
    }
  }
};

}  // namespace

int main() { return model::check<Batch>(kNames); }
