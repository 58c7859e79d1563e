// Server-sent events: one job, or all of a user's. The session decides what is sent; this is its transport.
#include "base/id.h"
#include "base/json_slice.h"
#include "lws-plugin/routes/http.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kWriteBytes = 16 << 10;

// Each client another: after a restart they do not all come back at once.
uint32_t reconnect_ms() {
  uint32_t random = 0;
  random_bytes(&random, sizeof random);
  return 500 + random % 3000;
}

class EventStream final : public Holder, public Transport {
 public:
  EventStream(Exchange& exchange, int64_t now_ms) : exchange_(exchange), sent_ms_(now_ms) {}
  ~EventStream() override {
    if (session) exchange_.vhost.hub.close(*session);
  }

  int on_writable() override {
    if (!started_) return start();
    std::string& out = exchange_.vhost.scratch;
    out.clear();
    const Time now = jobcast::now();
    if (!greeted_) {
      greeted_ = true;
      out.append("retry: ").append(std::to_string(reconnect_ms())).append("\n\n");
    }
    const bool more = session->collect(out, kWriteBytes, now);
    if (std::exchange(comment_due_, false) && out.empty()) out = ":\n\n";
    if (!out.empty()) {
      sent_ms_ = now.mono_ms();
      if (exchange_.write(out) != 0) return -1;
    }
    if (more) exchange_.request_writable();
    return closing_ && !more ? -1 : 0;
  }

  void on_look(const Time& now) override {
    if (now.mono_ms() - sent_ms_ < int64_t{exchange_.vhost.options.sse_keepalive_s} * 1000) return;
    if (comment_due_) {  // since the last time: the client took nothing for so long, and comes back with its Last-Event-ID
      ++exchange_.vhost.counters.streams_stalled;
      return exchange_.kill();
    }
    sent_ms_ = now.mono_ms();
    comment_due_ = true;
    exchange_.request_writable();
  }

  void request_writable() override { exchange_.request_writable(); }
  void close_session(CloseReason) override {
    closing_ = true;
    exchange_.request_writable();
  }

  Session* session = nullptr;

 private:
  int start() {
    started_ = true;
    HttpResponse head;
    head.content_type = "text/event-stream";
    head.with("cache-control", "no-store").with("x-accel-buffering", "no");
    if (exchange_.start_stream(head) != 0 || exchange_.request.method == Method::head) return -1;
    exchange_.request_writable();
    return 0;
  }

  Exchange& exchange_;
  int64_t sent_ms_;
  bool started_ = false, greeted_ = false, comment_due_ = false, closing_ = false;
};

// Opens the stream, or answers why not.
Session* open(Exchange& exchange, const Identity& who) {
  Vhost& vhost = exchange.vhost;
  if (auto may = vhost.may_hold(exchange.user); !may) {
    exchange.respond(problem(may.error()));
    return nullptr;
  }
  const Time now = jobcast::now();
  auto stream = std::make_unique<EventStream>(exchange, now.mono_ms());
  auto session = vhost.hub.open_stream(*stream, who, now);
  if (!session) {
    exchange.respond(problem(session.error()));
    return nullptr;
  }
  stream->session = *session;
  ++vhost.counters.streams_opened;
  exchange.hold(std::move(stream));
  exchange.request_writable();
  return *session;
}

// Last-Event-ID, or ?last_event_id= for those who start a new EventSource.
uint64_t seen_rev(const HttpRequest& request) {
  const std::string_view text = request.last_event_id.empty() ? request.parameter("last_event_id").value_or("") : request.last_event_id;
  if (text.empty()) return 0;
  return parse_number(text).value_or(UINT64_MAX);  // what is no rev of ours cannot be resumed: it is told in full
}

}  // namespace

void follow_job(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  const auto job = job_of(exchange);
  if (!job) return;
  const auto start = [&exchange](const Identity& user, const JobId& id) {
    if (Session* session = open(exchange, user)) session->follow_job(id, seen_rev(exchange.request));
  };
  if (const SnapshotRef known = exchange.vhost.hub.find(*job); known && who->may_see(known->owner)) return start(*who, *job);
  exchange.ask("job.get", job_params(*job, *who).dump(), [&exchange, start, who = *who](const Result<std::string_view>& result) {
    if (!result) return exchange.respond(of_engine(result.error()));
    std::string owner;
    const auto event = snapshot_event(json_member(*result, "job").value_or(""), owner);
    if (!event) return exchange.respond(problem({Errc::internal, event.error().detail, {}}));
    exchange.vhost.hub.fetched(event->job, event, now());
    start(who, event->job);
  });
}

void follow_user(Exchange& exchange) {
  const auto who = authenticated(exchange);
  if (!who) return;
  if (Session* session = open(exchange, *who)) session->follow_user(seen_rev(exchange.request));
}

}  // namespace jobcast::plugin
