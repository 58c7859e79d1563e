// Topics and sessions: who is told what, and when. Pure: no sockets, time is a parameter. Service thread only.
//
// A session has no queue. It has subscriptions, each with the last rev sent, and a list of dirty ones. publish() marks; the
// transport's writable callback calls Session::collect(), which joins the latest frame of every dirty topic. A slow client thus costs
// its subscriptions, sees the latest state when it wakes, and the terminal snapshot, being the last, is never lost.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "ipc/region.h"
#include "lws-plugin/auth.h"

namespace jobcast::plugin {

// How a session's frames look on its wire.
enum class Framing : uint8_t {
  ws,   // whole server-to-client ws text frames of {"event","data"}, header included, ready to be sent raw
  sse,  // id:, event:, data: lines and an empty one
};

// One revision of one job. Made once per event, shared by all sessions; its frames are built on first use and kept.
class Snapshot {
 public:
  Snapshot(const Event& event);
  const JobId job;
  const uint64_t rev;
  const JobState state;
  const std::string owner;
  const std::string json;  // the engine's bytes, the same on every transport
  // job_update, or job_completed in a terminal state, framed.
  [[nodiscard]] const std::string& frame(Framing framing) const;

 private:
  mutable std::array<std::string, 2> frames_;
};
using SnapshotRef = std::shared_ptr<const Snapshot>;

class Session;

// What a session's transport does for it. Borrowed; outlives the session.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void request_writable() = 0;                   // collect() has something
  virtual void request_call_at(int64_t mono_ms) = 0;     // call Session::tick() then (min_interval, expiry, auth time-out)
  virtual void close_session(std::string_view why) = 0;  // the session is over: "auth_timeout", "expired", "slow", "shutdown"
};

struct HubLimits {
  size_t subscriptions_per_session_max = 256;
  int64_t min_interval_ms = 0;  // server floor between two updates of one job to one session
  int64_t auth_timeout_ms = 10'000;
  int64_t expiry_warning_s = 60;        // auth_expiring is sent so long before `exp`
  size_t messages_per_second_max = 50;  // from one session, burst twice that
  size_t sessions_per_user_max = 64;
};

class Hub {
 public:
  explicit Hub(HubLimits limits);
  ~Hub();

  void publish(const Event& event);  // older revs than the known one are skipped
  void forget(const JobId& job);     // the engine no longer has it
  // The engine is gone / back. While stale, snapshots are served as they are and sessions are told with an `engine` event {"stale":true}.
  void set_stale(bool stale);
  [[nodiscard]] bool stale() const;
  [[nodiscard]] SnapshotRef find(const JobId& job) const;
  [[nodiscard]] uint64_t list_rev(std::string_view owner) const;  // rev of the newest list change of this owner known here; 0: none

  struct Stats {
    uint64_t events = 0, frames_built = 0, deliveries = 0, conflated = 0, refused = 0;
    size_t sessions = 0, authenticated = 0, subscriptions = 0, topics = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  friend class Session;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobcast::plugin
