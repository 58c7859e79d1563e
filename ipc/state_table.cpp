// See state_table.h. The engine's loop thread only.
#include "ipc/state_table.h"

#include <cstring>
#include <utility>

#include "ipc/shared_words.h"

namespace jobcast {

StateTableWriter::StateTableWriter(uint32_t* sequences, unsigned char* copies, uint32_t slots)
    : sequences_(sequences), copies_(copies), slots_(slots), directory_(slots) {}

uint32_t StateTableWriter::slot_for(const JobId& job, bool terminal) {
  uint32_t slot = directory_.find(job);
  if (slot == kNoSlot) {
    if (fresh_ < slots_) {
      slot = fresh_++;
      entries_.emplace_back();
    } else if (oldest_ != kNoSlot) {
      slot = oldest_;
      remove_terminal(slot);
      directory_.erase(slot);
      // The new job's record goes into it at once, not at the batch's end: the old job may be back by then, in a slot of its own.
      entries_[slot].written = false;
      entries_[slot].image = nullptr;
    } else {
      return kNoSlot;
    }
    entries_[slot].terminal = false;
    directory_.insert(job, slot);
  }
  if (entries_[slot].terminal != terminal) {
    if (terminal)
      append_terminal(slot);
    else
      remove_terminal(slot);  // a finished job was retried by hand
    entries_[slot].terminal = terminal;
  }
  return slot;
}

template <class Store>
void StateTableWriter::write_copy(uint32_t slot, Store&& store) {
  uint32_t next = load_relaxed(sequences_[slot]) + 1;
  if (next == 0) next = 2;  // 0 says "never used"; 2 names the same copy
  // release fence: the sequence that made the other copy the current one is seen before any word of this one changes. A reader still in
  // this copy then finds its sequence moved, whichever words it got.
  __atomic_thread_fence(__ATOMIC_RELEASE);
  store(copies_ + size_t{slot * 2 + (next & 1)} * JOBCAST_RECORD_BYTES_MAX);
  // release: publishes the copy's words above.
  store_release(sequences_[slot], next);
}

bool StateTableWriter::write(uint32_t slot, const Record& record) {
  if (entries_[slot].written) return false;
  entries_[slot].written = true;
  batch_.push_back(slot);
  write_copy(slot, [&](unsigned char* copy) { store_record(copy, record); });
  return true;
}

void StateTableWriter::commit() {
  for (const uint32_t slot : batch_) {
    const unsigned char* const image = std::exchange(entries_[slot].image, nullptr);
    if (!image) continue;
    uint32_t bytes = 0;
    memcpy(&bytes, image, sizeof bytes);
    write_copy(slot, [&](unsigned char* copy) { copy_in(copy, reinterpret_cast<const char*>(image), bytes); });
  }
}

void StateTableWriter::end_batch() {
  for (const uint32_t slot : batch_) entries_[slot].written = false;
  batch_.clear();
}

void StateTableWriter::append_terminal(uint32_t slot) {
  Entry& entry = entries_[slot];
  entry.older = newest_;
  entry.newer = kNoSlot;
  (newest_ == kNoSlot ? oldest_ : entries_[newest_].newer) = slot;
  newest_ = slot;
}

void StateTableWriter::remove_terminal(uint32_t slot) {
  const Entry& entry = entries_[slot];
  (entry.older == kNoSlot ? oldest_ : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNoSlot ? newest_ : entries_[entry.newer].older) = entry.older;
}

}  // namespace jobcast
