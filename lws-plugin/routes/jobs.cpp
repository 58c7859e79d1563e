// Jobs over HTTP: snapshots are answered with the engine's own bytes, from what the lane showed where that is known.
#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/json_slice.h"
#include "lws-plugin/messages.h"
#include "lws-plugin/routes/http.h"

namespace jobcast::plugin {
namespace {

constexpr auto kStates = std::to_array({JobState::scheduled, JobState::queued, JobState::running, JobState::retrying, JobState::completed,
                                        JobState::failed, JobState::cancelled});

// The engine's line is one level deeper, and it hangs up on one that nests deeper than 32.
constexpr int kBodyDepthMax = 31;

// Prefer: wait=N. Answers when the job has another rev than the client's, or at the end of the wait.
class Poll final : public Holder, public Waiter {
 public:
  Poll(Exchange& exchange, SnapshotRef seen, uint32_t wait_s, Identity who)
      : exchange_(exchange),
        seen_(std::move(seen)),
        wait_s_(wait_s),
        until_ms_(now().mono_ms() + int64_t{wait_s} * 1000),
        who_(std::move(who)) {}

  // False: it has changed already.
  [[nodiscard]] bool arm() { return exchange_.vhost.hub.wait(*this, seen_->job, seen_->rev); }
  void job_changed() override { exchange_.request_writable(); }
  int on_writable() override {
    if (!armed() && !still_the_same()) answer();
    return 0;
  }
  void give_up() override { answer(); }
  void on_look(const Time& now) override {
    if (now.mono_ms() >= until_ms_ || exchange_.vhost.ended(who_, now)) answer();
  }

 private:
  // The engine came or went, yet the job is what it was: wait on.
  bool still_the_same() {
    const SnapshotRef newest = exchange_.vhost.hub.find(seen_->job);
    return newest && newest->rev == seen_->rev && arm();
  }
  void answer() {
    if (exchange_.vhost.ended(who_, now()))
      return exchange_.respond(unauthorized(exchange_.request, "the token has expired: ask with a new one"));
    const Hub& hub = exchange_.vhost.hub;
    const SnapshotRef newest = hub.find(seen_->job);
    if (!newest) return exchange_.respond(problem({Errc::retry, "the job is not known as it was any more: ask again", {}}));
    seen_ = newest;
    HttpResponse response = etag_matches(exchange_.request.if_none_match, etag_of(seen_->rev))
                                ? not_modified(etag_of(seen_->rev), hub.stale())
                                : snapshot_response(seen_->json, seen_->rev, hub.stale());
    exchange_.respond(std::move(response.with("preference-applied", "wait=" + std::to_string(wait_s_))));
  }

