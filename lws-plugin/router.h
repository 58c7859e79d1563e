// Which route a path under the mount means, and with which methods. One table; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lws-plugin/http_text.h"

namespace jobcast::plugin {

enum class Route : uint8_t {
  jobs,
  job,
  job_cancel,
  job_retry,
  job_log,
  job_result,
  job_events,
  events,
  queues,
  tickets,
  metrics,
  live,
  ready,
  ws,
};

struct RouteEntry {
  Route route;
  const char* pattern;  // under the mount; {id} stands for one segment
  bool get, post;
};
[[nodiscard]] std::span<const RouteEntry> routes();

struct RouteMatch {
  const RouteEntry* entry = nullptr;  // nullptr: no such path
  std::string_view id;                // the {id} segment, into `path`
};
// `path` is the part after the mount: "/v1/jobs/0192…".
[[nodiscard]] RouteMatch match_route(std::string_view path);

[[nodiscard]] bool allows(const RouteEntry& entry, Method method);
[[nodiscard]] std::string allow_header(const RouteEntry& entry);  // "GET, HEAD, OPTIONS"

}  // namespace jobcast::plugin
