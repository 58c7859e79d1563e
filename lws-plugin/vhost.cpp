// What one part needs of another is passed on here.
#include "lws-plugin/vhost.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <ctime>

#include "base/id.h"
#include "base/json.h"
#include "base/json_slice.h"
#include "base/log.h"
#include "lws-plugin/contained.h"
#include "lws-plugin/exchange.h"
#include "lws-plugin/lws_version.h"
#include "lws-plugin/ws.h"

namespace jobcast::plugin {
namespace {

constexpr int64_t kHeldLookUs = 250'000;
constexpr int64_t kSocketsLookMaxUs = 4'000'000;
constexpr int64_t kReloadLookUs = 1'000'000;
constexpr size_t kOwnersMax = 65'536;
constexpr int64_t kTurnsUs = 2000;       // between two rounds of verifications that waited
constexpr int64_t kTurnsNs = 1'000'000;  // of work in one of them

// What the engine tells of itself when it is asked, at each scrape.
struct EngineFigures : Metrics {
  Gauge starts_held{*this, "jobcast_engine_starts_held", "1 while the engine starts no job, for a lack of the system's."};
  Gauge starts_put_off{*this, "jobcast_engine_starts_put_off", "Starts put off for that, since the engine began."};
};

std::vector<Pvo> to_span(const lws_protocol_vhost_options* pvos) {
  std::vector<Pvo> out;
  for (; pvos; pvos = pvos->next) out.push_back({pvos->name ? pvos->name : "", pvos->value ? pvos->value : ""});
  return out;
}

// What this thread itself has worked: a busy machine that keeps it from work is no cost of its clients.
int64_t thread_cpu_ns() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return int64_t{spent.tv_sec} * 1'000'000'000 + spent.tv_nsec;
}

std::string job_id_params(const JobId& job) { return R"({"job_id":")" + job.text() + "\"}"; }

}  // namespace

Result<Event> snapshot_event(std::string_view snapshot, std::string& owner) {
  constexpr auto kStates = std::to_array({JobState::scheduled, JobState::queued, JobState::running, JobState::retrying, JobState::completed,
                                          JobState::failed, JobState::cancelled});
  const auto job = JobId::parse(json_member_string(snapshot, "job_id").value_or(""));
  const auto rev = json_member_integer(snapshot, "rev");
  const auto owner_json = Json::parse(json_member(snapshot, "owner").value_or(""));
  owner = owner_json ? owner_json->view().string().value_or("") : "";
  const auto state = json_member_string(snapshot, "state");
  if (job && rev && state && !owner.empty() && snapshot.size() <= kSnapshotBytesMax)
    for (const JobState known : kStates)
      if (*state == name(known)) return Event{*job, *rev, known, false, owner, snapshot};
  return {Errc::corrupt, "the job engine's answer is no snapshot"};
}

std::unique_ptr<Vhost> Vhost::create(lws_context* context, lws_vhost* vhost, const lws_protocol_vhost_options* pvos) {
  auto options = Options::parse(to_span(pvos));
  std::string fault = options ? "" : options.error().detail;
  if (const std::string why = lws_mismatch(); !why.empty()) fault = why;
  if (!options) options = Options{};
  return std::unique_ptr<Vhost>(new Vhost(context, vhost, std::move(*options), std::move(fault)));
}

Vhost::Vhost(lws_context* context, lws_vhost* vhost, Options given, std::string fault)
    : context_(context),
      fault_(std::move(fault)),
      options(std::move(given)),
      connections({options.connections_max, options.connections_per_address_max}),
      tickets(options.tickets_max, options.tickets_per_user_max),
      hub(options.hub, *this),
      engine(context, vhost, options.engine,
             {{.calls_max = options.calls_max, .calls_per_user_max = options.calls_per_user_max}, options.engine_timeout_ms}, *this),
      hub_timer_([this] { hub.tick(now()); }),
      held_timer_([this] { look_after_held(); }),
      sockets_timer_([this] { look_after_sockets(); }),
      reload_timer_([this] { look_after_reload(); }),
      turns_timer_([this] { give_turns(); }) {
  const char* name = lws_get_vhost_name(vhost);
  if (fault_.empty()) {
    auto auth = Auth::create(options.auth);
    if (auth)
      auth_.emplace(std::move(*auth));
    else
      fault_ = "option \"key\": " + auth.error().detail;
  }
  if (disabled()) {
    log::error("vhost_disabled", {{"vhost", name}, {"why", fault_}});
    return;
  }
  if (!now().wall_set) log::warning("clock_not_set", {{"vhost", name}, {"why", "no token can be judged before the clock is set"}});
  hub.start_fresh();
  engine.start();
  reload_timer_.after_us(context_, kReloadLookUs);
  log::notice("vhost_ready", {{"vhost", name}, {"mount", options.mount.empty() ? "/" : options.mount}, {"engine", options.engine}});
}

