// One revision of one job, as the engine encoded it. Made once per event, shared by all sessions; its frames are built on first use
// and kept. Service thread only.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/id.h"
#include "ipc/region.h"
#include "lws-plugin/frames.h"

namespace jobcast::plugin {

class Snapshot {
 public:
  explicit Snapshot(const Event& event);

  const JobId job;
  const uint64_t rev;
  const JobState state;
  const std::string owner;
  const std::string json;  // the engine's bytes, the same on every transport

  // `job_update`, or `job_completed` in a terminal state, with the snapshot as data.
  [[nodiscard]] const std::string& frame(Framing framing) const;
  // `job_list_update` with {"rev","job":snapshot}.
  [[nodiscard]] const std::string& list_frame(Framing framing) const;

 private:
  mutable std::array<std::string, 2> frames_, list_frames_;
};
using SnapshotRef = std::shared_ptr<const Snapshot>;

}  // namespace jobcast::plugin
