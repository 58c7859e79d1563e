// One client that is being told things: a ws connection or an SSE stream. Owned by the Hub. Pure: no sockets, time is a parameter.
// Service thread only.
//
// A session has no queue. It has subscriptions, each with the last rev sent, and a list of dirty ones. An event marks; the transport's
// writable callback calls collect(), which joins the latest frame of whatever is dirty. A slow client thus costs its subscriptions,
// sees the latest state when it wakes, and the terminal snapshot, being the last, is never lost.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "lws-plugin/auth.h"
#include "lws-plugin/frames.h"
#include "lws-plugin/limits.h"
#include "lws-plugin/messages.h"
#include "lws-plugin/topic.h"

namespace jobcast::plugin {

class Hub;

// Why the server ends a session. docs/protocol.md says what a client should make of each.
enum class CloseReason : uint8_t {
  shutdown,      // this server goes away: reconnect
  auth_timeout,  // not authenticated in time: come back with a token
  expired,       // an SSE stream's token has ended: come back with another
  slow,          // asked for more than it read
  rate,          // kept sending above the rate
};
[[nodiscard]] const char* name(CloseReason reason);        // for logs and the close frame's text
[[nodiscard]] uint16_t ws_close_code(CloseReason reason);  // 1001, 4401, …

// What a session's transport does for it. Borrowed; outlives the session. Its calls must not call back into hub or session.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void request_writable() = 0;  // collect() has something; not called again before the next collect()
  // The session is over: collect() what is left, send it, end the connection, then Hub::close(). Called once.
  virtual void close_session(CloseReason reason) = 0;
};

// Names a session that may be gone by the time something is found out for it.
struct SessionRef {
  uint32_t index = 0, generation = 0;
};

// The one answer to a request that the engine decides. Its holder calls done() or failed(), at once or later; the session, and the Hub,
// may be gone by then. Dropped unanswered it answers `retry`.
class Reply {
 public:
  Reply(Reply&& other) noexcept = default;
  Reply& operator=(Reply&&) = delete;
  ~Reply();
  void done(std::string_view job_json, bool created);  // the engine's snapshot, byte for byte; `created` is submit's
  void failed(const Error& error);

 private:
  friend class Session;
  struct Target;
  explicit Reply(std::unique_ptr<Target> target);
  std::unique_ptr<Target> target_;  // null: answered
};

class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // One whole message of a ws client. Never fails: what is wrong with it is answered.
  void on_message(std::string_view text, const Time& now);

  // Appends frames to `out` until about `bytes_max` more bytes are there (a frame is never cut; at least one is given, so up to 9 KiB
  // may come whatever the bound). True: more is waiting, ask for writable again. Nothing to send: nothing appended, false.
  [[nodiscard]] bool collect(std::string& out, size_t bytes_max, const Time& now);

  // SSE. `seen_rev` is the Last-Event-ID, 0 for none. The caller has made sure that the job exists and may be seen.
  void follow_job(const JobId& job, uint64_t seen_rev);
  // Every visible change of every job of the session's user. Without `seen_rev`: what comes from now on. With it: also what was missed,
  // or a job_list_update with null where that can no longer be said.
  void follow_user(uint64_t seen_rev);

  [[nodiscard]] bool authenticated() const { return owner_ != nullptr; }
  [[nodiscard]] const Identity& identity() const { return identity_; }  // of the last authentication, expired or not
  [[nodiscard]] SessionRef ref() const { return ref_; }
  [[nodiscard]] std::string id() const;  // 16 hex digits, as in `connected`: for logs

 private:
  friend class Hub;
  friend class Reply;
  Session(Hub& hub, Transport& transport, Framing framing, SessionRef ref);

  Hub& hub_;
  Transport& transport_;
  Owner* owner_ = nullptr;  // null: not authenticated, or expired
  Identity identity_;
  std::string answers_;  // framed, in order; bounded by answers_bytes_max
  SessionRef ref_;
};

}  // namespace jobcast::plugin
