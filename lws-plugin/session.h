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
class Session;

// Why the server ends a session. docs/protocol.md says what a client should make of each.
enum class CloseReason : uint8_t {
  shutdown,      // this server goes away: reconnect
  auth_timeout,  // not authenticated in time: come back with a token
  expired,       // an SSE stream's token has ended: come back with another
  slow,          // asked for more than it read
  rate,          // kept sending above the rate
  internal,      // something broke in the server: reconnect
};
[[nodiscard]] const char* name(CloseReason reason);        // for logs and the close frame's text
[[nodiscard]] uint16_t ws_close_code(CloseReason reason);  // 1001, 4401, …

// What a session's transport does for it. Borrowed; outlives the session. Its calls must not call back into hub or session.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual std::string_view address() const { return {}; }  // of the client, as far as it is known
  virtual void request_writable() = 0;  // collect() has something; not called again before the next collect()
  // The session is over: collect() what is left, send it, end the connection, then Hub::close(). Called once.
  virtual void close_session(CloseReason reason) = 0;
};

// Names a session that may be gone by the time something is found out for it.
struct SessionRef {
  uint32_t index = 0, generation = 0;
};

// The one answer to a request that the engine decides. Its holder calls done() or failed(), at once or later; the session, and the Hub,
// may be gone by then. Dropped unanswered it answers `unanswered`.
class Reply {
 public:
  Reply(Reply&& other) noexcept;
  Reply& operator=(Reply&&) = delete;
  ~Reply();
  void done(std::string_view job_json, bool created);  // the engine's snapshot, byte for byte; `created` is submit's
  void failed(const Error& error);

 private:
  friend class Session;
  struct Target;
  [[nodiscard]] static Session* take(Target& target);
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

  // Whom the upgrade to ws brought, verified already: answered as the message `authenticate` is.
  void authenticate(Identity who, const Time& now) { join_as(std::move(who), {}, 0, now); }
  // The same with a token whose verification the upgrade did not wait for.
  void authenticate(const std::string& token, const Time& now) { authenticate(token, {}, 0, true, now); }

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
  using Subscriptions = List<Subscription, &Subscription::of_session>;
  using Marked = List<Subscription, &Subscription::marked>;

  Session(Hub& hub, Transport& transport, Framing framing, SessionRef ref, const Time& now);

  // session.cpp: rooms, marks, frames, time
  void join(Identity identity);
  void leave();  // all rooms
  void close(CloseReason reason);
  Subscription& subscribe(Topic& topic, uint64_t seen_rev, uint32_t min_interval_ms, bool room_only);
  void unsubscribe(Subscription& subscription);
  [[nodiscard]] bool may_follow(const Topic& topic) const;  // within the user's share
  [[nodiscard]] Subscription* subscription_to(const Topic& topic) const;
  void room_terminal(Topic& topic);
  void resume_room(uint64_t seen_rev);
  void begin_with_what_is_known();  // Hub::start_fresh(): the first resync is over

  void ask();
  void mark(Subscription& subscription, bool terminal, const Time& now);
  void mark_list();
  void forget_revs();   // the hub begins anew: whatever comes is news
  void list_unknown();  // changes were missed: tell the client to fetch its list
  void mark_stream(bool urgent, const Time& now);

  struct Room {  // what one collect() may still append
    std::string& out;
    const size_t start, end;
    [[nodiscard]] bool add(const std::string& frame) {
      if (out.size() > start && out.size() + frame.size() > end) return false;
      out += frame;
      return true;
    }
  };
  [[nodiscard]] bool pending() const;
  void answer(std::string_view event, std::string_view data, std::string_view id = {});
  [[nodiscard]] bool collect_answers(Room& room);
  [[nodiscard]] bool collect_list(Room& room);
  [[nodiscard]] bool collect_stream(Room& room, const Time& now);
  [[nodiscard]] bool collect_subscriptions(Room& room, const Time& now);

  [[nodiscard]] bool expired(const Time& now) const { return owner_ && identity_.ended(now); }
  void expire(const Time& now);
  void tick(const Time& now);
  void schedule(const Time& now);  // the next tick
  [[nodiscard]] Json expiry_json(const Time& now) const;

  // session_requests.cpp: messages and their answers
  void connected();
  void authenticate(const std::string& token, const std::string& id, uint64_t seen_rev, bool may_wait, const Time& now);
  void await_turn(const std::string& token, const std::string& id, uint64_t seen_rev, const Time& now);
  void join_as(Identity who, std::string_view id, uint64_t seen_rev, const Time& now);
  void auth_failed(std::string_view code, std::string_view why, std::string_view id);
  void subscribe_job(const Message& message);
  void subscribe_known(const JobId& job, uint64_t rev, uint32_t min_interval_ms, std::string_view id, const Error* why_unknown);
  bool drop_finished();
  void unsubscribe_job(const Message& message);
  void submit_job(const Message& message);
  void cancel_job(const Message& message);
  void too_many_calls(const Message& message);
  [[nodiscard]] Reply reply_to(const Message& message);
  void refuse(Request request, std::string_view id, const char* code, std::string_view message, std::string_view field = {},
              std::string_view job_id = {});
  void auth_error(std::string_view code, std::string_view message, std::string_view id = {});

  enum class ListPending : uint8_t { none, one, many };

  Hub& hub_;
  Transport& transport_;
  Owner* owner_ = nullptr;  // null: not authenticated, or expired
  Identity identity_;
  std::string answers_;  // framed, in order; bounded by answers_bytes_max
  Subscriptions subscriptions_;
  Marked dirty_, held_;
  std::array<uint64_t, 8> told_{};  // revs of the newest terminal snapshots that the room carried here: not sent again on subscribing
  uint64_t stream_seq_ = 0;         // follow_user: up to which arrival everything was sent
  int64_t stream_due_ms_ = kNever;  // follow_user: held until then
  int64_t stream_floor_ms_ = std::numeric_limits<int64_t>::min();
  int64_t auth_deadline_ms_ = 0;  // mono
  int64_t due_ms_ = kNever;       // in the hub's heap
  int64_t rate_state_ = Rate::kFresh;
  uint64_t resume_rev_ = 0;  // what to resume from, said before the server knew anything
  uint64_t gap_rev_ = 0;     // follow_user: tell that the list must be fetched, and go on from this rev
  uint64_t id_ = 0;
  uint64_t turn_ = 0;  // Backend::wait_turn(), 0 for none
  SessionRef ref_;
  uint32_t heap_place_ = std::numeric_limits<uint32_t>::max();
  uint32_t owner_index_ = 0;
  uint32_t subscriptions_count_ = 0, room_only_count_ = 0, calls_ = 0, over_rate_ = 0;
  uint8_t told_next_ = 0;
  Framing framing_;
  ListPending list_pending_ = ListPending::none;
  bool room_ = false;          // is told of its user's room (ws)
  bool follows_user_ = false;  // SSE of all the user's jobs
  bool stream_pending_ = false;
  bool stale_told_ = false;
  bool asked_ = false, closing_ = false, warned_ = false;

  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
};

}  // namespace jobcast::plugin
