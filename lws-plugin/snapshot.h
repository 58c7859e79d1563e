// One revision of one job, as the engine encoded it. Made once per event, shared by all sessions and framed once. Service thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/id.h"
#include "ipc/region.h"
#include "lws-plugin/frames.h"
#include "lws-plugin/metrics.h"

namespace jobcast::plugin {

class Snapshot {
  const std::string ws_frame_;

 public:
  Snapshot(const Event& event, Counter& frames_built);
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const JobId job;
  const uint64_t rev;
  const JobState state;
  const std::string owner;
  const std::string_view json;  // the engine's bytes, the same on every transport; part of the ws frame, so that it is stored once

  // `job_update`, or `job_completed` in a terminal state, with the snapshot as data.
  [[nodiscard]] const std::string& frame(Framing framing) const;
  // `job_list_update` with {"rev","job":snapshot}.
  [[nodiscard]] const std::string& list_frame(Framing framing) const;
  [[nodiscard]] bool terminal() const { return is_terminal(state); }

 private:
  Counter& frames_built_;                           // the hub's, in which all snapshots live
  mutable std::string sse_frame_, list_frames_[2];  // built on first use
};
using SnapshotRef = std::shared_ptr<const Snapshot>;

}  // namespace jobcast::plugin
