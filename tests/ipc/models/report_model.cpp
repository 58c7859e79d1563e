// The worker's reports: jobcast_progress() of ipc/worker.c against WorkerLatch::sample_report() of ipc/latch.cpp, Simpson's four slots
// with fences on both sides. The reports themselves are plain variables here, so that relacy's race detector proves that writer and
// reader never touch one of them at the same time; what is read must be newer than what was read before.
#include "model.h"

namespace {

enum Mutant {
  kNone,
  kNoReaderFence,
  kNoWriterFence,
  kNewestRelaxed,
  kNewestLoadRelaxed,
  kLatestRelaxed,
  kReadingRelaxed,
  kReadingLoadRelaxed,
  kAnyPair,
  kSameReport,
  kCount
};
const char* const kNames[kCount] = {
    "report",
    "report, no fence between the reader's turn and its look at `newest`",
    "report, no fence between a report and the next look at `reading`",
    "report, `newest` stored relaxed",
    "report, `newest` loaded relaxed",
    "report, `latest` stored relaxed",
    "report, `reading` stored relaxed",
    "report, `reading` loaded relaxed",
    "report, written into a pair without a look at which is being read",
    "report, written over the pair's newest",
};

constexpr unsigned kReports = 5;

template <int mutant>
struct Report : rl::test_suite<Report<mutant>, 2> {
  rl::atomic<unsigned> latest, reading, newest[2];
  rl::var<unsigned> report[2][2];

  void before() {
    latest($) = 0;
    reading($) = 0;
    for (unsigned pair = 0; pair < 2; ++pair) {
      newest[pair]($) = 0;
      for (auto& one : report[pair]) one($) = 0;
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
      const unsigned read = reading($).load(mutant == kReadingLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      const unsigned pair = mutant == kAnyPair ? n & 1 : 1 - read;
      const unsigned which = mutant == kSameReport ? own[pair] : 1 - own[pair];
      report[pair][which]($) = n;
      own[pair] = which;
      newest[pair]($).store(which, mutant == kNewestRelaxed ? rl::mo_relaxed : rl::mo_release);
      latest($).store(pair, mutant == kLatestRelaxed ? rl::mo_relaxed : rl::mo_release);
      if (mutant != kNoWriterFence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
    }
  }

  void read() {
    unsigned mine = 0, last = 0;
    for (unsigned samples = 0; samples < 5; ++samples) {
      const unsigned pair = latest($).load(rl::mo_relaxed);
      if (pair == mine) continue;
      mine = pair;
      reading($).store(pair, mutant == kReadingRelaxed ? rl::mo_relaxed : rl::mo_release);
      if (mutant != kNoReaderFence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
      const unsigned which = newest[pair]($).load(mutant == kNewestLoadRelaxed ? rl::mo_relaxed : rl::mo_acquire);
      const unsigned seen = report[pair][which]($);
      RL_ASSERT(seen > last);
      last = seen;
    }
  }
};

}  // namespace

int main() { return model::check<Report>(kNames); }
