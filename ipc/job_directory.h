// Job → slot, private to the engine: open addressing over the random half of the UUIDv7, so that a publish finds its slot in one or two
// steps. Bounded: at most `slots` jobs. The engine's loop thread only.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "base/id.h"
#include "ipc/region.h"

namespace jobcast {

class JobDirectory {
 public:
  JobDirectory() = default;
  explicit JobDirectory(uint32_t slots) : jobs_(slots), index_(std::bit_ceil(slots * size_t{4}), kNoSlot) {}

  [[nodiscard]] uint32_t find(const JobId& job) const {
    for (size_t at = home(job);; at = next(at)) {
      const uint32_t slot = index_[at];
      if (slot == kNoSlot || same(jobs_[slot], job)) return slot;
    }
  }
  // `job` is absent, and no other has this slot.
  void insert(const JobId& job, uint32_t slot) {
    size_t at = home(job);
    while (index_[at] != kNoSlot) at = next(at);
    index_[at] = slot;
    jobs_[slot] = job;
    ++size_;
  }
  // Frees the slot of the job it belongs to, and closes the gap so that no search ends early (Knuth's algorithm R).
  void erase(uint32_t slot) {
    size_t hole = home(jobs_[slot]);
    while (index_[hole] != slot) hole = next(hole);
    for (size_t at = next(hole); index_[at] != kNoSlot; at = next(at)) {
      const size_t wanted = home(jobs_[index_[at]]);
      const bool stays = hole < at ? hole < wanted && wanted <= at : hole < wanted || wanted <= at;
      if (stays) continue;
      index_[hole] = index_[at];
      hole = at;
    }
    index_[hole] = kNoSlot;
    --size_;
  }
  [[nodiscard]] uint32_t size() const { return size_; }

 private:
  [[nodiscard]] size_t home(const JobId& job) const {
    uint64_t random = 0;
    memcpy(&random, job.bytes.data() + 8, sizeof random);
    return static_cast<size_t>(random * 0x9e3779b97f4a7c15u >> 32) & (index_.size() - 1);
  }
  // As two words: the array's own comparison is a call of memcmp().
  [[nodiscard]] static bool same(const JobId& a, const JobId& b) {
    uint64_t left[2], right[2];
    memcpy(left, a.bytes.data(), sizeof left);
    memcpy(right, b.bytes.data(), sizeof right);
    return ((left[0] ^ right[0]) | (left[1] ^ right[1])) == 0;
  }
  [[nodiscard]] size_t next(size_t at) const { return (at + 1) & (index_.size() - 1); }

  std::vector<JobId> jobs_;      // of each slot
  std::vector<uint32_t> index_;  // slots, at least three quarters empty
  uint32_t size_ = 0;
};

}  // namespace jobcast
