// From a request to its route: methods, preflights, identity, and the routes that need no engine.
#include "base/json.h"
#include "lws-plugin/routes/http.h"

namespace jobcast::plugin {
namespace {

constexpr const char* kReady = R"({"status":"ready"})";
constexpr const char* kProbe = "\nready";  // whose turn probes are asked in: no token's user has a control character in its name
constexpr int64_t kReadyTimeoutMs = 1000;

void preflight(Exchange& exchange) {
  HttpResponse response;
  response.status = 204;
  response.content_type.clear();
  response.with("allow", allow_header(*exchange.route.entry));
  const OriginIs origin = classify_origin(exchange.request.origin, exchange.request.host, exchange.vhost.options.origins);
  if ((origin == OriginIs::allowed || origin == OriginIs::anyone) && !exchange.request.request_method.empty())
    response.with("access-control-allow-methods", allow_header(*exchange.route.entry))
        .with("access-control-allow-headers", "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer")
        .with("access-control-max-age", "600");
  exchange.respond(std::move(response));
}

HttpResponse passing(std::string body, const char* content_type = "application/json") {
  HttpResponse response;
  response.content_type = content_type;
  response.body = std::move(body);
  response.with("cache-control", "no-store");
  return response;
}

void give_ticket(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  const auto ticket = exchange.vhost.tickets.issue(*who, now());
  if (!ticket) return exchange.respond(problem({Errc::full, "too many tickets are out: try again later", {}}));
  ++exchange.vhost.counters.tickets;
  HttpResponse response = passing(Json::object().set("ticket", *ticket).set("expires_in", Tickets::kLifeMs / 1000).dump());
  response.status = 201;
  exchange.respond(std::move(response));
}

void tell_ready(Exchange& exchange) {
  const EngineLink& engine = exchange.vhost.engine;
  const auto no = [](std::string_view why) {
    return problem(503, "retry", why).with("retry-after", "1").with("cache-control", "no-store");
  };
  if (!engine.attached()) return exchange.respond(no("the job engine is away"));
  if (engine.heard_lately()) return exchange.respond(passing(kReady));
  exchange.user = kProbe;
  exchange.ask(
      "engine.ping", "{}",
      [&exchange, no](const Result<std::string_view>& result) {
        exchange.respond(result ? passing(kReady) : no("the job engine does not answer"));
      },
      kReadyTimeoutMs);
}

void tell_metrics(Exchange& exchange) {
  const auto tell = [&exchange](const std::string_view* of_engine) {
    exchange.respond(passing(exchange.vhost.metrics(of_engine), "application/openmetrics-text; version=1.0.0; charset=utf-8"));
  };
  if (!exchange.vhost.engine.attached()) return tell(nullptr);
  exchange.user = kProbe;
  exchange.ask("engine.ping", "{}", [tell](const Result<std::string_view>& result) { tell(result ? &*result : nullptr); }, kReadyTimeoutMs);
}

const RouteEntry* find_route(Exchange& exchange) {
  const std::string_view path = exchange.request.path, mount = exchange.vhost.options.mount;
  if (path.starts_with(mount)) exchange.route = match_route(path.substr(mount.size()));
  return exchange.route.entry;
}

}  // namespace

HttpResponse no_such_job() { return problem(404, "not_found", "there is no such job"); }

HttpResponse unauthorized(const HttpRequest& request, std::string_view why) {
  // RFC 6750 §3: who sent no token is told of no error.
  std::string challenge = "Bearer realm=\"jobcast\"";
  if (!request.authorization.empty()) challenge += ", error=\"invalid_token\"";
  return problem(401, "unauthorized", why).with("www-authenticate", std::move(challenge));
}

HttpResponse of_engine(const Error& error) { return error.code == Errc::not_found ? no_such_job() : problem(error); }

std::string etag_of(uint64_t rev) { return "\"" + std::to_string(rev) + "\""; }

HttpResponse snapshot_response(std::string_view json, uint64_t rev, bool stale) {
  HttpResponse response;
  response.body = json;
  response.with("etag", etag_of(rev)).with("cache-control", "private, no-cache");
  if (stale) response.with("jobcast-stale", "1");
  return response;
}

HttpResponse not_modified(std::string etag, bool stale) {
  HttpResponse response;
  response.status = 304;
  response.with("etag", std::move(etag)).with("cache-control", "private, no-cache");
  if (stale) response.with("jobcast-stale", "1");
  return response;
}

Json job_params(const JobId& job, const Identity& who) {
  Json params = Json::object();
  params.set("job_id", job.text());
  if (!who.may_read_any && !who.admin) params.set("owner", who.user);
  return params;
}

std::optional<Identity> authenticated(Exchange& exchange) {
  if (exchange.identity) return exchange.identity;
  if (exchange.awaits_turn()) return std::nullopt;
  auto who = exchange.vhost.identify(exchange.request, now());
  if (who) {
    exchange.user = who->user;
    return exchange.identity = *std::move(who);
  }
  if (who.error().code == Errc::unauthorized)
    exchange.respond(unauthorized(exchange.request, who.error().detail));
  else if (!exchange.await_turn())
    exchange.respond(problem(who.error()));
  return std::nullopt;
}

std::optional<Identity> authorized(Exchange& exchange, bool Identity::* scope, const char* name) {
  auto who = authenticated(exchange);
  if (!who || (*who).*scope || who->admin) return who;
  exchange.respond(problem(403, "forbidden", std::string("the token's scope does not grant ") + name));
  return std::nullopt;
}

std::optional<JobId> job_of(Exchange& exchange) {
  const auto job = JobId::parse(exchange.route.id);
  if (!job) exchange.respond(no_such_job());
  return job;
}

BodyIs judge_head(Exchange& exchange) {
  const RouteEntry* route = find_route(exchange);
  if (exchange.vhost.disabled() || !route || !route->post || exchange.request.method != Method::post) return BodyIs::ignored;
  if (!authenticated(exchange) && !exchange.awaits_turn()) return BodyIs::refused;
  return route->route == Route::jobs ? BodyIs::wanted : BodyIs::ignored;
}

void handle(Exchange& exchange) {
  const Vhost& vhost = exchange.vhost;
  const Method method = exchange.request.method;
  const RouteEntry* route = find_route(exchange);
  if (vhost.disabled() && !(route && route->route == Route::live))
    return exchange.respond(problem(503, "internal", "this server is not configured: its log says why"));
  if (!route) return exchange.respond(problem(404, "not_found", "there is nothing here"));
  if (!allows(*route, method))
    return exchange.respond(problem(405, "invalid", "this method is not for this resource").with("allow", allow_header(*route)));
  if (method == Method::options) return preflight(exchange);
  switch (route->route) {
    case Route::jobs: return method == Method::post ? submit_job(exchange) : list_jobs(exchange);
    case Route::job: return get_job(exchange);
    case Route::job_cancel: return cancel_job(exchange);
    case Route::job_retry: return retry_job(exchange);
    case Route::job_log: return get_log(exchange);
    case Route::job_result: return get_result(exchange);
    case Route::job_events: return follow_job(exchange);
    case Route::events: return follow_user(exchange);
    case Route::queues: return list_queues(exchange);
    case Route::tickets: return give_ticket(exchange);
    case Route::metrics: return tell_metrics(exchange);
    case Route::live: return exchange.respond(passing(R"({"status":"live"})"));
    case Route::ready: return tell_ready(exchange);
    case Route::ws: return exchange.respond(problem(426, "invalid", "open a ws here, subprotocol jobcast.v1").with("upgrade", "websocket"));
  }
}

}  // namespace jobcast::plugin