Vhost::~Vhost() = default;

Vhost* Vhost::of(lws_vhost* vhost) {
  const lws_protocols* protocol = vhost ? lws_vhost_name_to_protocol(vhost, "jobcast") : nullptr;
  auto** slot = protocol ? static_cast<Vhost**>(lws_protocol_vh_priv_get(vhost, protocol)) : nullptr;
  return slot ? *slot : nullptr;
}

std::string Vhost::metrics(const std::string_view* of_engine) const {
  EngineFigures figures;
  if (of_engine) {
    figures.starts_held = json_member(*of_engine, "starts_held") == "true";
    figures.starts_put_off = static_cast<uint64_t>(json_member_integer(*of_engine, "starts_put_off").value_or(0));
  }
  return connections.stats().text() + hub.stats().text() + counters.text() + (auth_ ? auth_->stats().text() : "") + engine.stats().text() +
         (of_engine ? figures.text() : "") + faults().text() + "# EOF\n";
}

// ---- who asks

Result<Identity> Vhost::verify(std::string_view token, std::string_view address, const Time& now) {
  if (token.starts_with("tkt_")) {
    if (auto who = tickets.redeem(token, now); who && !ended(*who, now)) return limited(*std::move(who));
    return {Errc::unauthorized, "the ticket is unknown, used or too old"};
  }
  std::optional<std::string> checked;
  int64_t begun_ns = 0;
  auto who = auth_->verify(token, now, [&](std::string_view user) {
    std::string share = verify_budget_.share(address, user);
    if ((!in_turn_ && verify_turns_.waits(share)) || !verify_budget_.may(share, now.mono_ns)) {
      put_off_share_ = std::move(share);
      return false;
    }
    checked = user;
    begun_ns = thread_cpu_ns();
    return true;
  });
  if (checked) {
    ++counters.verifications;
    verify_budget_.spent(address, *checked, who.ok(), thread_cpu_ns() - begun_ns, now.mono_ns);
  } else if (in_turn_ && !who && who.error().code == Errc::retry) {
    ++counters.verifications_put_off;
  }
  return who;
}

uint64_t Vhost::wait_turn(size_t body_bytes, const Time& now, VerifyTurns::Turn turn) {
  const uint64_t id = verify_turns_.add(put_off_share_, body_bytes, now, std::move(turn));
  id ? ++counters.verifications_waited : ++counters.verifications_put_off;
  if (!turns_timer_.armed()) turns_timer_.after_us(context_, kTurnsUs);
  return id;
}

// Those who waited are verified, in rounds that are short enough to keep nobody else waiting.
void Vhost::give_turns() {
  in_turn_ = true;
  const int64_t begun_ns = thread_cpu_ns();
  do {
    const Time now = jobcast::now();
    const auto next = verify_turns_.next(now, [&](const std::string& share) { return verify_budget_.may(share, now.mono_ns); });
    if (!next) break;
    (void)contained("turn", [&] { next->first(next->second, now); });
  } while (thread_cpu_ns() - begun_ns < kTurnsNs);
  in_turn_ = false;
  if (!verify_turns_.empty()) turns_timer_.after_us(context_, kTurnsUs);
}

Result<Identity> Vhost::identify(const HttpRequest& request, const Time& now) {
  const auto token = token_of(request);
  if (!token) return token.error();
  return verify(*token, request.address, now);
}

