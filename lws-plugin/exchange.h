// One HTTP request and its answer. The wsi's per-session memory points here; owned by that slot, freed when lws drops the protocol.
// Nothing is answered before the request's body is here, and everything is written from the writable callback. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lws-plugin/http_text.h"
#include "lws-plugin/router.h"
#include "lws-plugin/vhost.h"

namespace jobcast::plugin {

// What keeps an answer open: a stream or a poll. Owned by the exchange.
class Holder {
 public:
  virtual ~Holder() = default;
  // The socket takes bytes. Nonzero: end the connection.
  [[nodiscard]] virtual int on_writable() { return 0; }
  // It cannot be kept open: answer now.
  virtual void give_up() {}
  // Called about four times a second.
  virtual void on_look(const Time&) {}
};

class Exchange {
 public:
  Exchange(Vhost& vhost, lws* wsi);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  // lws's callbacks; nonzero closes the connection. After finish() the exchange may be gone.
  int on_request();
  int on_body(std::string_view bytes);
  int on_body_end();
  int on_writable();
  int on_timer();
  // Another request came before this one was answered.
  [[nodiscard]] bool unfinished() const { return state_ != State::discarding; }
  int finish_early();

  // The answer. Once; sent when the socket takes it.
  void respond(HttpResponse response);
  // No answer yet, or one without end: from now on a client's leaving is looked for.
  void hold(std::unique_ptr<Holder> holder);
  // Asks the engine, in the turn of `user`; the answer comes only if this exchange still waits. `timeout_ms` 0: the link's own.
  void ask(std::string_view method, std::string_view params, EngineLink::Done done, int64_t timeout_ms = 0);
  // Writes the head of an answer without Content-Length. Nonzero: end the connection.
  [[nodiscard]] int start_stream(const HttpResponse& head);
  [[nodiscard]] int write(std::string_view bytes);
  // The token cannot be verified just now: the request is handled anew when its turn comes. Returns false if it cannot wait.
  [[nodiscard]] bool await_turn();
  [[nodiscard]] bool awaits_turn() const { return turn_ != 0; }
  void request_writable();
  void kill();  // from outside the callbacks
  void fail();  // something broke: answers 500 where that can still be done, else ends the connection

  [[nodiscard]] int fd() const { return lws_get_socket_fd(wsi_); }
  [[nodiscard]] bool streaming() const { return state_ == State::streaming; }
  [[nodiscard]] Holder* holder() const { return holder_.get(); }

  Vhost& vhost;
  HttpRequest request;
  RouteMatch route;
  std::string user;                  // who asks, once that is known
  std::optional<Identity> identity;  // whose token that was, so that a ticket is redeemed once

 private:
  enum class State : uint8_t { body, waiting, answering, streaming, discarding };

  void read_request();
  [[nodiscard]] bool take_body();
  [[nodiscard]] int tell_to_continue();
  [[nodiscard]] int refuse_unread(HttpResponse response);
  void dispatch();
  void take_turn(bool last);
  void forget_turn();
  void set_deadline(lws_usec_t us);
  [[nodiscard]] int rest();
  [[nodiscard]] int send_answer();
  [[nodiscard]] int write_head(const HttpResponse& response, bool with_length);
  [[nodiscard]] int finish();

  lws* wsi_;
  State state_ = State::body;
  bool close_after_ = false;
  bool body_pending_ = false;  // lws has not said yet that the body is complete
  int body_ends_ = 0;          // how often lws said it again
  bool head_sent_ = false, wants_write_ = false, gave_up_ = false;
  bool counted_held_ = false;
  HttpResponse response_;
  size_t sent_ = 0;
  size_t body_bytes_ = 0, body_came_ = 0;  // that the request announced, and how much of it is here
  bool keeps_body_ = false;
  lws_usec_t deadline_us_ = 0;
  EngineLink::CallId call_ = 0;
  uint64_t turn_ = 0;       // Vhost::wait_turn(), 0 for none
  bool last_turn_ = false;  // it has waited long enough
  std::unique_ptr<Holder> holder_;
};

// What the head of a request with a body says about it.
enum class BodyIs : uint8_t { refused, ignored, wanted };  // refused: the answer was given
[[nodiscard]] BodyIs judge_head(Exchange& exchange);

// The routes: each answers, asks or holds.
void handle(Exchange& exchange);

}  // namespace jobcast::plugin
