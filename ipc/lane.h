// The writing end of the lane, a broadcast ring: the engine's loop thread only. It never waits for a reader; whoever is too slow notices
// by `intent`. The ordering is that of Aeron's broadcast transmitter; positions live in the header only, so that no old payload can
// pass for one.
#pragma once

#include "ipc/record.h"
#include "ipc/shared_words.h"

namespace jobcast {

class LaneWriter {
 public:
  LaneWriter() = default;
  // `region` is initialised and outlives this.
  LaneWriter(jobcast_region& region, unsigned char* ring, uint64_t first_position)
      : region_(&region),
        ring_(ring),
        units_(region.ring_bytes / JOBCAST_UNIT_BYTES),
        position_(first_position),
        shown_(first_position),
        intent_(first_position) {
    store_relaxed(region.era, era());
    store_relaxed(region.intent, static_cast<uint32_t>(first_position));
    store_release(region.tail, static_cast<uint32_t>(first_position));
  }

  // Writes the record behind the last and returns where it stands. No reader sees it before commit().
  const unsigned char* append(const Record& record) {
    const uint32_t index = static_cast<uint32_t>(position_) & (units_ - 1);
    const uint32_t room = units_ - index;
    const uint32_t units = jobcast_units(record.bytes);
    const uint32_t padding = units > room ? room : 0;
    position_ += padding + units;

    // Announced ahead, a sixteenth of the ring at a time: a reader that spins would else take the line away twice a record.
    if (position_ > intent_) {
      intent_ = position_ + units_ / 16;
      store_relaxed(region_->intent, static_cast<uint32_t>(intent_));
      // release fence: a reader that sees any word stored from here on also sees the intent that covers it, and knows that it was
      // overtaken.
      __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    if (padding) pad(index, padding);
    unsigned char* to = at(padding ? 0 : index);
    // The lines of the next record, if it is like this one: a reader had them, and getting them back takes longer than to fill them.
    for (uint32_t unit = units; unit < 2 * units; ++unit) prefetch_for_write(to + size_t{unit} * JOBCAST_UNIT_BYTES);
    store_record(to, record);
    return to;
  }
  // Shows what was appended.
  void commit() {
    if (era() != shown_ >> JOBCAST_ERA_SHIFT) store_relaxed(region_->era, era());
    // release: publishes the records' words, the era above, and the slots that were written before.
    store_release(region_->tail, static_cast<uint32_t>(position_));
    shown_ = position_;
  }
  // What is held back must not grow into the records that slots are still to be copied from, nor lap everybody at once.
  [[nodiscard]] bool batch_is_long() const { return position_ - shown_ >= units_ / 16; }

 private:
  [[nodiscard]] uint32_t era() const { return static_cast<uint32_t>(position_ >> JOBCAST_ERA_SHIFT); }
  [[nodiscard]] unsigned char* at(uint32_t index) const { return ring_ + size_t{index} * JOBCAST_UNIT_BYTES; }
  void pad(uint32_t index, uint32_t units) const {
    alignas(8) jobcast_record head{};
    head.bytes = units * JOBCAST_UNIT_BYTES;
    head.type = JOBCAST_RECORD_PADDING;
    copy_in(at(index), reinterpret_cast<const char*>(&head), sizeof head);
  }

  jobcast_region* region_ = nullptr;
  unsigned char* ring_ = nullptr;
  uint32_t units_ = 0;
  uint64_t position_ = 0;  // of the next record; never wraps
  uint64_t shown_ = 0;     // its lower half is the tail
  uint64_t intent_ = 0;
};

}  // namespace jobcast
