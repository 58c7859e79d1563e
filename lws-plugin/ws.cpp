// Fragments joined, pings answered, floods ended.
#include "lws-plugin/ws.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "lws-plugin/frames.h"
#include "lws-plugin/kernel_queue.h"
#include "lws-plugin/lws_headers.h"
#include "lws-plugin/request_guard.h"
#include "lws-plugin/routes/http.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kWriteBytes = 16 << 10;
constexpr int kCloseTimeoutS = 5;
constexpr uint32_t kLateMax = 100;     // pieces of messages that are read on after the close was decided
constexpr uint64_t kFrameBytes = 128;  // at most around one frame: its header, a TLS record, a proxy's
constexpr uint64_t kControlBytesPerSecond = 16 << 10;
constexpr std::string_view kPing = "jobcast";  // lws 4.1 does not tell of an empty pong

// The handshake's refusal: the role is ws already, so the bytes are sent as they are.
void refuse(Vhost& vhost, lws* wsi, const HttpResponse& response) {
  ++vhost.counters.ws_refused;
  write_refusal(wsi, response);
}

bool offers(std::string_view list, std::string_view protocol) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, end);
    while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    if (word == protocol) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

// 16 bytes in base64, as RFC 6455 §4.1 has it; lws takes any.
bool is_key(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  return std::ranges::all_of(key.substr(0, 22), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
  });
}

}  // namespace

WsConnection* WsConnection::admit(Vhost& vhost, lws* wsi) {
  const Time now = jobcast::now();
  HttpRequest request;
  read_http_request(wsi, request);
  const auto no = [&](const HttpResponse& response) -> WsConnection* {
    refuse(vhost, wsi, response);
    return nullptr;
  };
  if (vhost.disabled()) return no(problem(503, "internal", "this server is not configured: its log says why"));
  if (request.method != Method::get) return no(problem(405, "invalid", "an upgrade is a GET").with("allow", "GET"));
  if (request.path != vhost.options.mount + "/ws") return no(problem(404, "not_found", "there is no ws here"));
  if (header(wsi, WSI_TOKEN_VERSION) != "13") return no(problem(426, "invalid", "ws version 13 only").with("sec-websocket-version", "13"));
  if (!is_key(header(wsi, WSI_TOKEN_KEY))) return no(problem(400, "invalid", "16 bytes in base64", "Sec-WebSocket-Key"));
  if (!offers(header(wsi, WSI_TOKEN_PROTOCOL), "jobcast.v1"))
    return no(problem(400, "invalid", "the subprotocol is jobcast.v1", "Sec-WebSocket-Protocol"));
  const OriginIs origin = classify_origin(request.origin, request.host, vhost.options.origins);
  if (origin == OriginIs::foreign) return no(problem(403, "forbidden", "this origin is not on the allow-list", "Origin"));
  if (origin == OriginIs::anyone) request.cookie.clear();  // what a browser adds by itself says nothing for such a page
  if (const char* fault = request_fault(wsi)) return no(problem(400, "invalid", fault));
  if (parse_length(request.content_length).value_or(0) > 0 || !request.transfer_encoding.empty())
    return no(problem(400, "invalid", "an upgrade has no body", "Content-Length"));
  std::optional<Identity> identity;
  std::string token;
  if (!request.authorization.empty() || request.parameter("ticket") || !cookie_value(request.cookie, vhost.options.cookie).empty()) {
    auto who = vhost.identify(request, now);
    if (who)
      identity = std::move(*who);
    else if (who.error().code == Errc::retry)  // lws wants to know now: the session waits for the turn
      token = vhost.token_of(request).value();
    else
      return no(unauthorized(request, who.error().detail));
  }
  auto* connection = new WsConnection(vhost, wsi);
  connection->address_ = request.address;
  connection->identity_ = std::move(identity);
  connection->token_ = std::move(token);
  return connection;
}

WsConnection::~WsConnection() {
  if (!open_) return;
  vhost_.closed(*this);
  if (session_) vhost_.hub.close(*session_);
}

int WsConnection::on_established() {
  const Time now = jobcast::now();
  ++vhost_.counters.ws_upgrades;
  open_ = true;
  keep_kernel_queue_short(lws_get_socket_fd(wsi_));
  heard_ms_ = looked_ms_ = now.mono_ms();
  read_bytes_ = bytes_read(lws_get_socket_fd(wsi_));
  vhost_.opened(*this);
  session_ = &vhost_.hub.open(*this, now);
  if (log::enabled(log::Level::info)) log::info("ws_opened", {{"session", session_->id()}});
  if (identity_) session_->authenticate(*identity_, now);
  if (session_->authenticated()) Connections::keep(wsi_);
  if (!token_.empty()) session_->authenticate(std::exchange(token_, {}), now);
  identity_.reset();
  lws_callback_on_writable(wsi_);
  return 0;
}

void WsConnection::heard() {
  heard_ms_ = now().mono_ms();
  pinged_ = ping_due_ = false;
}

void WsConnection::on_pong() {
  if (pinged_) handed_bytes_ += kFrameBytes;
  heard();
}

int WsConnection::on_receive(std::string_view bytes) {
  heard();
  handed_bytes_ += bytes.size() + kFrameBytes;
  if (close_code_) {
    // Its answer to the close may be among this; one that floods on is not read any more, and dropped with the timeout.
    if (++late_ > kLateMax) lws_rx_flow_control(wsi_, 0);
    return 0;
  }
  if (lws_frame_is_binary(wsi_)) {
    close_with(1003, "text frames only");
    return 0;
  }
  if (lws_remaining_packet_payload(wsi_) == 0) ++fragments_;
  if (message_.size() + bytes.size() + lws_remaining_packet_payload(wsi_) > vhost_.options.hub.message_bytes_max ||
      fragments_ > vhost_.options.fragments_max) {
    ++vhost_.counters.ws_too_big;
    message_ = {};
    close_with(1009, "the message is too big");
    return 0;
  }
  const bool whole = lws_remaining_packet_payload(wsi_) == 0 && lws_is_final_fragment(wsi_);
  if (!whole) {
    message_.append(bytes);
    return 0;
  }
  ++vhost_.counters.ws_messages;
  fragments_ = 0;
  const Time now = jobcast::now();
  if (message_.empty()) {
    session_->on_message(bytes, now);
  } else {
    message_.append(bytes);
    session_->on_message(message_, now);
    message_ = {};
  }
  session_->authenticated() ? Connections::keep(wsi_) : Connections::touch(wsi_);
  return 0;
}

int WsConnection::on_writable() {
  if (!session_ || close_sent_ || lws_partial_buffered(wsi_)) return 0;  // lws calls again when its own is out
  std::string& out = vhost_.scratch;
  out.assign(LWS_PRE, '\0');
  if (std::exchange(ping_due_, false)) {
    append_ws_header(out, kPing.size(), 9);
    out.append(kPing);
    pinged_ = true;
  }
  const bool more = session_->collect(out, kWriteBytes, now());
  if (!more && close_code_) {
    // Ours, not lws's: with libuv lws 4.1 closes without it.
    const std::string_view why(close_why_);
    append_ws_header(out, 2 + why.size(), 8);
    out.push_back(static_cast<char>(close_code_ >> 8));
    out.push_back(static_cast<char>(close_code_ & 0xff));
    out.append(why);
    close_sent_ = true;
    if (flooding_) lws_rx_flow_control(wsi_, 0);  // its answer would be behind the flood
  }
  if (out.size() > LWS_PRE) {
    vhost_.counters.bytes_sent += out.size() - LWS_PRE;
    if (lws_write(wsi_, reinterpret_cast<unsigned char*>(out.data()) + LWS_PRE, out.size() - LWS_PRE, LWS_WRITE_HTTP) < 0) return -1;
  }
  if (more) lws_callback_on_writable(wsi_);
  if (out.capacity() > 4 * kWriteBytes) out = {};
  return 0;
}

void WsConnection::close_with(uint16_t code, const char* why) {
  if (close_code_) return;
  if (session_ && log::enabled(log::Level::info)) log::info("ws_closing", {{"session", session_->id()}, {"code", code}, {"why", why}});
  close_code_ = code;
  close_why_ = why;
  lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, kCloseTimeoutS);  // for one that does not read, or does not answer
  lws_callback_on_writable(wsi_);
}

void WsConnection::close_session(CloseReason reason) { close_with(ws_close_code(reason), name(reason)); }

// lws answers pings by itself and tells nobody: what it read and handed to nobody is such frames.
bool WsConnection::floods(const Time& now) {
  const uint64_t total = bytes_read(lws_get_socket_fd(wsi_)), handed = std::exchange(handed_bytes_, 0);
  const uint64_t before = std::exchange(read_bytes_, std::max(total, read_bytes_));
  const auto spent_ms = static_cast<uint64_t>(now.mono_ms() - std::exchange(looked_ms_, now.mono_ms()));
  return read_bytes_ - before > handed + kControlBytesPerSecond * (spent_ms + 4000) / 1000;
}

void WsConnection::look(const Time& now) {
  if (floods(now) && !close_code_) {
    flooding_ = true;
    ++vhost_.counters.ws_flooded;
    return close_with(ws_close_code(CloseReason::rate), name(CloseReason::rate));
  }
  const int64_t silent_ms = now.mono_ms() - heard_ms_;
  const int64_t interval_ms = int64_t{vhost_.options.ping_interval_s} * 1000;
  if (silent_ms >= interval_ms + int64_t{vhost_.options.ping_timeout_s} * 1000) {
    ++vhost_.counters.ws_silent;
    kill();
  } else if (silent_ms >= interval_ms && !pinged_ && !ping_due_) {
    ping_due_ = true;
    lws_callback_on_writable(wsi_);
  }
}

}  // namespace jobcast::plugin
