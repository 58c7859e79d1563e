// The way to the engine: its control socket and its lane, both inside the lws loop. Owned by the Vhost; service thread only.
//
// The socket and the doorbell are adopted by lws as raw files and closed by it. When the engine dies the socket says so: what is left of
// the old lane is drained, the listener is told, and a reconnection with growing, jittered delays begins; the new engine's table is
// read in full.
//
// Requests wait in a CallQueue, where users take turns, and go out as the socket takes them. A call that fails says whether the engine may
// have carried it out (Errc::closed, on the wire "unanswered") or certainly did not and will not (Errc::retry, full).
#pragma once

#include <libwebsockets.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/handle.h"
#include "base/result.h"
#include "ipc/control.h"
#include "ipc/region.h"
#include "lws-plugin/call_queue.h"
#include "lws-plugin/metrics.h"
#include "lws-plugin/timer.h"

namespace jobcast::plugin {

class EngineLink {
 public:
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_event(const Event& event) = 0;
    // Around on_event() for the whole state table. `complete`: nothing can have been missed that the table does not show.
    // Before the first resync of a connection. `rev`: the highest that this engine has published. `another_life`: it goes on from an
    // older copy of its state directory, so that nothing of what was seen before counts.
    virtual void on_engine(uint64_t rev, bool another_life) = 0;
    virtual void on_resync_begin() = 0;
    virtual void on_unchanged(const JobId& job) = 0;  // within a resync: in the table, as it was at the last one
    virtual void on_resync_end(bool complete) = 0;
    virtual void on_attached() = 0;  // after the first resync of a connection
    virtual void on_lost() = 0;
  };
  struct Limits {
    CallQueue::Limits queue;
    int64_t timeout_ms = 10'000;
  };

  EngineLink(lws_context* context, lws_vhost* vhost, std::string socket_path, Limits limits, Listener& listener);
  EngineLink(const EngineLink&) = delete;
  EngineLink& operator=(const EngineLink&) = delete;
  ~EngineLink();

  void start();

  using CallId = CallQueue::CallId;  // 0: none
  // `result`: the raw JSON text of the answer's result, valid during the call. Errors: those of the method; retry (no engine, or it did
  // not take the request in time: it was not carried out and will not be), closed (the engine has the request and did not answer:
  // it may have been carried out), full (too many calls of this user, or of all, wait), invalid (longer than a line of the control
  // socket). Never called before call() returns, and exactly once unless forgotten.
  using Done = std::function<void(const Result<std::string_view>& result)>;
  // `user` is on whose behalf: CallQueue::kServer for the server's own calls. `timeout_ms` 0: the link's own.
  CallId call(std::string_view user, std::string_view method, std::string_view params_json, Done done, int64_t timeout_ms = 0);
  void forget(CallId call);  // its answer, if it still comes, is dropped; a request that is not sent yet is taken back
  // Whether a request with such params fits into a line of the control socket.
  [[nodiscard]] static bool fits(std::string_view params_json);

  // The engine answered something so lately that it would answer now. False: ask it.
  [[nodiscard]] bool heard_lately() const;
  [[nodiscard]] bool attached() const { return reader_.has_value(); }

  // lws's callbacks for the two adopted descriptors. `port` is the wsi's opaque user data. Nonzero: lws closes the wsi.
  struct Port {
    EngineLink* link = nullptr;
    lws* wsi = nullptr;
    bool control = false;
  };
  static int on_readable(lws* wsi);
  static int on_writable(lws* wsi);
  static void on_closed(lws* wsi);

  struct Stats : Metrics {
    Gauge attached{*this, "jobcast_engine_attached", "1 while the engine's lane is attached."};
    Gauge waiting{*this, "jobcast_engine_calls_waiting", "Calls that wait for the engine."};
    Gauge waiting_bytes{*this, "jobcast_engine_calls_waiting_bytes", "Bytes of calls that are not sent to the engine yet."};
    Counter calls{*this, "jobcast_engine_calls", "Calls to the engine."};
    Counter calls_failed{*this, "jobcast_engine_calls_failed", "Calls to the engine that failed."};
    Counter calls_refused{*this, "jobcast_engine_calls_refused", "Calls refused for a bound of the user or of all."};
    Counter calls_unanswered{*this, "jobcast_engine_calls_unanswered", "Calls sent to the engine and not answered."};
    Counter connects{*this, "jobcast_engine_connects", "Connections to the engine."};
    Counter records{*this, "jobcast_lane_records", "Records read from the lane."};
    Counter laps{*this, "jobcast_lane_laps", "Times the engine overtook this reader."};
    Counter wakeups{*this, "jobcast_lane_wakeups", "Doorbells heard."};
  };
  [[nodiscard]] const Stats& stats() const;

 private:
  struct Waiting {
    Done done;
    int64_t deadline_ms = 0;  // 0: refused already
  };

  void connect();
  void attach();
  [[nodiscard]] Result<void> attached_with(std::string_view result);
  void lost(const char* why);
  void reconnect_later();
  [[nodiscard]] bool adopt(Fd fd, Port& port);
  void drop(Port& port);
  [[nodiscard]] int fd_of(const Port& port) const;

  [[nodiscard]] Result<void> read_control();
  [[nodiscard]] Result<void> write_control();
  void on_line(std::string_view line);
  void settle(CallId id, const Result<std::string_view>& result);
  void fail_all();
  void look_at_deadlines();
  void schedule_deadline();

  void drain();
  void count_reader() const;
  void drain_some();
  void resync();

  lws_context* context_;
  lws_vhost* vhost_;
  std::string path_;
  Limits limits_;
  Listener& listener_;

  Port control_, doorbell_;
  LineBuffer lines_;
  CallQueue queue_;
  std::array<Fd, 3> granted_;  // that came with the line of attach's answer
  size_t granted_count_ = 0;
  CallId last_id_ = 0, attach_id_ = 0;
  std::map<CallId, Waiting> waiting_;
  std::set<std::pair<int64_t, CallId>> due_;  // of waiting_, by deadline
  std::map<CallId, Error> refused_;           // failed at once, told in the next turn
  int64_t heard_ms_ = 0;                      // when the engine last answered
  std::optional<RegionReader> reader_;
  mutable RegionReader::Stats counted_;  // of the reader, as far as it is in stats_
  std::string epoch_;                    // of the engine that is, or was last, attached
  uint64_t boot_ = 0;                    // the same engine's
  int64_t backoff_us_ = 0;
  mutable Stats stats_;  // stats() brings the gauges and the reader's counts up to date
  Timer reconnect_, deadline_, again_, refuse_, ask_;
};

}  // namespace jobcast::plugin
