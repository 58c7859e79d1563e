// lws's side of the plugin: the protocols and the trampoline from their callbacks. Nothing is decided here. Service thread only.
//
// "jobcast" is bound by mounts (HTTP) and owns the engine's descriptors; "jobcast.v1" is what ws clients ask for. lwsws cannot enable a
// protocol with a dot in its name, so where the vhost has no entry of that name, its dummy first entry becomes it: that entry has no
// other use, and being the first it also hears of every new connection and every upgrade, which is where HTTP/2 is refused and
// connections are counted.
#include <libwebsockets.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/log.h"
#include "jobcast/embed.h"
#include "lws-plugin/contained.h"
#include "lws-plugin/engine_link.h"
#include "lws-plugin/exchange.h"
#include "lws-plugin/lws_headers.h"
#include "lws-plugin/plugin.h"
#include "lws-plugin/request_guard.h"
#include "lws-plugin/timer.h"
#include "lws-plugin/vhost.h"
#include "lws-plugin/ws.h"

namespace jobcast::plugin {
namespace {

// The per-session memory: comes zeroed, and lws binds and drops it more often than one expects.
struct HttpSlot {
  Exchange* exchange;
};
struct WsSlot {
  WsConnection* connection;
};

template <class T>
void destroy(T*& object) {
  delete std::exchange(object, nullptr);
}

std::string_view text_of(void* in, size_t len) { return {static_cast<const char*>(in), in ? len : 0}; }

// ---- the vhost's life

void take_over_dummy(lws_vhost* vhost);

int init_vhost(lws* wsi, void* in) {
  lws_vhost* vhost = lws_get_vhost(wsi);
  auto** slot = static_cast<Vhost**>(lws_protocol_vh_priv_zalloc(vhost, lws_get_protocol(wsi), sizeof(Vhost*)));
  if (!slot) return 0;  // nonzero would make lwsws serve on as root
  *slot = Vhost::create(lws_get_context(wsi), vhost, static_cast<const lws_protocol_vhost_options*>(in)).release();
  take_over_dummy(vhost);
  return 0;
}

void destroy_vhost(lws* wsi) {
  lws_vhost* vhost = lws_get_vhost(wsi);
  auto** slot = vhost ? static_cast<Vhost**>(lws_protocol_vh_priv_get(vhost, lws_get_protocol(wsi))) : nullptr;
  if (slot) destroy(*slot);
}

// lws 4.1 takes the body of a request that was pipelined behind another from where that request's own head begins, and then never stops
// telling that the body is complete.
bool body_would_loop(lws* wsi) {
  if (!kKeepsPipelined) return false;
  const std::string length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
  const bool has_body = length.empty()
                            ? lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 || lws_hdr_total_length(wsi, WSI_TOKEN_PUT_URI) > 0 ||
                                  lws_hdr_total_length(wsi, WSI_TOKEN_PATCH_URI) > 0
                            : parse_length(length) != 0;
  if (!has_body) return false;
  switch (input_buffered(wsi)) {
    case Buffered::no: return false;
    case Buffered::yes: return true;
    case Buffered::unclear: return !Connections::clean(wsi);
  }
  return true;
}

bool refuse_faulty(lws* wsi, Vhost* vhost) {
  const char* fault = is_h2(wsi) ? nullptr : request_fault(wsi);  // HTTP/2 is refused later
  if (!fault) return false;
  if (vhost) ++vhost->counters.http_malformed;
  write_refusal(wsi, problem(400, "invalid", fault));
  return true;
}

// ---- what only the first protocol of a vhost hears: every connection and upgrade, whatever it becomes

int guard(lws* wsi, lws_callback_reasons reason, void* in, bool& mine) {
  mine = true;
  Vhost* vhost = Vhost::of(wsi);
  switch (reason) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION:
      return vhost && !vhost->connections.admit(static_cast<int>(reinterpret_cast<intptr_t>(in))) ? 1 : 0;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
      if (vhost) vhost->connections.opened(wsi);
      return 0;
    case LWS_CALLBACK_WSI_DESTROY: Connections::closed(wsi); return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
      if (refuse_faulty(wsi, vhost)) return -1;
      return in && strcasecmp(static_cast<const char*>(in), "websocket") != 0 ? -1 : 0;  // h2c
    // CONNECT, and what lws lets fall back to bytes of no protocol: it would wait for ever.
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_CONNECTED:
    case LWS_CALLBACK_RAW_RX: return -1;
    case LWS_CALLBACK_FILTER_HTTP_CONNECTION: {
      if (refuse_faulty(wsi, vhost)) return 1;
      const bool loops = body_would_loop(wsi);
      Connections::begin_request(wsi);  // not clean again until the end of this transaction is seen
      return loops ? 1 : 0;
    }
    default: mine = false; return 0;
  }
}

// ---- HTTP and the engine's descriptors

int on_http(lws* wsi, lws_callback_reasons reason, HttpSlot* slot, void* in, size_t len) {
  Exchange* exchange = slot ? slot->exchange : nullptr;
  switch (reason) {
    case LWS_CALLBACK_PROTOCOL_INIT: return init_vhost(wsi, in);
    case LWS_CALLBACK_PROTOCOL_DESTROY: destroy_vhost(wsi); return 0;

    case LWS_CALLBACK_HTTP: {
      Vhost* vhost = Vhost::of(wsi);
      if (!vhost || !slot) return -1;
      if (is_h2(wsi)) return -1;  // faults in lws 4.1, and headers that cannot be read before 5.0
      if (!Connections::known(wsi) && (refuse_faulty(wsi, vhost) || body_would_loop(wsi)))
        return -1;  // another protocol is the vhost's first
      destroy(slot->exchange);
      slot->exchange = new Exchange(*vhost, wsi);
      return slot->exchange->on_request();
    }
    case LWS_CALLBACK_HTTP_BODY: return exchange ? exchange->on_body(text_of(in, len)) : 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return exchange ? exchange->on_body_end() : 0;
    case LWS_CALLBACK_HTTP_WRITEABLE: return exchange ? exchange->on_writable() : 0;
    case LWS_CALLBACK_TIMER: return exchange ? exchange->on_timer() : 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
    case LWS_CALLBACK_CLOSED_HTTP:
      if (slot) destroy(slot->exchange);
      return 0;

    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return 1;  // no subprotocol of ws clients

    case LWS_CALLBACK_RAW_RX_FILE: return EngineLink::on_readable(wsi);
    case LWS_CALLBACK_RAW_WRITEABLE_FILE: return EngineLink::on_writable(wsi);
    case LWS_CALLBACK_RAW_CLOSE_FILE: EngineLink::on_closed(wsi); return 0;

    case LWS_CALLBACK_FILTER_HTTP_CONNECTION:
      // lws 4.1 goes on reading behind a POST of length 0: the answer that is due goes out now, and the connection ends.
      if (exchange && exchange->unfinished()) return exchange->finish_early();
      [[fallthrough]];
    default: {
      bool mine = false;
      return guard(wsi, reason, in, mine);
    }
  }
}

int answer_host(lws_vhost* of, size_t* open, bool shutdown) {
  Vhost* vhost = Vhost::of(of);
  if (vhost && shutdown) (void)contained("shutdown", [vhost] { vhost->shutdown(); });
  *open = vhost ? vhost->open_count() : 0;
  return 0;
}

int take_log(const HostLog* host) {
  static auto* sink = host->sink;
  log::set_level(static_cast<log::Level>(host->level));
  log::set_sink([](void*, log::Level level, std::string_view line) { sink(static_cast<int>(level), line.data(), line.size()); });
  return 0;
}

// ---- ws

int on_ws(lws* wsi, lws_callback_reasons reason, WsSlot* slot, void* in, size_t len) {
  WsConnection* connection = slot ? slot->connection : nullptr;
  switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: {
      Vhost* vhost = Vhost::of(wsi);
      if (!vhost || !slot || is_h2(wsi)) return 1;
      destroy(slot->connection);
      slot->connection = WsConnection::admit(*vhost, wsi);
      return slot->connection ? 0 : 1;
    }
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY: return 1;  // permessage-deflate is a remote kill
    case LWS_CALLBACK_ESTABLISHED: return connection ? connection->on_established() : -1;
    case LWS_CALLBACK_RECEIVE: return connection ? connection->on_receive(text_of(in, len)) : -1;
    case LWS_CALLBACK_RECEIVE_PONG:
      if (connection) connection->on_pong();
      return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return connection ? connection->on_peer_close() : 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return connection ? connection->on_writable() : 0;
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
    case LWS_CALLBACK_CLOSED:
      if (slot) destroy(slot->connection);
      return 0;

    default: {
      // As the vhost's first protocol it answers what belongs to no mount, like the dummy whose place it may have taken.
      bool mine = false;
      const int result = guard(wsi, reason, in, mine);
      return mine ? result : lws_callback_http_dummy(wsi, reason, slot, in, len);
    }
  }
}

