// The table of routes.
#include "lws-plugin/router.h"

#include <array>

namespace jobcast::plugin {
namespace {

constexpr auto kRoutes = std::to_array<RouteEntry>({
    {Route::jobs, "/v1/jobs", true, true},
    {Route::job, "/v1/jobs/{id}", true, false},
    {Route::job_cancel, "/v1/jobs/{id}/cancel", false, true},
    {Route::job_retry, "/v1/jobs/{id}/retry", false, true},
    {Route::job_log, "/v1/jobs/{id}/log", true, false},
    {Route::job_result, "/v1/jobs/{id}/result", true, false},
    {Route::job_events, "/v1/jobs/{id}/events", true, false},
    {Route::events, "/v1/events", true, false},
    {Route::queues, "/v1/queues", true, false},
    {Route::tickets, "/v1/tickets", false, true},
    {Route::metrics, "/metrics", true, false},
    {Route::live, "/health/live", true, false},
    {Route::ready, "/health/ready", true, false},
    {Route::ws, "/ws", true, false},
});

bool matches(std::string_view pattern, std::string_view path, std::string_view& id) {
  const size_t hole = pattern.find("{id}");
  if (hole == std::string_view::npos) return pattern == path;
  const std::string_view before = pattern.substr(0, hole), after = pattern.substr(hole + 4);
  if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) return false;
  id = path.substr(before.size(), path.size() - before.size() - after.size());
  return id.find('/') == std::string_view::npos;
}

}  // namespace

std::span<const RouteEntry> routes() { return kRoutes; }

RouteMatch match_route(std::string_view path) {
  for (const RouteEntry& entry : kRoutes) {
    RouteMatch match;
    if (matches(entry.pattern, path, match.id)) {
      match.entry = &entry;
      return match;
    }
  }
  return {};
}

bool allows(const RouteEntry& entry, Method method) {
  switch (method) {
    case Method::get:
    case Method::head: return entry.get;
    case Method::post: return entry.post;
    case Method::options: return true;
    case Method::put:
    case Method::patch:
    case Method::delete_:
    case Method::other: return false;
  }
  return false;
}

std::string allow_header(const RouteEntry& entry) {
  std::string methods;
  if (entry.get) methods += "GET, HEAD, ";
  if (entry.post) methods += "POST, ";
  return methods + "OPTIONS";
}

}  // namespace jobcast::plugin
