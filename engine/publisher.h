// The last step of a turn: puts visible changes into the shared region in the order of their revs, and wakes its readers once a turn.
// Owns the region. Loop thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "engine/revisions.h"
#include "ipc/region.h"

namespace jobcast::engine {

class Publisher {
 public:
  Publisher(RegionWriter region, Revisions revisions) : region_(std::move(region)), revisions_(std::move(revisions)) {}

  [[nodiscard]] Revisions& revisions() { return revisions_; }
  void publish(const Event& event) { region_.publish(event); }
  // Once a turn: one fence and at most one doorbell per armed reader for everything that the turn published.
  void flush() { region_.flush(); }

  [[nodiscard]] Result<RegionWriter::Grant> add_reader(bool with_membarrier) { return region_.add_reader(with_membarrier); }
  void remove_reader(uint32_t reader) { region_.remove_reader(reader); }
  [[nodiscard]] uint64_t epoch() const { return region_.epoch(); }
  [[nodiscard]] RegionWriter::Stats stats() const { return region_.stats(); }

 private:
  RegionWriter region_;
  Revisions revisions_;
};

}  // namespace jobcast::engine
