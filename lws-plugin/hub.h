// Topics and sessions: who is told what. Pure: no sockets, time is a parameter. Service thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/result.h"
#include "ipc/region.h"
#include "lws-plugin/contained.h"
#include "lws-plugin/metrics.h"
#include "lws-plugin/session.h"
#include "lws-plugin/snapshot.h"
#include "lws-plugin/topic.h"

namespace jobcast::plugin {

// What the hub needs of the world: the token gate, the engine, a timer. Borrowed; outlives the hub.
class Backend {
 public:
  virtual ~Backend() = default;
  // Auth::verify() behind the budget of those at this address: Errc::retry when that is used up (the client is told to try again).
  [[nodiscard]] virtual Result<Identity> verify(std::string_view token, std::string_view address, const Time& now) = 0;
  // After verify() answered retry: calls `turn` within about a second, when it may be asked again. With `last` no turn follows, so that
  // what verify() says then is to be answered. Returns 0 if too many wait: answer now.
  [[nodiscard]] virtual uint64_t wait_turn(size_t body_bytes, const Time& now, std::function<void(bool last, const Time& now)> turn) = 0;
  virtual void forget_turn(uint64_t turn) = 0;
  // job.submit and job.cancel with these parameters (JSON text), in the turn of this user. The reply may be used before this returns.
  virtual void submit(std::string_view user, std::string params, Reply reply) = 0;
  virtual void cancel(std::string_view user, std::string params, Reply reply) = 0;
  // Asks the engine for a job that the hub does not know (job.get without owner). Answered by Hub::fetched(), always and once, also
  // when the engine cannot be reached (Errc::retry), but not before this returns. The hub asks once for all who wait, in the turn of the
  // first of them.
  virtual void fetch(std::string_view user, const JobId& job) = 0;
  // Call Hub::tick() at this time (CLOCK_MONOTONIC, ms), the earliest one asked for; INT64_MAX: no need. Replaces the former time.
  virtual void wake_at(int64_t mono_ms) = 0;
};

// A held HTTP request (Prefer: wait) for a job's next change. Derive, arm with Hub::wait(), answer when told; unlinks itself.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter();
  // The job has another rev, or was forgotten: disarmed, look again. Must not call the hub.
  virtual void job_changed() = 0;
  [[nodiscard]] bool armed() const { return topic_ != nullptr; }

 private:
  friend class Hub;
  Topic* topic_ = nullptr;
  Hub* hub_ = nullptr;
  uint32_t index_ = 0;
};

class Hub {
 public:
  Hub(HubLimits limits, Backend& backend);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // A ws connection: has `connected` to send at once and must authenticate in time. Stays the hub's; ends with close().
  [[nodiscard]] Session& open(Transport& transport, const Time& now);
  // An SSE stream of a user already known. Errors: full (sessions_per_user_max).
  [[nodiscard]] Result<Session*> open_stream(Transport& transport, const Identity& who, const Time& now);
  void close(Session& session) noexcept;              // frees it; from then on the transport is not called
  [[nodiscard]] Session* find(SessionRef ref) const;  // null: gone

  // From the lane, in its order. Revs not above the known one are skipped.
  void publish(const Event& event, const Time& now);
  // The answer to Backend::fetch().
  void fetched(const JobId& job, const Result<Event>& result, const Time& now);
  void forget(const JobId& job);  // the engine no longer has it
  // Something broke while this job's change was told: whoever follows it may have missed it and is closed, to come back and ask anew.
  void fail_followers(const JobId& job) noexcept;

  // A client may have seen revs up to this one. A higher one than all of these is of another life of the engine's state directory.
  void saw(uint64_t rev) { newest_rev_ = std::max(newest_rev_, rev); }
  [[nodiscard]] bool knows_rev(uint64_t rev) const { return rev <= newest_rev_; }
  // The engine goes on from an older copy: revs begin lower, and what was known is void. begin_resync() must follow at once.
  void begin_anew();
  // Around publish() of the whole state table, in one call of the loop (after attach and when lapped). `complete`: the table had a free
  // slot, so that no job can have ended unseen. Answers the followed jobs that should have been in the table and were not: get each from
  // the engine and hand it to fetched().
  void begin_resync();
  void still_there(const JobId& job);  // in the table, and nothing of it is new
  [[nodiscard]] std::vector<JobId> end_resync(bool complete, const Time& now);

  // Before the first resync of a server that has only just begun: stale, and nothing is known. What that resync shows is not news then:
  // sessions that came earlier are told what is above the rev that they said, and to fetch their list.
  void start_fresh();

  // The engine is gone / back. While stale, snapshots are served as they are; sessions are told with `engine` {"stale":…}.
  void set_stale(bool stale);
  [[nodiscard]] bool stale() const { return stale_; }

  // This key (Identity::key) was withdrawn: the sessions that its tokens let in are told that they expire, and end then.
  void withdraw(uint64_t key, int64_t until_mono_ms, const Time& now);

  void tick(const Time& now);  // what is due: expiry, warnings, time-outs, held-back updates
  void shutdown();             // closes every session with CloseReason::shutdown

  // The newest snapshot known here; null: ask the engine. The caller checks Identity::may_see(owner).
  [[nodiscard]] SnapshotRef find(const JobId& job) const;
  // Arms the waiter. False: the job's rev is not `seen_rev` any more, answer at once.
  [[nodiscard]] bool wait(Waiter& waiter, const JobId& job, uint64_t seen_rev);
  void cancel(Waiter& waiter);

