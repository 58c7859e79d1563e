// The engine's end of a worker latch: one page and a doorbell between the engine and one job process. The engine's loop thread only.
// The worker may write anything anywhere in the page at any time: every word is read once, bounded and checked; nothing ever waits for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/handle.h"
#include "base/result.h"
#include "ipc/sealed_memory.h"

namespace jobcast {

struct WorkerReport {
  uint64_t done = 0;     // at most 2^53 - 1, so that JSON carries it exactly; may pass `total`: the worker's own words
  uint64_t total = 0;    // 0: unknown
  uint32_t reports = 0;  // jobcast_progress() calls since the sample before
  std::string phase;     // valid UTF-8 without control characters, ≤ 63 bytes
  std::string message;   // the same, ≤ 255 bytes
};

class WorkerLatch {
 public:
  // Armed already: the first report rings. Errors: internal.
  [[nodiscard]] static Result<WorkerLatch> create();

  // For the child: JOBCAST_LATCH_FD and JOBCAST_DOORBELL_FD. Close both here once it was started, or its end is never seen.
  struct ChildEnds {
    Fd latch, doorbell;
  };
  [[nodiscard]] ChildEnds take_child_ends();

  // What changed since the last sample, or nothing. Bounded, and always a report that the worker really made.
  [[nodiscard]] std::optional<WorkerReport> sample();
  // True: the next report, text or acknowledgement rings the doorbell, once. False: one is there already, sample first.
  [[nodiscard]] bool arm();

  void request_cancel();
  [[nodiscard]] bool cancel_acknowledged() const;

  [[nodiscard]] int doorbell_fd() const { return doorbell_.get(); }
  // Call when it is readable. False: no process holds the other end any more.
  [[nodiscard]] bool clear_doorbell();

 private:
  WorkerLatch(SealedMemory memory, Fd doorbell, Fd child_doorbell, bool membarrier);
  [[nodiscard]] bool sample_report();
  [[nodiscard]] bool take_report(uint32_t pair, bool settled);
  [[nodiscard]] bool sample_text();
  void full_barrier() const;

  SealedMemory memory_;
  Fd doorbell_, child_doorbell_;
  bool membarrier_;
  uint32_t reading_ = 0;  // what we stored: the page's word is not ours to trust
  uint32_t sequence_ = 0, text_sequence_ = 0;
  bool acknowledged_ = false;  // as of the last sample
  WorkerReport last_;
};

}  // namespace jobcast
