// The counter, and what it must never fall behind.
#include "engine/revisions.h"

#include <cassert>

namespace jobcast::engine {

uint64_t Revisions::reserve() {
  last_ += 1 + kGap;
  reserved_.push_back(last_);
  return last_;
}

void Revisions::settle(uint64_t rev) {
  assert(!reserved_.empty() && reserved_.front() == rev);
  reserved_.pop_front();
  published_ = rev;
}

std::optional<uint64_t> Revisions::next() {
  if (reserved_.empty()) return published_ = ++last_;
  if (published_ + 1 >= reserved_.front()) return std::nullopt;
  // A gap that begins in an older boot than its reservation is still a gap: numbers only have to grow.
  return ++published_;
}

}  // namespace jobcast::engine