Result<std::string> Vhost::token_of(const HttpRequest& request) const {
  if (!request.authorization.empty()) {
    const std::string_view token = bearer_token(request.authorization);
    if (token.empty()) return {Errc::unauthorized, "Authorization must be: Bearer TOKEN"};
    if (token.starts_with("tkt_")) return {Errc::unauthorized, "a ticket goes into the query, ?ticket="};
    return std::string(token);
  }
  if (const auto ticket = request.parameter("ticket")) {
    if (!ticket->starts_with("tkt_"))
      return {Errc::unauthorized, "no token belongs into a URL: get a ticket with POST " + options.mount + "/v1/tickets"};
    return std::string(*ticket);
  }
  if (const std::string_view token = cookie_value(request.cookie, options.cookie); !token.empty()) {
    // A browser adds cookies to whatever any page asks for: so the page must be one of ours.
    const OriginIs origin = classify_origin(request.origin, request.host, options.origins);
    const bool reads = request.method == Method::get || request.method == Method::head;
    if (origin == OriginIs::anyone)
      return {Errc::unauthorized, "a cookie does not count for origins that only * lets in: send Authorization: Bearer TOKEN"};
    if (origin == OriginIs::foreign || (origin == OriginIs::absent && !reads))
      return {Errc::unauthorized, "a cookie counts only with an Origin that is on the allow-list"};
    return std::string(token);
  }
  return {Errc::unauthorized, "authenticate: Authorization: Bearer TOKEN"};
}

// ---- what is open

Result<void> Vhost::may_hold(const std::string& user) const {
  const auto held = held_of_.find(user);
  if (held != held_of_.end() && held->second >= options.streams_per_user_max)
    return {Errc::full, "this user has " + std::to_string(held->second) + " streams and long polls open: close one"};
  if (held_.size() >= options.streams_max) return {Errc::full, "too many streams and long polls are open: try again later"};
  return {};
}

void Vhost::hold(Exchange& exchange) {
  if (held_.insert(&exchange).second) ++held_of_[exchange.user];
  if (!held_timer_.armed()) held_timer_.after_us(context_, kHeldLookUs);
}

void Vhost::release(Exchange& exchange) {
  if (held_.erase(&exchange) == 0) return;
  if (const auto user = held_of_.find(exchange.user); --user->second == 0) held_of_.erase(user);
}

// lws 4.1 does not notice that the client of a held answer has gone: one poll() over all of them tells. What a client sends into a
// stream has no meaning, and unread it would make lws spin whenever the stream writes.
void Vhost::look_after_held() {
  if (held_.empty()) return;
  held_timer_.after_us(context_, kHeldLookUs);
  const std::vector<Exchange*> held(held_.begin(), held_.end());
  std::vector<pollfd> fds;
  fds.reserve(held.size());
  for (const Exchange* exchange : held)
    fds.push_back({exchange->fd(), static_cast<short>(exchange->streaming() ? POLLRDHUP | POLLIN : POLLRDHUP), 0});
  if (poll(fds.data(), fds.size(), 0) < 0)
    for (pollfd& fd : fds) fd.revents = 0;
  const Time now = jobcast::now();
  for (size_t i = 0; i < held.size(); ++i) {
    if (fds[i].revents != 0) {
      ++counters.holders_gone;
      release(*held[i]);
      held[i]->kill();
    } else if (held[i]->holder() && !contained("holder", [&] { held[i]->holder()->on_look(now); })) {
      held[i]->kill();
    }
  }
}

void Vhost::opened(WsConnection& connection) {
  sockets_.insert(&connection);
  if (!sockets_timer_.armed()) sockets_timer_.after_us(context_, sockets_look_us());
}

