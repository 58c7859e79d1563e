// The writing end of the state table: which slot belongs to which job, and the two-copy latch in each. The engine's loop thread only.
// The directory is private to the engine: readers find a job's slot in its records and otherwise read every slot.
#pragma once

#include <vector>

#include "ipc/job_directory.h"
#include "ipc/record.h"

namespace jobcast {

class StateTableWriter {
 public:
  StateTableWriter() = default;
  // `sequences` and `copies` lie in the region and outlive this.
  StateTableWriter(uint32_t* sequences, unsigned char* copies, uint32_t slots);

  // The job's slot: its own, a free one, or that of the job that has been terminal longest; kNoSlot when every job is active.
  // Also keeps the order in which jobs became terminal.
  [[nodiscard]] uint32_t slot_for(const JobId& job, bool terminal);
  // The slot's first record in a batch. False: it has had one.
  [[nodiscard]] bool write(uint32_t slot, const Record& record);
  // A further one: it stands at `image` on the ring until commit(), which writes the last of them.
  void put(uint32_t slot, const unsigned char* image) { entries_[slot].image = image; }
  void commit();
  void end_batch();
  [[nodiscard]] uint32_t used() const { return directory_.size(); }

 private:
  struct Entry {
    bool terminal = false;
    bool written = false;                       // in this batch
    const unsigned char* image = nullptr;       // put since then
    uint32_t older = kNoSlot, newer = kNoSlot;  // neighbours among the terminal ones
  };
  template <class Store>
  void write_copy(uint32_t slot, Store&& store);
  void append_terminal(uint32_t slot);
  void remove_terminal(uint32_t slot);

  uint32_t* sequences_ = nullptr;
  unsigned char* copies_ = nullptr;
  uint32_t slots_ = 0;
  uint32_t fresh_ = 0;                            // slots from here on were never used
  uint32_t oldest_ = kNoSlot, newest_ = kNoSlot;  // terminal jobs, by the time they became so
  std::vector<Entry> entries_;                    // grows with fresh_
  std::vector<uint32_t> batch_;                   // slots written in it; twice, where one changed its job meanwhile
  JobDirectory directory_;
};

}  // namespace jobcast