  Exchange& exchange_;
  SnapshotRef seen_;
  uint32_t wait_s_;
  int64_t until_ms_;
  Identity who_;
};

void answer_known(Exchange& exchange, const SnapshotRef& snapshot, const Identity& who) {
  Vhost& vhost = exchange.vhost;
  if (!etag_matches(exchange.request.if_none_match, etag_of(snapshot->rev)))
    return exchange.respond(snapshot_response(snapshot->json, snapshot->rev, vhost.hub.stale()));
  const uint32_t wait_s = std::min(preferred_wait_s(exchange.request.prefer).value_or(0), vhost.options.wait_max_s);
  if (wait_s == 0) return exchange.respond(not_modified(etag_of(snapshot->rev), vhost.hub.stale()));
  if (auto may = vhost.may_hold(exchange.user); !may) return exchange.respond(problem(may.error()));
  ++vhost.counters.polls_held;
  auto poll = std::make_unique<Poll>(exchange, snapshot, wait_s, who);
  Poll& waiter = *poll;
  exchange.hold(std::move(poll));
  if (!waiter.arm()) exchange.request_writable();
}

// The answer of a method that gives {job, created?}.
void answer_job(Exchange& exchange, const Result<std::string_view>& result, int status) {
  if (!result) return exchange.respond(of_engine(result.error()));
  const auto job = json_member(*result, "job");
  const auto rev = job ? json_member_integer(*job, "rev") : std::nullopt;
  const auto id = job ? json_member_string(*job, "job_id") : std::nullopt;
  if (!rev || !id) return exchange.respond(problem({Errc::internal, "the job engine's answer makes no sense", {}}));
  exchange.vhost.hub.saw(static_cast<uint64_t>(*rev));
  HttpResponse response = snapshot_response(*job, *rev, false);
  response.status = status;
  if (status == 201) response.with("location", exchange.vhost.options.mount + "/v1/jobs/" + std::string(*id));
  exchange.respond(std::move(response));
}

// What the engine gave, as it is.
void answer_raw(Exchange& exchange, const Result<std::string_view>& result, const char* cache) {
  if (!result) return exchange.respond(of_engine(result.error()));
  HttpResponse response;
  response.body = *result;
  exchange.respond(std::move(response.with("cache-control", cache)));
}

HttpResponse bad_parameter(const std::string& name, std::string_view what) {
  return problem(400, "invalid", name + " " + std::string(what), name);
}

// One query parameter of a list, into the engine's params. Errors: invalid.
Result<void> list_parameter(Json& params, const std::string& name, const std::string& value) {
  if (!is_utf8(value)) return {Errc::invalid, name + " must be UTF-8", name};
  if (value.empty()) return {Errc::invalid, name + " is empty: leave it out where there is none", name};
  if (name == "limit") {
    const auto limit = parse_number(value);
    if (!limit || *limit == 0 || *limit > 200) return {Errc::invalid, "limit must be a whole number from 1 to 200", name};
    params.set("limit", *limit);
  } else if (name == "state") {
    Json states = Json::array();
    for (size_t at = 0; at <= value.size();) {
      const size_t end = std::min(value.find(',', at), value.size());
      const std::string_view word = std::string_view(value).substr(at, end - at);
      if (std::ranges::none_of(kStates, [&](JobState state) { return word == jobcast::name(state); }))
        return {Errc::invalid,
                "state must name states, with commas between: scheduled, queued, running, retrying, completed, failed, cancelled", name};
      states.push(word);
      at = end + 1;
    }
    params.set("states", std::move(states));
  } else if (name == "kind" || name == "queue" || name == "cursor") {
    params.set(name.c_str(), value);
  } else {
    return {Errc::invalid, "there is no such parameter: limit, cursor, state, kind, queue, owner", name};
  }
  return {};
}

}  // namespace

void get_job(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  const auto job = job_of(exchange);
  if (!job) return;
  if (const SnapshotRef known = exchange.vhost.hub.find(*job); known && who->may_see(known->owner))
    return answer_known(exchange, known, *who);
  exchange.ask("job.get", job_params(*job, *who).dump(), [&exchange, who = *who](const Result<std::string_view>& result) {
    if (!result) return exchange.respond(of_engine(result.error()));
    std::string owner;
    const auto event = snapshot_event(json_member(*result, "job").value_or(""), owner);
    if (!event) return exchange.respond(problem({Errc::internal, event.error().detail, {}}));
    exchange.vhost.hub.saw(event->rev);
    // Into the hub, so that a wait is told of the next change.
    if (preferred_wait_s(exchange.request.prefer)) exchange.vhost.hub.fetched(event->job, event, now());
    const SnapshotRef known = exchange.vhost.hub.find(event->job);
    answer_known(exchange, known && known->rev >= event->rev ? known : exchange.vhost.hub.snapshot(*event), who);
  });
}

void list_jobs(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  Json params = Json::object();
  std::string owner = who->user, query;
  for (auto at = exchange.request.query.begin(); at != exchange.request.query.end(); ++at) {
    const auto& [name, value] = *at;
    if (name == "ticket") continue;
    // Twice in the engine's line it would be no JSON of ours, and end the connection of everybody.
    if (std::any_of(exchange.request.query.begin(), at, [&name](const auto& earlier) { return earlier.first == name; }))
      return exchange.respond(bad_parameter(name, "may be given once"));
    query += name + "=" + value + "&";
    if (name == "owner") {
      if (value != who->user && !who->may_read_any && !who->admin)
        return exchange.respond(problem(403, "forbidden", "only your own jobs are yours to list", "owner"));
      if (!is_utf8(value) || value.empty()) return exchange.respond(bad_parameter(name, "must be UTF-8, and not empty: * is everybody"));
      owner = value == "*" ? "" : value;
    } else if (auto done = list_parameter(params, name, value); !done) {
      return exchange.respond(problem(done.error()));
    }
  }
  if (!owner.empty()) params.set("owner", owner);
  // Taken before the engine is asked: its answer may be newer than this, never older.
  std::string etag = exchange.vhost.list_etag(owner, query);
  if (!etag.empty() && etag_matches(exchange.request.if_none_match, etag)) return exchange.respond(not_modified(std::move(etag), false));
  exchange.ask("job.list", params.dump(), [&exchange, etag = std::move(etag)](const Result<std::string_view>& result) {
    if (!result) return exchange.respond(of_engine(result.error()));
    HttpResponse response;
    response.body = *result;
    if (!etag.empty()) response.with("etag", etag);
    exchange.respond(std::move(response.with("cache-control", "private, no-cache")));
  });
}

void submit_job(Exchange& exchange) {
  const auto who = authorized(exchange, &Identity::may_submit, "jobs:submit");
  if (!who) return;
  const HttpRequest& request = exchange.request;
  if (!is_json(request.content_type))
    return exchange.respond(problem(415, "invalid", "Content-Type must be application/json", "Content-Type"));
  const auto body = Json::parse(request.body, {.bytes_max = exchange.vhost.options.body_bytes_max, .depth_max = kBodyDepthMax});
  if (!body) return exchange.respond(problem(body.error()));
  const auto params = submit_params(body->view(), *who, request.idempotency_key);
  if (!params) return exchange.respond(problem(params.error()));
  if (!EngineLink::fits(*params)) return exchange.respond(problem(413, "invalid", "args may have 64 KiB as JSON", "args"));
  exchange.ask("job.submit", *params, [&exchange](const Result<std::string_view>& result) {
    answer_job(exchange, result, result && json_member(*result, "created") == "true" ? 201 : 200);
  });
}

void cancel_job(Exchange& exchange) {
  const auto who = authorized(exchange, &Identity::may_cancel, "jobs:cancel");
  if (!who) return;
  if (const auto job = job_of(exchange))
    exchange.ask("job.cancel", cancel_params(*job, *who),
                 [&exchange](const Result<std::string_view>& result) { answer_job(exchange, result, 200); });
}

void retry_job(Exchange& exchange) {
  const auto who = authorized(exchange, &Identity::may_submit, "jobs:submit");
  if (!who) return;
  const auto job = job_of(exchange);
  if (!job) return;
  Json params = Json::object();
  params.set("job_id", job->text());
  if (!who->admin) params.set("owner", who->user);
  exchange.ask("job.retry", params.dump(), [&exchange](const Result<std::string_view>& result) { answer_job(exchange, result, 200); });
}

void get_log(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  const auto job = job_of(exchange);
  if (!job) return;
  Json params = job_params(*job, *who);
  for (const std::string name : {"offset", "limit"}) {
    const auto text = exchange.request.parameter(name);
    if (!text) continue;
    const bool from_end = name == "offset" && text->starts_with('-');
    const auto number = parse_number(text->substr(from_end ? 1 : 0));
    if (!number || *number > (uint64_t{1} << 53)) return exchange.respond(bad_parameter(name, "must be a whole number of bytes"));
    params.set(name.c_str(), from_end ? -static_cast<int64_t>(*number) : static_cast<int64_t>(*number));
  }
  exchange.ask("job.log", params.dump(), [&exchange](const Result<std::string_view>& result) {
    if (!result || prefers_json(exchange.request.accept)) return answer_raw(exchange, result, "no-store");
    const auto log = Json::parse(*result);
    if (!log) return exchange.respond(problem({Errc::internal, "the job engine's answer makes no sense", {}}));
    const JsonView view = log->view();
    HttpResponse response;
    response.content_type = "text/plain; charset=utf-8";
    response.body = view.get("data").string().value_or("");
    response.with("cache-control", "no-store")
        .with("jobcast-next-offset", view.get("next_offset").dump())
        .with("jobcast-log-size", view.get("size").dump())
        .with("jobcast-log-dropped", view.get("dropped").dump())
        .with("jobcast-log-eof", view.get("eof").dump());
    exchange.respond(std::move(response));
  });
}

void get_result(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  const auto job = job_of(exchange);
  if (!job) return;
  exchange.ask("job.result", job_params(*job, *who).dump(), [&exchange](const Result<std::string_view>& result) {
    answer_raw(exchange, result ? Result<std::string_view>(json_member(*result, "result").value_or("null")) : result, "private, no-cache");
  });
}

void list_queues(Exchange& exchange) {
  if (!authenticated(exchange)) return;
  exchange.ask("queue.list", "{}", [&exchange](const Result<std::string_view>& result) { answer_raw(exchange, result, "no-store"); });
}

}  // namespace jobcast::plugin