// ---- the trampoline: nothing that is thrown crosses lws's frames

template <auto handler, class Slot>
int trampoline(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t len) noexcept {
  const Busy busy;
  int result = reason == LWS_CALLBACK_PROTOCOL_INIT ? 0 : -1;  // if it throws: lws closes the connection
  (void)contained("callback", [&] { result = handler(wsi, reason, static_cast<Slot*>(user), in, len); });
  return result;
}

constexpr size_t kRxBytes = 1024;      // allocated for each ws connection
constexpr size_t kTxBytes = 40 << 10;  // more than one write of ours: what is above it lws copies

extern "C" int http_callback(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t len) {
  if (reason == kHostAsks) return answer_host(static_cast<lws_vhost*>(user), static_cast<size_t*>(in), len == 1);
  if (reason == kHostLogs) return take_log(static_cast<const HostLog*>(in));
  return trampoline<on_http, HttpSlot>(wsi, reason, user, in, len);
}
extern "C" int ws_callback(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t len) {
  return trampoline<on_ws, WsSlot>(wsi, reason, user, in, len);
}

}  // namespace

const lws_protocols kProtocols[] = {
    {"jobcast", http_callback, sizeof(HttpSlot), kRxBytes, 0, nullptr, kTxBytes},
    {"jobcast.v1", ws_callback, sizeof(WsSlot), kRxBytes, 0, nullptr, kTxBytes},
    {nullptr, nullptr, 0, 0, 0, nullptr, 0},
};

