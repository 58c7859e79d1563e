// The vhost's counts as OpenMetrics text. docs/observability.md is held against the names by a test.
#include <string>

#include "lws-plugin/vhost.h"

namespace jobcast::plugin {
namespace {

struct Writer {
  std::string out;

  void family(const char* name, const char* type, const char* help) {
    out.append("# TYPE ").append(name).append(" ").append(type).append("\n# HELP ").append(name).append(" ").append(help).append("\n");
  }
  void counter(const char* name, const char* help, uint64_t value) {
    family(name, "counter", help);
    out.append(name).append("_total ").append(std::to_string(value)).append("\n");
  }
  void gauge(const char* name, const char* help, uint64_t value) {
    family(name, "gauge", help);
    out.append(name).append(" ").append(std::to_string(value)).append("\n");
  }
};

}  // namespace

std::string Vhost::metrics() const {
  Writer w;
  const Hub::Stats h = hub.stats();
  const EngineLink::Stats e = engine.stats();
  w.gauge("jobcast_connections", "Network connections of this vhost.", connections.count());
  w.counter("jobcast_connections_refused", "Connections closed at once for a limit.", connections.refused());
  w.gauge("jobcast_sessions", "Open ws connections and SSE streams.", h.sessions);
  w.gauge("jobcast_sessions_authenticated", "Sessions of a known user.", h.authenticated);
  w.gauge("jobcast_users", "Users with a session.", h.users);
  w.gauge("jobcast_subscriptions", "Jobs followed, counted once for each session.", h.subscriptions);
  w.gauge("jobcast_topics", "Jobs remembered.", h.topics);
  w.gauge("jobcast_waiters", "Long polls held.", h.waiters);
  w.counter("jobcast_events", "Changes of jobs taken from the lane.", h.events);
  w.counter("jobcast_frames_built", "Snapshots framed; each serves all sessions.", h.frames_built);
  w.counter("jobcast_deliveries", "Frames handed to transports.", h.deliveries);
  w.counter("jobcast_conflated", "Updates replaced by newer ones before they were sent.", h.conflated);
  w.counter("jobcast_messages", "Messages of clients.", h.requests);
  w.counter("jobcast_messages_refused", "Messages answered with an error.", h.refused);
  w.counter("jobcast_messages_rate_limited", "Messages above the rate.", h.rate_limited);
  w.counter("jobcast_auth_ok", "Tokens accepted on a session.", h.auth_ok);
  w.counter("jobcast_auth_failed", "Tokens refused on a session.", h.auth_failed);
  w.counter("jobcast_auth_expired", "Sessions that lost their rooms when the token ended.", h.expired);
  w.counter("jobcast_closed_slow", "Sessions closed for not reading their answers.", h.closed_slow);
  w.counter("jobcast_closed_rate", "Sessions closed for their rate.", h.closed_rate);
  w.counter("jobcast_closed_auth_timeout", "Sessions closed for not authenticating.", h.closed_auth_timeout);
  w.counter("jobcast_topics_evicted", "Jobs forgotten for want of room.", h.topics_evicted);
  w.counter("jobcast_http_requests", "HTTP requests.", counters.http_requests);
  w.counter("jobcast_http_client_errors", "Answers with a status of 4xx.", counters.http_client_errors);
  w.counter("jobcast_http_server_errors", "Answers with a status of 5xx.", counters.http_server_errors);
  w.counter("jobcast_http_bodies_late", "Request bodies that did not come in time.", counters.bodies_late);
  w.counter("jobcast_http_polls", "Long polls that were held.", counters.polls_held);
  w.counter("jobcast_http_holders_gone", "Streams and long polls whose client left.", counters.holders_gone);
  w.counter("jobcast_sse_streams", "SSE streams opened.", counters.streams_opened);
  w.counter("jobcast_sse_stalled", "SSE streams dropped for taking nothing.", counters.streams_stalled);
  w.counter("jobcast_ws_upgrades", "ws connections opened.", counters.ws_upgrades);
  w.counter("jobcast_ws_refused", "ws upgrades refused.", counters.ws_refused);
  w.counter("jobcast_ws_too_big", "ws messages over the limit.", counters.ws_too_big);
  w.counter("jobcast_ws_silent", "ws connections dropped for not answering a ping.", counters.ws_silent);
  w.counter("jobcast_ws_flooded", "ws connections dropped for a flood of control frames.", counters.ws_flooded);
  w.counter("jobcast_verifications", "Tokens verified.", counters.verifications);
  w.counter("jobcast_verifications_put_off", "Tokens not verified for want of time.", counters.verifications_put_off);
  w.counter("jobcast_tickets", "Tickets handed out.", counters.tickets);
  w.counter("jobcast_sent_bytes", "Bytes handed to sockets.", counters.bytes_sent);
  w.gauge("jobcast_engine_attached", "1 while the engine's lane is attached.", engine.attached());
  w.gauge("jobcast_engine_calls_waiting", "Calls that wait for the engine.", e.waiting);
  w.counter("jobcast_engine_calls", "Calls to the engine.", e.calls);
  w.counter("jobcast_engine_calls_failed", "Calls to the engine that failed.", e.calls_failed);
  w.counter("jobcast_engine_connects", "Connections to the engine.", e.connects);
  w.counter("jobcast_lane_records", "Records read from the lane.", e.records);
  w.counter("jobcast_lane_laps", "Times the engine overtook this reader.", e.laps);
  w.counter("jobcast_lane_wakeups", "Doorbells heard.", e.wakeups);
  return std::move(w.out) + "# EOF\n";
}

}  // namespace jobcast::plugin
