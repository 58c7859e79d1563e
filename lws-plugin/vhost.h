// One lws vhost that serves jobcast: owns the options, the token gate, the hub, the engine link and the timers, and connects them.
// Made by PROTOCOL_INIT, freed by PROTOCOL_DESTROY. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "lws-plugin/auth.h"
#include "lws-plugin/connections.h"
#include "lws-plugin/engine_link.h"
#include "lws-plugin/http_text.h"
#include "lws-plugin/hub.h"
#include "lws-plugin/metrics.h"
#include "lws-plugin/options.h"
#include "lws-plugin/tickets.h"
#include "lws-plugin/timer.h"
#include "lws-plugin/verify_budget.h"
#include "lws-plugin/verify_turns.h"

namespace jobcast::plugin {

class Exchange;
class WsConnection;

// What /metrics shows beside the hub's and the link's own counts.
struct Counters : Metrics {
  Counter http_requests{*this, "jobcast_http_requests", "HTTP requests."};
  Counter http_client_errors{*this, "jobcast_http_client_errors", "Answers with a status of 4xx."};
  Counter http_server_errors{*this, "jobcast_http_server_errors", "Answers with a status of 5xx."};
  Counter http_malformed{*this, "jobcast_http_malformed",
                         "Requests refused for a target, a version or a header that HTTP does not know or lws would read differently."};
  Counter bodies_late{*this, "jobcast_http_bodies_late", "Request bodies that did not come in time."};
  Counter polls_held{*this, "jobcast_http_polls", "Long polls that were held."};
  Counter holders_gone{*this, "jobcast_http_holders_gone", "Streams and long polls whose client left."};
  Counter streams_opened{*this, "jobcast_sse_streams", "SSE streams opened."};
  Counter streams_stalled{*this, "jobcast_sse_stalled", "SSE streams dropped for taking nothing."};
  Counter ws_upgrades{*this, "jobcast_ws_upgrades", "ws connections opened."};
  Counter ws_refused{*this, "jobcast_ws_refused", "ws upgrades refused."};
  Counter ws_messages{*this, "jobcast_ws_messages", "Whole ws messages of clients, good and bad."};
  Counter ws_too_big{*this, "jobcast_ws_too_big", "ws messages over the limit."};
  Counter ws_silent{*this, "jobcast_ws_silent", "ws connections dropped for not answering a ping."};
  Counter ws_flooded{*this, "jobcast_ws_flooded", "ws connections dropped for a flood of control frames."};
  Counter verifications{*this, "jobcast_verifications", "Tokens whose signature was checked."};
  Counter verifications_waited{*this, "jobcast_verifications_waited", "Tokens that waited for time to be verified."};
  Counter verifications_put_off{*this, "jobcast_verifications_put_off", "Tokens not verified for want of time."};
  Counter tickets{*this, "jobcast_tickets", "Tickets handed out."};
  Counter bytes_sent{*this, "jobcast_sent_bytes", "Bytes handed to sockets."};
};

// A snapshot's text as the event that it would be on the lane; `owner` keeps what the event's owner points to. Errors: corrupt.
[[nodiscard]] Result<Event> snapshot_event(std::string_view snapshot, std::string& owner);

class Vhost final : public Backend, public EngineLink::Listener {
 public:
  // Never null: with options that make no sense it serves 503 and says why in the log.
  static std::unique_ptr<Vhost> create(lws_context* context, lws_vhost* vhost, const lws_protocol_vhost_options* pvos);
  // The jobcast vhost of this connection, or null.
  static Vhost* of(lws* wsi) { return of(lws_get_vhost(wsi)); }
  static Vhost* of(lws_vhost* vhost);
  ~Vhost() override;

  [[nodiscard]] bool disabled() const { return !fault_.empty(); }
  [[nodiscard]] lws_context* context() const { return context_; }