namespace {

void take_over_dummy(lws_vhost* vhost) {
  if (lws_vhost_name_to_protocol(vhost, kProtocols[1].name)) return;
  const lws_protocols* first = lws_vhost_name_to_protocol(vhost, "http-only");
  if (!first || first->callback != lws_callback_http_dummy) {
    log::error("no_ws", {{"vhost", lws_get_vhost_name(vhost)}, {"why", "enable the protocol jobcast.v1 on this vhost"}});
    return;
  }
  *const_cast<lws_protocols*>(first) = kProtocols[1];  // the vhost's own copy, on the heap
}

}  // namespace
}  // namespace jobcast::plugin

extern "C" {

void jobcast_log_sink(void (*sink)(int level, const char* line, void* user), void* user) {
  static std::atomic<decltype(sink)> theirs;
  theirs = sink;
  if (!sink) return jobcast::log::set_sink(nullptr);
  jobcast::log::set_sink([](void* of, jobcast::log::Level level,
                            std::string_view line) { theirs.load()(static_cast<int>(level), std::string(line).c_str(), of); },
                         user);
}

void jobcast_log_threshold(int level) {
  jobcast::log::set_level(static_cast<jobcast::log::Level>(std::clamp<int>(level, JOBCAST_LOG_ERROR, JOBCAST_LOG_DEBUG)));
}

const struct lws_protocols* jobcast_lws_protocols(void) { return jobcast::plugin::kProtocols; }

void jobcast_lws_shutdown(struct lws_vhost* vhost) {
  size_t open = 0;
  jobcast::plugin::answer_host(vhost, &open, true);
}

size_t jobcast_lws_open(struct lws_vhost* vhost) {
  size_t open = 0;
  jobcast::plugin::answer_host(vhost, &open, false);
  return open;
}
}