  [[nodiscard]] const HubLimits& limits() const { return limits_; }

  struct Stats : Metrics {
    Gauge sessions{*this, "jobcast_sessions", "Open ws connections and SSE streams."};
    Gauge authenticated{*this, "jobcast_sessions_authenticated", "Sessions of a known user."};
    Gauge users{*this, "jobcast_users", "Users with a session."};
    Gauge subscriptions{*this, "jobcast_subscriptions", "Jobs followed, counted once for each session."};
    Gauge topics{*this, "jobcast_topics", "Jobs remembered."};
    Gauge waiters{*this, "jobcast_waiters", "Long polls held."};
    Counter events{*this, "jobcast_events", "Changes of jobs taken from the lane."};  // published and newer than what was known
    Counter frames_built{*this, "jobcast_frames_built", "Snapshots framed; each frame serves all sessions of its kind."};
    Counter deliveries{*this, "jobcast_deliveries", "Frames handed to transports."};  // of jobs and lists
    Counter conflated{*this, "jobcast_conflated", "Updates replaced by newer ones before they were sent."};
    Counter requests{*this, "jobcast_messages", "Messages of clients."};
    Counter refused{*this, "jobcast_messages_refused", "Messages answered with an error."};
    Counter rate_limited{*this, "jobcast_messages_rate_limited", "Messages above the rate."};  // not even read
    Counter auth_ok{*this, "jobcast_auth_ok", "Tokens accepted on a session."};
    Counter auth_failed{*this, "jobcast_auth_failed", "Tokens refused on a session."};
    Counter expired{*this, "jobcast_auth_expired", "Sessions that lost their rooms when the token ended."};
    Counter closed_slow{*this, "jobcast_closed_slow", "Sessions closed for not reading their answers."};
    Counter closed_rate{*this, "jobcast_closed_rate", "Sessions closed for their rate."};
    Counter closed_auth_timeout{*this, "jobcast_closed_auth_timeout", "Sessions closed for not authenticating."};
    Counter follows_refused{*this, "jobcast_follows_refused", "Subscriptions refused for a user's share of the jobs that are remembered."};
    Counter topics_evicted{*this, "jobcast_topics_evicted", "Jobs forgotten for want of room."};
  };
  [[nodiscard]] const Stats& stats() const;

  // An event as what sessions share, its frames counted.
  [[nodiscard]] SnapshotRef snapshot(const Event& event) { return std::make_shared<const Snapshot>(event, stats_.frames_built); }

 private:
  friend class Session;
  friend class Reply;

  struct Awaiting {  // a subscribe_job that waits for Backend::fetch()
    SessionRef session;
    uint64_t rev = 0;
    uint32_t min_interval_ms = 0;
    std::string id;
  };
  struct Slot {
    std::unique_ptr<Session> session;
    uint32_t generation = 0;
  };
  using Timers = TimerHeap<Session, &Session::due_ms_, &Session::heap_place_>;
  using Idle = List<Topic, &Topic::idle>;

  Session& add(Transport& transport, Framing framing, const Time& now);
  void schedule(Session& session, int64_t due_ms);
  Owner& owner(std::string_view name);
  void release(Owner* owner);  // frees it once nothing names it
  Topic& topic(const JobId& job);
  [[nodiscard]] Topic* known(const JobId& job) const;
  void erase(Topic& topic);
  void follow_changed(Topic& topic);  // into the list of idle ones, or out of it
  void evict();
  [[nodiscard]] bool store(Topic& topic, const Event& event);
  void announce(Topic& topic, bool list_changed, bool first, const Time& now);
  void arrive(Topic& topic, bool urgent, const Time& now);
  void wake_waiters(Topic& topic);
  // Works on one of several sessions: what breaks closes that one alone.
  template <class Work>
  void guarded(Session& session, const char* where, Work&& work) noexcept {
    if (!contained(where, std::forward<Work>(work))) fail(session);
  }
  void fail(Session& session) noexcept;
  void fetch(const JobId& job, Awaiting awaiting);

  HubLimits limits_;
  Backend& backend_;
  Rate message_rate_;
  bool stale_ = false;
  std::unordered_map<JobId, std::unique_ptr<Topic>> topics_;
  std::unordered_map<std::string_view, std::unique_ptr<Owner>> owners_;  // keyed by Owner::name
  std::unordered_map<JobId, std::vector<Awaiting>> fetching_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  Idle idle_active_, idle_terminal_;  // least recently changed first
  Timers timers_;
  int64_t wake_ms_ = Timers::kNever;  // what the backend was asked for
  uint64_t seq_ = 0, order_ = 0;      // arrivals, and the highest rev among them
  uint64_t newest_rev_ = 0;           // of all that was seen
  uint64_t gone_rev_ = 0;             // the highest rev of a topic that was dropped: what is older may be unknown here
  uint64_t resync_ = 0;
  bool resyncing_ = false, ticking_ = false;
  bool fresh_ = false;     // until the end of the first resync
  bool doubtful_ = false;  // the resync showed a job of which it is not known whether it was announced
  std::vector<Topic*> arriving_;
  mutable Stats stats_;  // stats() brings the gauges up to date
  std::shared_ptr<Hub*> alive_;
};

}  // namespace jobcast::plugin
