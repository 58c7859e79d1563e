// The numbers of visible changes: boot << 32 | counter (DESIGN §3). Pure; loop thread.
//
// Publish order is rev order over all jobs, so that whoever resumes after rev N has missed nothing below N. A change that must be
// committed first reserves its number; the gap that is left below it serves the progress of other jobs while the disk works.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

namespace jobcast::engine {

class Revisions {
 public:
  // `start`: where the counter begins, at most kStartMax. Taken at random it keeps two lives of one state directory (a copy that was put
  // back counts a boot once more) from giving one number twice.
  explicit Revisions(uint32_t boot, uint32_t start = 0) : last_(uint64_t{boot} << 32 | start), published_(last_) {}

  // For a change that is published after its commit.
  [[nodiscard]] uint64_t reserve();
  // The oldest reservation was published, or its commit failed and nobody saw it. Must be called in the order of reserve().
  void settle(uint64_t rev);
  // For a change that is published now. None: the gap below the oldest reservation is used up; again after settle().
  [[nodiscard]] std::optional<uint64_t> next();

  // Half of this boot's counter is used: a further boot should be counted durably and set here, long before the counter ends.
  [[nodiscard]] bool wants_boot() const { return static_cast<uint32_t>(last_) > kHalf; }
  void set_boot(uint32_t boot) { last_ = uint64_t{boot} << 32; }
  [[nodiscard]] uint64_t published() const { return published_; }
  [[nodiscard]] uint32_t boot() const { return static_cast<uint32_t>(last_ >> 32); }

  static constexpr uint64_t kGap = 255;  // numbers left free below a reservation
  static constexpr uint32_t kHalf = 0x8000'0000, kStartMax = 0x3fff'ffff;

 private:
  uint64_t last_ = 0;       // highest number given out
  uint64_t published_ = 0;  // highest number that readers may have seen
  std::deque<uint64_t> reserved_;
};

}  // namespace jobcast::engine
