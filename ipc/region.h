// The shared region between the engine (one writer) and its readers: the lane (broadcast ring), the state table and each reader's
// wake-up block. docs/shared-memory.md is normative for the bytes, include/jobcast/layout.h names them.
// A RegionWriter belongs to the engine's loop thread, a RegionReader to one reader thread; neither is ever locked or waits.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/handle.h"
#include "base/id.h"
#include "base/result.h"

namespace jobcast {

// The states of a job as they travel (DESIGN §3). The numbers are part of the layout.
enum class JobState : uint8_t { scheduled = 1, queued = 2, running = 3, retrying = 4, completed = 5, failed = 6, cancelled = 7 };

[[nodiscard]] constexpr bool is_terminal(JobState state) { return state >= JobState::completed; }
[[nodiscard]] const char* name(JobState state);  // "scheduled", "queued", …

// One visible change of one job. In a reader the views point into the reader's private copy and last until its next call.
struct Event {
  JobId job;
  uint64_t rev = 0;
  JobState state = JobState::queued;
  bool list_changed = false;  // a state changed or a job appeared: its owner's list looks different now (mere progress: false)
  std::string_view owner;     // ≤ kOwnerBytesMax
  std::string_view snapshot;  // the snapshot JSON, ≤ kSnapshotBytesMax, no newline in it
};

constexpr size_t kOwnerBytesMax = 128;
constexpr size_t kSnapshotBytesMax = 4096;
constexpr uint32_t kNoSlot = 0xffffffff;

struct RegionOptions {
  uint32_t ring_bytes = 2 << 20;  // power of two, 64 KiB … 64 MiB; at least slots × largest record, see docs/shared-memory.md
  uint32_t slots = 480;           // jobs in the state table, 16 … 65,536; as many largest records as the ring holds
  uint32_t readers_max = 16;
  uint64_t first_position = 0;  // in units of 64 bytes; tests start just below 2^32
};

class RegionWriter {
 public:
  [[nodiscard]] static Result<RegionWriter> create(const RegionOptions& options);
  RegionWriter(RegionWriter&&) noexcept;
  RegionWriter& operator=(RegionWriter&&) noexcept;
  ~RegionWriter();

  // Slot first, then ring; a job that changes again before flush() gets its slot rewritten there, once, and readers see the change then.
  // Never blocks, never fails for valid input (asserts the size limits). The job's slot is found, or a free
  // one taken, or that of the job that has been terminal longest; with none to be had the event goes to the ring alone.
  void publish(const Event& event);
  // After a batch of publish(): shows what was held back (a sixteenth of the ring at most), then one fence, then at most one doorbell per
  // reader that armed itself.
  void flush();

  // What a new reader is given over the control socket, in this order of descriptors.
  struct Grant {
    uint32_t reader = 0;  // for remove_reader()
    Fd region;            // sealed memfd: map read-only
    Fd block;             // the reader's own page, read-write: holds its `armed`
    Fd doorbell;          // SOCK_SEQPACKET: readable when rung; EOF when the engine is gone
  };
  // `with_membarrier`: the reader said that it can call membarrier(2), see membarrier_offered(); while all readers can, flush() needs
  // no fence. Errors: full (readers_max are attached), internal.
  [[nodiscard]] Result<Grant> add_reader(bool with_membarrier = false);
  void remove_reader(uint32_t reader);

  [[nodiscard]] uint64_t epoch() const;  // random, names this region
  struct Stats {
    uint64_t records = 0, bytes = 0, doorbells = 0;
    uint32_t readers = 0, slots_used = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  explicit RegionWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class RegionReader {
 public:
  // Checks seals, sizes, magic and layout version before anything is trusted. Errors: invalid (a layout of another version, with both
  // versions named), corrupt.
  [[nodiscard]] static Result<RegionReader> open(Fd region, Fd block, Fd doorbell);
  RegionReader(RegionReader&&) noexcept;
  RegionReader& operator=(RegionReader&&) noexcept;
  ~RegionReader();

  enum class Drained {
    empty,    // caught up: arm() and sleep
    more,     // the bound of one call was reached, or something came meanwhile: call again
    lapped,   // the writer overtook this reader: events were lost. Call resync(), then drain on
    corrupt,  // bytes that no engine writes: drop this region and reconnect
  };
  // Hands at most `records_max` (≤ 16 by default) validated, privately copied events to `sink` and says how it ended.
  template <class Sink>
  [[nodiscard]] Drained drain(Sink&& sink, unsigned records_max = 16) {
    for (unsigned i = 0; i < records_max; ++i) {
      Event event;
      const Drained step = next(event);
      if (step != Drained::more) return step;
      sink(static_cast<const Event&>(event));
    }
    return Drained::more;
  }
  // One event, or why there is none. `more` means that `event` was filled.
  [[nodiscard]] Drained next(Event& event);

  // Reads the jobs of the state table into `sink` and continues draining from a tail noted before. Events with a `rev` not above
  // what the table showed may follow: skip them. Used after open() (every job) and after `lapped` (every job whose slot was written since
  // this reader last read it, so that a resync costs what changed and a reader that is always too slow still sees every job's latest).
  // `same` is told the other jobs that are in the table: a reader that keeps them must know that they still are.
  template <class Sink, class Same>
  void resync(Sink&& sink, Same&& same) {
    begin_resync();
    Event event;
    for (uint32_t slot = 0; slot < slots(); ++slot) {
      if (!slot_changed(slot)) {
        if (const JobId* job = slot_job(slot)) same(*job);
      } else if (read_slot(slot, event)) {
        sink(static_cast<const Event&>(event));
      }
    }
  }
  template <class Sink>
  void resync(Sink&& sink) {
    resync(sink, [](const JobId&) {});
  }
  void begin_resync();
  [[nodiscard]] uint32_t slots() const;
  [[nodiscard]] bool slot_changed(uint32_t slot) const;  // since read_slot() last returned it
  // False: the slot is empty, or was rewritten too often while being read (its newest event then follows on the ring).
  [[nodiscard]] bool read_slot(uint32_t slot, Event& event);
  [[nodiscard]] const JobId* slot_job(uint32_t slot) const;  // when read_slot() last returned it; null: it never did
  // Jobs that ended may have lost their slots to others. While it is false, none has.
  [[nodiscard]] bool table_is_full() const;

  // Asks for one doorbell at the next publish. False: something is there already, drain first.
  [[nodiscard]] bool arm();
  // The descriptor to poll for reading; call clear_doorbell() when it is readable. Its EOF is the engine's death (returns false).
  [[nodiscard]] int doorbell_fd() const;
  bool clear_doorbell();
  // Gives the doorbell to an event loop that closes descriptors itself (lws). doorbell_fd() stays valid as long as the loop keeps it.
  [[nodiscard]] int release_doorbell();

  [[nodiscard]] uint64_t epoch() const;
  struct Stats {
    uint64_t records = 0, laps = 0, arms = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  explicit RegionReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobcast
