// Reads a body, answers once, and leaves the connection as lws wants it.
#include "lws-plugin/exchange.h"

#include <strings.h>

#include <algorithm>
#include <array>

#include "base/log.h"
#include "lws-plugin/contained.h"
#include "lws-plugin/kernel_queue.h"
#include "lws-plugin/lws_headers.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kHeadBytes = 8192;
constexpr size_t kChunkBytes = 32 << 10;  // of a body, at one go
constexpr int kAnswerTimeoutS = 30;       // for a client to take the whole of a finite answer
constexpr lws_usec_t kPipelinedLookUs = 250'000;
constexpr int kBodyEndsMax = 100;             // calls for one request: more than may be pipelined behind its body
constexpr lws_usec_t kDiscardUs = 2'000'000;  // so long an answered-too-early body is read on, that the answer is not lost to a reset

}  // namespace

Exchange::Exchange(Vhost& owner, lws* wsi) : vhost(owner), wsi_(wsi) {}

Exchange::~Exchange() {
  if (call_) vhost.engine.forget(call_);
  forget_turn();
  if (counted_held_) vhost.release(*this);
}

int Exchange::on_request() {
  ++vhost.counters.http_requests;
  lws_set_timeout(wsi_, NO_PENDING_TIMEOUT, 0);
  read_http_request(wsi_, request);
  const bool posts = request.method == Method::post || request.method == Method::put || request.method == Method::patch;
  if (!request.transfer_encoding.empty()) {
    // lws would wait for a body of 100 MB, or not read at all.
    body_pending_ = posts;
    return refuse_unread(problem(411, "invalid", "chunked request bodies are not taken: send Content-Length"));
  }
  if (!request.content_length.empty()) {
    const auto length = parse_length(request.content_length);
    body_pending_ = !length && posts;
    if (!length) return refuse_unread(problem(400, "invalid", "Content-Length must be one whole number", "Content-Length"));
    if (*length > vhost.options.body_bytes_max) {
      body_pending_ = true;
      return refuse_unread(problem(413, "invalid", "the body may have " + std::to_string(vhost.options.body_bytes_max) + " bytes"));
    }
    body_bytes_ = static_cast<size_t>(*length);
    if (*length > 0 || request.method == Method::post) {
      body_pending_ = true;
      if (*length > 0 && !take_body()) return 0;
      set_deadline(lws_usec_t{vhost.options.body_time_ms} * 1000);
      return *length > 0 ? tell_to_continue() : 0;
    }
  } else if (posts) {
    close_after_ = true;  // no length: no body, yet lws waits for one
  }
  dispatch();
  return 0;
}

// Nobody who has shown no token makes the host wait for a body, and none is kept that no route reads. Returns false if it was refused.
bool Exchange::take_body() {
  BodyIs body = BodyIs::refused;
  close_after_ = true;  // whoever is refused now
  if (!contained("request", [&] { body = judge_head(*this); })) fail();
  if (body == BodyIs::refused) {
    set_deadline(kDiscardUs);
    return false;
  }
  close_after_ = false;
  keeps_body_ = body == BodyIs::wanted;
  return true;
}

// RFC 9110 §10.1.1: who asked for it sends no body before.
int Exchange::tell_to_continue() {
  return strcasecmp(request.expect.c_str(), "100-continue") == 0 ? write("HTTP/1.1 100 Continue\r\n\r\n") : 0;
}

int Exchange::refuse_unread(HttpResponse response) {
  close_after_ = true;
  if (body_pending_) set_deadline(kDiscardUs);
  respond(std::move(response));
  return 0;
}

int Exchange::on_body(std::string_view bytes) {
  if (state_ != State::body) return 0;
  const size_t missing = body_bytes_ - body_came_;
  body_came_ += std::min(missing, bytes.size());
  if (keeps_body_) request.body.append(bytes.substr(0, missing));
  if (bytes.size() <= missing) return 0;
  // lws 4.2 to 4.5 takes what is pipelined behind a body for more of it and waits for an end that never comes.
  body_pending_ = false;
  deadline_us_ = 0;
  close_after_ = true;
  dispatch();
  return 0;
}

int Exchange::on_body_end() {
  // lws says it again for whatever was pipelined behind the body; 5.0 for ever, where the body itself came behind a page.
  if (!body_pending_) return ++body_ends_ > kBodyEndsMax ? -1 : 0;
  body_pending_ = false;
  deadline_us_ = 0;
  if (state_ == State::discarding) return -1;
  if (state_ == State::body) dispatch();
  return 0;
}

// lws has one timer a connection, and its own way to cancel it makes it fire.
void Exchange::set_deadline(lws_usec_t us) {
  deadline_us_ = lws_now_usecs() + us;
  lws_set_timer_usecs(wsi_, us);
}

int Exchange::on_timer() {
  if (deadline_us_ == 0 || lws_now_usecs() < deadline_us_) return 0;
  deadline_us_ = 0;
  switch (state_) {
    case State::discarding: return -1;
    case State::waiting:
    case State::streaming: return wants_write_ ? 0 : rest();
    case State::answering: return 0;
    case State::body: break;
  }
  ++vhost.counters.bodies_late;
  set_deadline(kDiscardUs);
  close_after_ = true;
  respond(problem(408, "retry", "the body did not come in time"));
  return 0;
}

void Exchange::dispatch() {
  state_ = State::waiting;
  if (!contained("request", [this] { handle(*this); })) fail();
  if (wants_write_) return;
  if (input_buffered(wsi_) == Buffered::no)
    lws_rx_flow_control(wsi_, 0);
  else
    request_writable();  // its own bytes are used up by then
}

bool Exchange::await_turn() {
  if (last_turn_) return false;
  turn_ = vhost.wait_turn(state_ == State::body ? body_bytes_ : 0, now(), [this](bool last, const Time&) {
    turn_ = 0;
    take_turn(last);
  });
  return turn_ != 0;
}

// Who waited for time to be verified is verified now. The body may have come meanwhile, or not yet.
void Exchange::take_turn(bool last) {
  last_turn_ = last;
  if (state_ == State::waiting)
    dispatch();
  else if (state_ == State::body)
    (void)take_body();
}

void Exchange::forget_turn() {
  if (turn_) vhost.forget_turn(std::exchange(turn_, 0));
}

// Nothing is to be written for now. While an answer is awaited nothing more is read: lws 4.1 would spin on what comes meanwhile. But so
// long as reading is stopped it does not write either, nor flush; and it cannot be stopped while there are bytes that it has read already.
int Exchange::rest() {
  if (lws_partial_buffered(wsi_)) return 0;  // lws calls again
  switch (input_buffered(wsi_)) {
    case Buffered::no: lws_rx_flow_control(wsi_, 0); return 0;
    case Buffered::unclear: set_deadline(kPipelinedLookUs); return 0;
    case Buffered::yes: break;
  }
  if (state_ == State::streaming) return -1;
  if (turn_) {
    forget_turn();
    ++vhost.counters.verifications_put_off;
    take_turn(true);
    return 0;
  }
  if (gave_up_) return lws_now_usecs() < deadline_us_ ? 0 : -1;
  if (holder_) {
    holder_->give_up();
  } else {
    gave_up_ = true;  // the engine's answer has so long to come, while lws spins on what is pipelined behind
    set_deadline(kPipelinedLookUs);
  }
  return 0;
}

void Exchange::request_writable() {
  wants_write_ = true;
  lws_rx_flow_control(wsi_, 1);
  lws_callback_on_writable(wsi_);
}

void Exchange::respond(HttpResponse response) {
  if (state_ == State::answering || state_ == State::discarding || head_sent_) return;
  call_ = 0;
  forget_turn();
  if (std::exchange(counted_held_, false)) {
    vhost.release(*this);
    Connections::touch(wsi_);
  }
  if (response.status >= 500)
    ++vhost.counters.http_server_errors;
  else if (response.status >= 400)
    ++vhost.counters.http_client_errors;
  response_ = std::move(response);
  state_ = State::answering;
  lws_set_timeout(wsi_, PENDING_TIMEOUT_HTTP_CONTENT, kAnswerTimeoutS);
  request_writable();
}

void Exchange::hold(std::unique_ptr<Holder> holder) {
  holder_ = std::move(holder);
  counted_held_ = true;
  vhost.hold(*this);
  Connections::keep(wsi_);
  lws_http_headers_detach(wsi_);  // its memory is not needed any more, and this may take long
}

void Exchange::ask(std::string_view method, std::string_view params, EngineLink::Done done, int64_t timeout_ms) {
  const auto answered = [this, done = std::move(done)](const Result<std::string_view>& result) {
    call_ = 0;
    if (!contained("answer", [&] { done(result); })) fail();
  };
  call_ = vhost.engine.call(user, method, params, answered, timeout_ms);
}

void Exchange::kill() { lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC); }

void Exchange::fail() {
  if ((state_ != State::waiting && state_ != State::body) || head_sent_) return kill();
  close_after_ = true;
  respond(problem(500, "internal", "this server failed to answer: its log says more"));
}

int Exchange::start_stream(const HttpResponse& head) {
  state_ = State::streaming;
  close_after_ = true;
  keep_kernel_queue_short(lws_get_socket_fd(wsi_));
  return write_head(head, false);
}