  // Who asks, by Bearer, ticket or cookie (in this order), with the Origin checked where a cookie speaks for it. Errors: unauthorized
  // (nobody, or not allowed), retry (too many verifications just now).
  [[nodiscard]] bool ended(const Identity& who, const Time& now) const { return limited(who).ended(now); }
  [[nodiscard]] Result<Identity> identify(const HttpRequest& request, const Time& now);
  // The token or ticket that identify() verifies.
  [[nodiscard]] Result<std::string> token_of(const HttpRequest& request) const;

  // Members of what is held open, looked at by the timers below. `holder` waits for somebody else and must notice its client's leaving.
  // Errors: full (streams_per_user_max, streams_max).
  [[nodiscard]] Result<void> may_hold(const std::string& user) const;
  void hold(Exchange& exchange);
  void release(Exchange& exchange);
  void opened(WsConnection& connection);
  void closed(WsConnection& connection);

  // Ends what is open with "come back", as far as clients let it.
  void shutdown();
  [[nodiscard]] size_t open_count() const { return held_.size() + sockets_.size(); }

  // A validator for lists of this owner ("" : of everybody): changes with anything that may change such a list. "" while the engine is
  // away, or when that cannot be said.
  [[nodiscard]] std::string list_etag(std::string_view owner, std::string_view query) const;

  // `of_engine`: its answer to engine.ping; null: it gave none, and its figures are absent.
  [[nodiscard]] std::string metrics(const std::string_view* of_engine) const;

  // Backend
  [[nodiscard]] Result<Identity> verify(std::string_view token, std::string_view address, const Time& now) override;
  [[nodiscard]] uint64_t wait_turn(size_t body_bytes, const Time& now, VerifyTurns::Turn turn) override;
  void forget_turn(uint64_t turn) override { verify_turns_.forget(turn); }
  void submit(std::string_view user, std::string params, Reply reply) override;
  void cancel(std::string_view user, std::string params, Reply reply) override;
  void fetch(std::string_view user, const JobId& job) override;
  void wake_at(int64_t mono_ms) override;

  // EngineLink::Listener
  void on_event(const Event& event) override;
  void on_engine(uint64_t rev, bool another_life) override;
  void on_resync_begin() override;
  void on_unchanged(const JobId& job) override { hub.still_there(job); }
  void on_resync_end(bool complete) override;
  void on_attached() override;
  void on_lost() override;

  // Initialised in this order.
 private:
  Vhost(lws_context* context, lws_vhost* vhost, Options options, std::string fault);
  lws_context* context_;
  std::string fault_;
  VerifyTurns verify_turns_;  // sessions and exchanges take theirs back when they end

 public:
  const Options options;
  Connections connections;
  Tickets tickets;
  Counters counters;
  Hub hub;
  EngineLink engine;
  std::string scratch;  // for one write at a time: grows to its bound once

 private:
  void call_job(std::string_view user, std::string_view method, const std::string& params, Reply reply);
  void look_after_held();
  void look_after_sockets();
  [[nodiscard]] int64_t sockets_look_us() const;
  void look_after_reload();
  void look_after_keys();
  void give_turns();
  [[nodiscard]] Identity limited(Identity who) const;  // ends with the grace of its key, if that was withdrawn

  std::optional<Auth> auth_;
  std::unordered_map<uint64_t, int64_t> withdrawn_;  // keys, and until when (mono, ms) what they let in is borne
  VerifyBudget verify_budget_;
  std::string put_off_share_;  // of the verification that was refused last for want of time
  bool in_turn_ = false;

  std::string epoch_;  // of what list_etag() knows: renewed whenever something may have been missed
  std::unordered_map<std::string, uint64_t> owner_revs_;
  uint64_t newest_rev_ = 0;

  std::unordered_set<Exchange*> held_;
  std::unordered_map<std::string, uint32_t> held_of_;  // of each user
  std::unordered_set<WsConnection*> sockets_;
  bool leaving_ = false;
  Timer hub_timer_, held_timer_, sockets_timer_, reload_timer_, turns_timer_;
};

}  // namespace jobcast::plugin
