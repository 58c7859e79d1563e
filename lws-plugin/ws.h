// One ws connection of subprotocol jobcast.v1: lws's side of a Session. Owned by the wsi's per-session memory. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <optional>
#include <string>
#include <string_view>

#include "lws-plugin/hub.h"
#include "lws-plugin/vhost.h"

namespace jobcast::plugin {

class WsConnection final : public Transport {
 public:
  // May this upgrade become a connection? Null: no, and the client was told why. Called when lws filters protocols.
  static WsConnection* admit(Vhost& vhost, lws* wsi);
  ~WsConnection() override;

  // lws's callbacks; nonzero closes the connection.
  int on_established();
  int on_receive(std::string_view bytes);
  int on_writable();
  void on_pong();
  int on_peer_close() const { return close_sent_ ? -1 : 0; }  // its answer to our close frame: done; else lws answers it

  // Pings whoever is silent, drops whoever stays so, and whoever floods with frames that lws keeps to itself. Once for all connections
  // every few seconds.
  void look(const Time& now);
  void kill() { lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC); }

  // Transport
  [[nodiscard]] std::string_view address() const override { return address_; }
  void request_writable() override { lws_callback_on_writable(wsi_); }
  void close_session(CloseReason reason) override;

 private:
  WsConnection(Vhost& vhost, lws* wsi) : vhost_(vhost), wsi_(wsi) {}
  void heard();
  [[nodiscard]] bool floods(const Time& now);
  void close_with(uint16_t code, const char* why);

  Vhost& vhost_;
  lws* wsi_;
  Session* session_ = nullptr;
  std::optional<Identity> identity_;  // from the upgrade, until the session is there
  std::string token_;                 // likewise, where there was no time to verify it
  std::string address_;
  std::string message_;  // what came of a message so far
  uint32_t fragments_ = 0, late_ = 0;
  bool open_ = false, ping_due_ = false, pinged_ = false, close_sent_ = false, flooding_ = false;
  uint16_t close_code_ = 0;  // to be sent when all else is out
  const char* close_why_ = "";
  int64_t heard_ms_ = 0;
  uint64_t handed_bytes_ = 0;  // since the last look: at most what the frames that were handed to us took on the wire
  uint64_t read_bytes_ = 0;    // until then
  int64_t looked_ms_ = 0;
};

}  // namespace jobcast::plugin
