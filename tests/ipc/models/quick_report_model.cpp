// The worker's reports as the engine reads them first, without a fence: WorkerLatch::take_report() of ipc/latch.cpp against
// jobcast_progress() of ipc/worker.c. A report may change while it is read; what is accepted must be whole and newer than before.
#include "model.h"

namespace {

enum Mutant { kNone, kNoReleaseFence, kEndRelaxed, kEndLoadRelaxed, kNoAcquireFence, kNoBegin, kNoOrder, kCount };
const char* const kNames[kCount] = {
    "quick report",
    "quick report, no release fence after `begin`",
    "quick report, `end` stored relaxed",
    "quick report, `end` loaded relaxed",
    "quick report, no acquire fence before the look at `begin`",
    "quick report, no look at `begin`",
    "quick report, no comparison with the one before",
};

constexpr unsigned kReports = 5;

template <int mutant>
struct QuickReport : rl::test_suite<QuickReport<mutant>, 2> {
  rl::atomic<unsigned> latest, reading, newest[2], begin[2][2], end[2][2], number[2][2][2];

  void before() {
    latest($) = 0;
    reading($) = 0;
    for (unsigned pair = 0; pair < 2; ++pair) {
      newest[pair]($) = 0;
      for (unsigned which = 0; which < 2; ++which) {
        begin[pair][which]($) = 0;
        end[pair][which]($) = 0;
        for (auto& word : number[pair][which]) word($) = 0;
      }
    }
  }

  void thread(unsigned index) {
    if (index == 0)
      write();
    else
      read();
  }

  void write() {
    unsigned own[2] = {0, 0};
    for (unsigned n = 1; n <= kReports; ++n) {
      const unsigned pair = 1 - reading($).load(rl::mo_acquire);
      const unsigned which = own[pair] = 1 - own[pair];
      begin[pair][which]($).store(n, rl::mo_relaxed);
      if (mutant != kNoReleaseFence) rl::atomic_thread_fence(rl::mo_release, $);
      for (auto& word : number[pair][which]) word($).store(n, rl::mo_relaxed);
      // relaxed where the code says release, so that each order is judged alone: these two only make news visible sooner.
      end[pair][which]($).store(n, mutant == kEndRelaxed ? rl::mo_relaxed : rl::mo_release);
      newest[pair]($).store(which, rl::mo_relaxed);
      latest($).store(pair, rl::mo_relaxed);
    }
  }

  void read() {
    unsigned mine = 0, last = 0;
    for (unsigned samples = 0; samples < 6; ++samples) {
      const unsigned pair = latest($).load(rl::mo_relaxed);
      if (pair == mine) continue;
      mine = pair;
      reading($).store(pair, rl::mo_release);
      for (unsigned tries = 0; tries < 2; ++tries) {
        const unsigned which = newest[pair]($).load(rl::mo_relaxed);
        const unsigned count = end[pair][which]($).load(mutant == kEndLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
        unsigned words[2];
        for (unsigned i = 0; i < 2; ++i) words[i] = number[pair][which][i]($).load(rl::mo_relaxed);
        if (mutant != kNoAcquireFence) rl::atomic_thread_fence(rl::mo_acquire, $);
        if (mutant != kNoBegin && begin[pair][which]($).load(rl::mo_relaxed) != count) continue;
        if (mutant != kNoOrder && count <= last) continue;
        RL_ASSERT(words[0] == count && words[1] == count && count > last);
        last = count;
        break;
      }
    }
  }
};

}  // namespace

int main() { return model::check<QuickReport>(kNames); }
