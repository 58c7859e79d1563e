// What clients ask for, and the answers: one function a request.
#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/json_slice.h"
#include "base/text.h"
#include "lws-plugin/hub.h"
#include "lws-plugin/session.h"

namespace jobcast::plugin {
namespace {

constexpr const char* kNoSuchJob = "no such job";  // the one text for "absent" and for "not yours"

std::string job_json(const JobId& job) { return "{\"job_id\":\"" + job.text() + "\"}"; }

}  // namespace

struct Reply::Target {
  std::weak_ptr<Hub*> hub;
  SessionRef session;
  Request request;
  std::string id, job_id;
};

Reply::Reply(std::unique_ptr<Target> target) : target_(std::move(target)) {}
Reply::Reply(Reply&& other) noexcept = default;

Reply::~Reply() {
  if (target_) failed(Error{Errc::closed, "this server ends: the request may have been carried out", {}});
}

Session* Reply::take(Target& target) {
  const auto hub = target.hub.lock();
  Session* session = hub ? (*hub)->find(target.session) : nullptr;
  if (session) --session->calls_;
  return session;
}

void Reply::done(std::string_view job, bool created) {
  const auto target = std::move(target_);
  Session* session = target ? take(*target) : nullptr;
  if (!session) return;
  session->hub_.saw(static_cast<uint64_t>(json_member_integer(job, "rev").value_or(0)));
  session->hub_.guarded(*session, "reply", [&] {
    std::string data = "{\"job\":";
    data += job;
    if (target->request == Request::submit_job) data += created ? ",\"created\":true" : ",\"created\":false";
    data += '}';
    session->answer(target->request == Request::submit_job ? "submitted" : "cancel_accepted", data, target->id);
  });
}

void Reply::failed(const Error& error) {
  const auto target = std::move(target_);
  Session* session = target ? take(*target) : nullptr;
  if (!session) return;
  const bool absent = error.code == Errc::not_found && !target->job_id.empty();
  session->hub_.guarded(*session, "reply", [&] {
    session->refuse(target->request, target->id, error_code(error), absent ? kNoSuchJob : error.detail, absent ? "" : error.field,
                    target->job_id);
  });
}

Reply Session::reply_to(const Message& message) {
  ++calls_;
  return Reply(std::make_unique<Reply::Target>(
      Reply::Target{hub_.alive_, ref_, message.request, message.id, message.job ? message.job->text() : std::string()}));
}

void Session::refuse(Request request, std::string_view id, const char* code, std::string_view message, std::string_view field,
                     std::string_view job_id) {
  ++hub_.stats_.refused;
  Json data = Json::object();
  data.set("code", code).set("message", to_utf8(message));
  if (request == Request::unknown)
    data.set("request", nullptr);
  else
    data.set("request", name(request));
  if (!field.empty()) data.set("field", to_utf8(field));
  if (!job_id.empty()) data.set("job_id", job_id);
  answer("error", data.dump(), id);
}

void Session::auth_error(std::string_view code, std::string_view message, std::string_view id) {
  Json data = Json::object();
  data.set("code", code).set("message", message);
  answer("auth_error", data.dump(), id);
}

void Session::connected() {
  Json data = Json::object();
  data.set("session", id()).set("protocol", "jobcast.v1").set("version", JOBCAST_VERSION).set("stale", stale_told_);
  data.set("auth_timeout_ms", hub_.limits_.auth_timeout_ms);
  answer("connected", data.dump());
}

void Session::on_message(std::string_view text, const Time& now) {
  if (closing_) return;
  if (expired(now)) expire(now);
  ++hub_.stats_.requests;
  if (!hub_.message_rate_.take(now.mono_ns, rate_state_)) {
    ++hub_.stats_.rate_limited;
    if (over_rate_++ == 0)
      refuse(Request::unknown, {}, "rate_limited",
             "more than " + std::to_string(hub_.limits_.messages_per_second_max) + " messages a second: slow down");
    else if (over_rate_ > hub_.limits_.messages_burst_max)
      close(CloseReason::rate);
    return;
  }
  over_rate_ = 0;
  const Message message = parse_message(text, hub_.limits_.message_bytes_max);
  if (message.fault) return refuse(message.request, message.id, error_code(*message.fault), message.fault->detail, message.fault->field);
  if (message.request == Request::authenticate) return authenticate(message.token, message.id, message.rev, true, now);
  if (message.request == Request::ping) return answer("pong", "{}", message.id);
  if (!owner_) return refuse(message.request, message.id, "unauthorized", "authenticate first");
  switch (message.request) {
    case Request::subscribe_job: return subscribe_job(message);
    case Request::unsubscribe_job: return unsubscribe_job(message);
    case Request::submit_job: return submit_job(message);
    case Request::cancel_job: return cancel_job(message);
    case Request::unknown:
    case Request::authenticate:
    case Request::ping: return;
  }
}

void Session::auth_failed(std::string_view code, std::string_view why, std::string_view id) {
  ++hub_.stats_.auth_failed;
  ++hub_.stats_.refused;
  auth_error(code, why, id);
}

void Session::authenticate(const std::string& token, const std::string& id, uint64_t seen_rev, bool may_wait, const Time& now) {
  auto verified = hub_.backend_.verify(token, transport_.address(), now);
  if (!verified) {
    const Error& error = verified.error();
    if (error.code == Errc::retry && may_wait && turn_ == 0) return await_turn(token, id, seen_rev, now);
    if (error.code != Errc::unauthorized) return refuse(Request::authenticate, id, error_code(error), error.detail);
    return auth_failed(error.field.empty() ? "token_invalid" : error.field, error.detail, id);
  }
  join_as(std::move(verified).value(), id, seen_rev, now);
}

// There was no time to verify it: it is verified in its turn.
void Session::await_turn(const std::string& token, const std::string& id, uint64_t seen_rev, const Time& now) {
  turn_ = hub_.backend_.wait_turn(0, now, [this, token, id, seen_rev](bool last, const Time& then) {
    turn_ = 0;
    if (closing_) return;
    hub_.guarded(*this, "turn", [&] { authenticate(token, id, seen_rev, !last, then); });
  });
  if (turn_ == 0) refuse(Request::authenticate, id, "retry", "too many new tokens at once: try again in a moment");
}

void Session::join_as(Identity who, std::string_view id, uint64_t seen_rev, const Time& now) {
  if (!identity_.user.empty() && who.user != identity_.user)
    return auth_failed("user_mismatch", "this connection belongs to another user: open a new one", id);
  if (who.ended(now)) return auth_failed("token_expired", "the token has expired: authenticate with a new one", id);
  const bool joining = !owner_;
  const auto user = hub_.owners_.find(who.user);
  if (joining && user != hub_.owners_.end() && user->second->sessions.size() >= hub_.limits_.sessions_per_user_max)
    return auth_failed("too_many_sessions",
                       "this user has " + std::to_string(hub_.limits_.sessions_per_user_max) + " connections already: close one", id);
  ++hub_.stats_.auth_ok;
  join(std::move(who));
  Json data = expiry_json(now);
  data.set("user_id", identity_.user).set("rev", hub_.order_);
  answer("authenticated", data.dump(), id);
  std::vector<JobId> lost;  // a renewed token may allow less
  for (Subscription* subscription = subscriptions_.front(); subscription;) {
    Subscription& at = *subscription;
    subscription = Subscriptions::next(subscription);
    if (!at.topic->latest || identity_.may_see(at.topic->latest->owner)) continue;
    lost.push_back(at.topic->job);
    unsubscribe(at);
  }
  for (const JobId& job : lost) answer("unsubscribed", job_json(job));
  if (joining && seen_rev > 0 && !closing_) resume_room(seen_rev);
  schedule(now);
}

void Session::subscribe_job(const Message& message) {
  const Topic* topic = hub_.known(*message.job);
  if (topic && topic->latest && identity_.may_see(topic->latest->owner))
    return subscribe_known(*message.job, message.rev, message.min_interval_ms, message.id, nullptr);
  // Also for a job that is known and somebody else's, so that it goes the same way as an absent one, down to the engine's failures.
  if (calls_ >= hub_.limits_.calls_per_session_max) return too_many_calls(message);
  ++calls_;
  hub_.fetch(*message.job, {ref_, message.rev, message.min_interval_ms, message.id});
}

// `why_unknown`: what fetching it failed with, if it did.
void Session::subscribe_known(const JobId& job, uint64_t rev, uint32_t min_interval_ms, std::string_view id, const Error* why_unknown) {
  const auto no = [&](const char* code, std::string_view why) { refuse(Request::subscribe_job, id, code, why, {}, job.text()); };
  if (!owner_) return no("unauthorized", "authenticate first");
  Topic* topic = hub_.known(job);
  if (!topic || !topic->latest || !identity_.may_see(topic->latest->owner)) {
    if (why_unknown && why_unknown->code != Errc::not_found) return no(error_code(*why_unknown), why_unknown->detail);
    return no("not_found", kNoSuchJob);
  }
  bool told = false;
  Subscription* subscription = subscription_to(*topic);
  if (!subscription || subscription->room_only) {
    if (subscriptions_count_ >= hub_.limits_.subscriptions_per_session_max && !drop_finished())
      return no("full", "at most " + std::to_string(hub_.limits_.subscriptions_per_session_max) + " subscriptions: unsubscribe from some");
  }
  while (!subscription && !may_follow(*topic)) {
    if (drop_finished()) continue;
    ++hub_.stats_.follows_refused;
    return no("full", "this user's connections follow " + std::to_string(owner_->followed.size()) + " jobs already: unsubscribe from some");
  }
  if (!subscription) {
    told = std::find(told_.begin(), told_.end(), topic->latest->rev) != told_.end();
    subscription = &subscribe(*topic, told ? topic->latest->rev : rev, min_interval_ms, false);
  } else if (subscription->room_only) {  // what it was to carry is still to be sent
    subscription->room_only = false;
    --room_only_count_;
    ++subscriptions_count_;
    ++hub_.stats_.subscriptions;
    if (hub_.knows_rev(rev)) subscription->sent_rev = std::max(subscription->sent_rev, rev);
  }
  subscription->min_interval_ms = min_interval_ms;
  std::string data = "{\"job_id\":\"" + job.text() + "\",\"rev\":" + std::to_string(topic->latest->rev);
  if (told) (data += ",\"job\":") += topic->latest->json;
  answer("subscribed", data += '}', id);
}

// Makes room by ending the oldest subscription whose terminal snapshot was sent.
bool Session::drop_finished() {
  for (Subscription* at = subscriptions_.front(); at; at = Subscriptions::next(at)) {
    if (at->room_only || !at->topic->latest || !at->topic->latest->terminal() || at->sent_rev < at->topic->latest->rev) continue;
    unsubscribe(*at);
    return true;
  }
  return false;
}

void Session::unsubscribe_job(const Message& message) {
  if (Topic* topic = hub_.known(*message.job)) {
    if (topic->latest) std::replace(told_.begin(), told_.end(), topic->latest->rev, uint64_t{0});  // from here on it may be sent again
    if (Subscription* subscription = subscription_to(*topic)) unsubscribe(*subscription);
  }
  answer("unsubscribed", job_json(*message.job), message.id);
}

void Session::too_many_calls(const Message& message) {
  refuse(message.request, message.id, "full",
         std::to_string(calls_) + " requests of this connection wait for the engine already: wait for their answers");
}

void Session::submit_job(const Message& message) {
  if (!identity_.may_submit && !identity_.admin)
    return refuse(message.request, message.id, "forbidden", "the token does not grant jobs:submit");
  auto params = submit_params(message.body.view().get("data"), identity_);
  if (!params) return refuse(message.request, message.id, error_code(params.error()), params.error().detail, params.error().field);
  if (calls_ >= hub_.limits_.calls_per_session_max) return too_many_calls(message);
  hub_.backend_.submit(identity_.user, std::move(params).value(), reply_to(message));
}

void Session::cancel_job(const Message& message) {
  if (!identity_.may_cancel && !identity_.admin)
    return refuse(message.request, message.id, "forbidden", "the token does not grant jobs:cancel");
  if (calls_ >= hub_.limits_.calls_per_session_max) return too_many_calls(message);
  hub_.backend_.cancel(identity_.user, cancel_params(*message.job, identity_), reply_to(message));
}

}  // namespace jobcast::plugin
