// Follows jobs through the engine's shared memory, across its restarts. Main thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "engine/cli/engine_link.h"
#include "ipc/control_client.h"
#include "ipc/region.h"

namespace jobcast::cli {

class LaneLink {
 public:
  // Called with each new snapshot of a followed job, revisions only growing; the bytes are the engine's and last for the call.
  using OnSnapshot = std::function<void(const JobId& job, std::string_view snapshot)>;

  LaneLink(std::string socket, std::vector<JobId> jobs, OnSnapshot on_snapshot);

  // Connects, attaches and hands out every job's present snapshot: from shared memory, or by asking for one that is not there any
  // more. Errors: closed (no engine), not_found (a job), full (no reader's place is free), those of the control socket.
  [[nodiscard]] Result<void> open();
  enum class Drained {
    asleep,  // caught up, and the doorbell will ring
    more,    // enough for one call: show it and call again
    gone,    // the engine is, or its memory cannot be trusted: open() anew
  };
  // Hands out what came.
  [[nodiscard]] Drained drain();
  // To be polled for reading: drain() then. -1 while there is no engine.
  [[nodiscard]] int doorbell() const { return reader_ ? reader_->doorbell_fd() : -1; }
  [[nodiscard]] int control() const { return client_ ? client_->fd() : -1; }
  void close();

 private:
  void take(const Event& event);
  void take(const JobId& job, uint64_t rev, std::string_view snapshot);

  std::string socket_;
  std::vector<JobId> jobs_;
  OnSnapshot on_snapshot_;
  std::unordered_map<JobId, uint64_t> revs_;  // of followed jobs; 0: not heard of yet
  std::optional<ControlClient> client_;
  std::optional<RegionReader> reader_;
};

}  // namespace jobcast::cli
