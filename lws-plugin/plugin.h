// The protocols, and how a host that loaded the plugin ends their connections politely.
#pragma once

#include <libwebsockets.h>

#include <cstddef>

namespace jobcast::plugin {

extern const lws_protocols kProtocols[];  // "jobcast", "jobcast.v1" and the terminator

// The reason with which a host calls the callback of its vhost's protocol "jobcast", having no header in common with a loaded plugin:
// no wsi, `user` is the lws_vhost, `in` a size_t that gets the number of open connections; `len` 1 begins the shutdown, 0 only asks.
constexpr auto kHostAsks = LWS_CALLBACK_USER;

// The reason with which such a host hands over its log, before it makes a vhost: a loaded plugin has a copy of base/log of its own, which
// neither knows the host's threshold nor where its lines go. No wsi; `in` is a HostLog.
constexpr auto kHostLogs = static_cast<lws_callback_reasons>(LWS_CALLBACK_USER + 1);
struct HostLog {
  int level;
  void (*sink)(int level, const char* line, size_t bytes);
};

}  // namespace jobcast::plugin