int64_t Vhost::sockets_look_us() const {
  return std::min(int64_t{std::min(options.ping_interval_s, options.ping_timeout_s)} * 250'000, kSocketsLookMaxUs);
}

void Vhost::closed(WsConnection& connection) { sockets_.erase(&connection); }

void Vhost::look_after_sockets() {
  if (sockets_.empty()) return;
  sockets_timer_.after_us(context_, sockets_look_us());
  const Time now = jobcast::now();
  for (WsConnection* connection : sockets_)
    if (!contained("look", [&] { connection->look(now); })) connection->kill();
}

void Vhost::shutdown() {
  if (std::exchange(leaving_, true)) return;
  log::notice("vhost_leaving", {{"open", open_count()}});
  hub.shutdown();
}

// lwsws answers SIGHUP with a new child and drops the listening sockets of the old one, which then lives on for ever.
void Vhost::look_after_reload() {
  reload_timer_.after_us(context_, kReloadLookUs);
  look_after_keys();
  if (!lws_context_is_deprecated(context_)) return;
  if (!leaving_) return shutdown();
  log::notice("superseded", {{"open", open_count()}});
  raise(SIGINT);  // lwsws's clean end of a child
}

void Vhost::look_after_keys() {
  const Time now = jobcast::now();
  for (const uint64_t key : auth_->withdrawn(now)) {
    const int64_t until_ms = now.mono_ms() + int64_t{options.key_grace_s} * 1000;
    withdrawn_.emplace(key, until_ms);
    hub.withdraw(key, until_ms, now);
  }
}

Identity Vhost::limited(Identity who) const {
  if (const auto found = withdrawn_.find(who.key); found != withdrawn_.end()) who.withdraw(found->second);
  return who;
}

// ---- the engine

void Vhost::wake_at(int64_t mono_ms) {
  if (mono_ms == INT64_MAX) return hub_timer_.cancel();
  hub_timer_.after_us(context_, (mono_ms - now().mono_ms()) * 1000);
}

void Vhost::call_job(std::string_view user, std::string_view method, const std::string& params, Reply reply) {
  if (!EngineLink::fits(params)) return reply.failed({Errc::invalid, "the request is too long: args may have 64 KiB as JSON", "args"});
  auto shared = std::make_shared<Reply>(std::move(reply));  // std::function wants copies
  engine.call(user, method, params, [shared](const Result<std::string_view>& result) {
    if (!result) return shared->failed(result.error());
    const auto job = json_member(*result, "job");
    if (!job) return shared->failed({Errc::corrupt, "the job engine's answer has no job", {}});
    shared->done(*job, json_member(*result, "created") == "true");
  });
}

void Vhost::submit(std::string_view user, std::string params, Reply reply) { call_job(user, "job.submit", params, std::move(reply)); }
void Vhost::cancel(std::string_view user, std::string params, Reply reply) { call_job(user, "job.cancel", params, std::move(reply)); }

void Vhost::fetch(std::string_view user, const JobId& job) {
  engine.call(user, "job.get", job_id_params(job), [this, job](const Result<std::string_view>& result) {
    const Time now = jobcast::now();
    if (!result) return hub.fetched(job, result.error(), now);
    std::string owner;
    hub.fetched(job, snapshot_event(json_member(*result, "job").value_or(""), owner), now);
  });
}

void Vhost::on_event(const Event& event) {
  if (!contained("event", [&] { hub.publish(event, now()); })) hub.fail_followers(event.job);
  newest_rev_ = std::max(newest_rev_, event.rev);
  if (owner_revs_.size() >= kOwnersMax) {
    owner_revs_.clear();
    epoch_ = random_hex(4);
  }
  uint64_t& rev = owner_revs_[std::string(event.owner)];
  rev = std::max(rev, event.rev);
}

void Vhost::on_engine(uint64_t rev, bool another_life) {
  if (another_life) {
    hub.begin_anew();
    owner_revs_.clear();
    newest_rev_ = 0;
  }
  hub.saw(rev);
}

void Vhost::on_resync_begin() {
  epoch_ = random_hex(4);
  hub.begin_resync();
}

void Vhost::on_resync_end(bool complete) {
  for (const JobId& job : hub.end_resync(complete, now())) fetch(CallQueue::kServer, job);
}

void Vhost::on_attached() { hub.set_stale(false); }
void Vhost::on_lost() { hub.set_stale(true); }

std::string Vhost::list_etag(std::string_view owner, std::string_view query) const {
  if (hub.stale()) return {};
  uint64_t rev = newest_rev_;
  if (!owner.empty()) {
    const auto found = owner_revs_.find(std::string(owner));
    rev = found == owner_revs_.end() ? 0 : found->second;
  }
  return "\"" + epoch_ + "-" + std::to_string(rev) + "-" + std::to_string(std::hash<std::string_view>{}(query) & 0xffffffff) + "\"";
}

}  // namespace jobcast::plugin