int Exchange::write(std::string_view bytes) {
  vhost.counters.bytes_sent += bytes.size();
  // lws takes no const; without extensions and on h1 it leaves the bytes as they are.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return lws_write(wsi_, data, bytes.size(), LWS_WRITE_HTTP) < 0 ? -1 : 0;
}

int Exchange::write_head(const HttpResponse& response, bool with_length) {
  const bool bodiless = response.status == 204 || response.status == 304;
  std::string& out = vhost.scratch;
  out.resize(LWS_PRE + kHeadBytes);
  auto* const start = reinterpret_cast<unsigned char*>(out.data()) + LWS_PRE;
  auto *at = start, *end = start + kHeadBytes;
  const auto add = [&](std::string_view name, std::string_view value) {
    const std::string key = std::string(name) + ":";
    return lws_add_http_header_by_name(wsi_, reinterpret_cast<const unsigned char*>(key.c_str()),
                                       reinterpret_cast<const unsigned char*>(value.data()), static_cast<int>(value.size()), &at, end) == 0;
  };
  bool fits = lws_add_http_header_status(wsi_, static_cast<unsigned>(response.status), &at, end) == 0;
  if (fits && !bodiless && !response.content_type.empty()) fits = add("content-type", response.content_type);
  if (fits && with_length && !bodiless) fits = add("content-length", std::to_string(response.body.size()));
  if (fits && close_after_) fits = add("connection", "close");
  const OriginIs origin = classify_origin(request.origin, request.host, vhost.options.origins);
  if (fits && !vhost.options.origins.empty()) fits = add("vary", "Origin");
  if (fits && origin == OriginIs::allowed)
    fits = add("access-control-allow-origin", request.origin) && add("access-control-allow-credentials", "true");
  if (fits && origin == OriginIs::anyone) fits = add("access-control-allow-origin", "*");
  if (fits && (origin == OriginIs::allowed || origin == OriginIs::anyone))
    fits = add("access-control-expose-headers",
               "ETag, Location, Retry-After, Preference-Applied, Jobcast-Stale, Jobcast-Next-Offset, Jobcast-Log-Size, "
               "Jobcast-Log-Dropped, Jobcast-Log-Eof");
  for (const auto& [name, value] : response.headers)
    if (fits) fits = add(name, value);
  if (fits) fits = lws_finalize_http_header(wsi_, &at, end) == 0;
  if (!fits) {
    log::error("answer_head_too_long", {{"path", request.path}, {"bytes_max", kHeadBytes}});
    return -1;
  }
  head_sent_ = true;
  out.resize(static_cast<size_t>(at - reinterpret_cast<unsigned char*>(out.data())));
  // A short body goes with its head in one packet.
  if (with_length && !bodiless && request.method != Method::head && response.body.size() <= kChunkBytes) {
    out.append(response.body);
    sent_ = response.body.size();
  }
  vhost.counters.bytes_sent += out.size() - LWS_PRE;
  const auto length = out.size() - LWS_PRE;
  return lws_write(wsi_, reinterpret_cast<unsigned char*>(out.data()) + LWS_PRE, length, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

int Exchange::on_writable() {
  wants_write_ = false;
  switch (state_) {
    case State::body:
    case State::discarding: return 0;
    case State::waiting:
    case State::streaming:
      if (holder_ && holder_->on_writable() != 0) return -1;
      return wants_write_ ? 0 : rest();
    case State::answering: return send_answer();
  }
  return 0;
}

int Exchange::finish_early() {
  close_after_ = true;
  if (state_ != State::answering) return -1;
  if (!head_sent_ && write_head(response_, true) != 0) return -1;
  if (request.method != Method::head && sent_ < response_.body.size()) (void)write(std::string_view(response_.body).substr(sent_));
  return -1;  // lws sends what it has first
}

int Exchange::send_answer() {
  if (!head_sent_) {
    if (write_head(response_, true) != 0) return -1;
  } else if (sent_ < response_.body.size()) {
    const size_t length = std::min(kChunkBytes, response_.body.size() - sent_);
    if (write(std::string_view(response_.body).substr(sent_, length)) != 0) return -1;
    sent_ += length;
  }
  const bool bodiless = request.method == Method::head || response_.status == 204 || response_.status == 304;
  if (!bodiless && sent_ < response_.body.size()) {
    request_writable();
    return 0;
  }
  return finish();
}

int Exchange::finish() {
  if (close_after_) {
    if (!body_pending_) return -1;
    state_ = State::discarding;
    return 0;
  }
  state_ = State::discarding;
  lws* wsi = wsi_;
  if (lws_http_transaction_completed(wsi)) return -1;  // may have freed this
  const bool pipelined = header_table_kept(wsi);
  Connections::set_clean(wsi, !pipelined);
  return pipelined && !kKeepsPipelined ? -1 : 0;
}

}  // namespace jobcast::plugin
