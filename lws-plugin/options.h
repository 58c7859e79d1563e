// What an operator sets for one vhost: the per-vhost options ("pvos") of lwsws's configuration format. docs/configuration.md lists them
// and is held against kNumbers and kTexts by a test. Pure; read once, when the vhost's protocol is initialised.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lws-plugin/auth.h"
#include "lws-plugin/limits.h"

namespace jobcast::plugin {

struct Pvo {
  std::string_view name, value;
};

struct Options {
  std::string engine = "/run/jobcast/engine.sock";
  std::string mount = "/jobcast";  // begins with '/', ends without; "" is the root
  std::string cookie = "jobcast_token";
  AuthOptions auth;
  std::vector<std::string> origins;  // "https://app.example:8443", lower case; "*" is any
  HubLimits hub;
  uint32_t key_grace_s = 60;                   // so long after a key was withdrawn what its tokens let in ends
  uint32_t fragments_max = 1024;               // of one ws message
  uint32_t connections_max = 10'000;           // network connections of the vhost, whatever they speak
  uint32_t connections_per_address_max = 512;  // loopback is exempt: that is a proxy in front, or this machine's own
  uint32_t streams_max = 4096;                 // SSE streams and held polls
  uint32_t streams_per_user_max = 64;          // and of one user
  uint32_t body_bytes_max = 96 << 10;
  uint32_t body_time_ms = 10'000;       // from the request's headers to the last byte of its body
  uint32_t wait_max_s = 60;             // Prefer: wait=N is cut to it
  uint32_t engine_timeout_ms = 10'000;  // until an unanswered call fails
  uint32_t calls_max = 1024;            // calls that wait for the engine, of all clients together
  uint32_t calls_per_user_max = 128;    // and of one user
  uint32_t ping_interval_s = 30;        // a ws client that said nothing for so long is pinged
  uint32_t ping_timeout_s = 15;         // and dropped when it stays silent for so long
  uint32_t sse_keepalive_s = 20;        // a comment line goes to an SSE client that was sent nothing for so long
  uint32_t tickets_max = 8192;          // handed out and not yet used
  uint32_t tickets_per_user_max = 64;   // and of one user, whose oldest makes room

  // In the file's order or reversed (as lwsws hands them over). Errors name the option, and the remedy.
  [[nodiscard]] static Result<Options> parse(std::span<const Pvo> pvos);
  // The same, with every fault; what is wrong has its default.
  [[nodiscard]] static Options parse(std::span<const Pvo> pvos, std::vector<Error>& faults);
};

// One numeric option, for the parser, the documentation's test and `jobcast-host --check-config`.
struct NumberOption {
  const char* name;
  uint32_t fallback, min, max;
  const char* unit;
  void (*set)(Options&, uint32_t);
};
[[nodiscard]] std::span<const NumberOption> number_options();

}  // namespace jobcast::plugin
