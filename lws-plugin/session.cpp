// Marks, writes and timers of one client.
#include "lws-plugin/session.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "lws-plugin/hub.h"

namespace jobcast::plugin {
const char* name(CloseReason reason) {
  switch (reason) {
    case CloseReason::shutdown: return "shutdown";
    case CloseReason::auth_timeout: return "auth_timeout";
    case CloseReason::expired: return "expired";
    case CloseReason::slow: return "slow";
    case CloseReason::rate: return "rate";
    case CloseReason::internal: return "internal";
  }
  return "";
}

uint16_t ws_close_code(CloseReason reason) {
  switch (reason) {
    case CloseReason::shutdown: return 1001;
    case CloseReason::auth_timeout:
    case CloseReason::expired: return 4401;
    case CloseReason::slow: return 4508;
    case CloseReason::rate: return 4529;
    case CloseReason::internal: return 1011;
  }
  return 1011;
}

Session::Session(Hub& hub, Transport& transport, Framing framing, SessionRef ref, const Time& now)
    : hub_(hub),
      transport_(transport),
      auth_deadline_ms_(now.mono_ms() + hub.limits_.auth_timeout_ms),
      ref_(ref),
      framing_(framing),
      stale_told_(framing == Framing::ws && hub.stale_) {
  random_bytes(&id_, sizeof id_);
}

Session::~Session() {
  if (turn_) hub_.backend_.forget_turn(turn_);
}

std::string Session::id() const {
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[id_ >> shift & 15];
  return text;
}

// ---- rooms

void Session::join(Identity identity) {
  identity_ = std::move(identity);
  warned_ = false;
  if (owner_) return;
  owner_ = &hub_.owner(identity_.user);
  owner_index_ = static_cast<uint32_t>(owner_->sessions.size());
  owner_->sessions.push_back(this);
  room_ = framing_ == Framing::ws;
}

void Session::leave() {
  while (Subscription* subscription = subscriptions_.front()) unsubscribe(*subscription);
  list_pending_ = ListPending::none;
  room_ = follows_user_ = stream_pending_ = false;
  stream_due_ms_ = kNever;
  gap_rev_ = 0;
  told_ = {};
  resume_rev_ = 0;
  Owner* owner = std::exchange(owner_, nullptr);
  if (!owner) return;
  owner->sessions[owner_index_] = owner->sessions.back();
  owner->sessions[owner_index_]->owner_index_ = owner_index_;
  owner->sessions.pop_back();
  hub_.release(owner);
}

void Session::close(CloseReason reason) {
  if (closing_) return;
  closing_ = true;
  hub_.schedule(*this, kNever);
  hub_.stats_.closed_slow += reason == CloseReason::slow;
  hub_.stats_.closed_rate += reason == CloseReason::rate;
  hub_.stats_.closed_auth_timeout += reason == CloseReason::auth_timeout;
  transport_.close_session(reason);
  leave();
}

bool Session::may_follow(const Topic& topic) const {
  return owner_->followed.size() < hub_.limits_.followed_per_user_max || owner_->followed.contains(&topic);
}

Subscription* Session::subscription_to(const Topic& topic) const {
  if (topic.subscriptions.size() < subscriptions_count_ + room_only_count_) {
    for (Subscription* subscription : topic.subscriptions)
      if (subscription->session == this) return subscription;
    return nullptr;
  }
  Subscription* subscription = subscriptions_.front();
  while (subscription && subscription->topic != &topic) subscription = Subscriptions::next(subscription);
  return subscription;
}

Subscription& Session::subscribe(Topic& topic, uint64_t seen_rev, uint32_t min_interval_ms, bool room_only) {
  auto made = std::make_unique<Subscription>();
  made->topic = &topic;
  made->session = this;
  made->sent_rev = seen_rev = hub_.knows_rev(seen_rev) ? seen_rev : 0;  // what cannot be resumed is told in full
  made->min_interval_ms = min_interval_ms;
  made->room_only = room_only;
  made->index = static_cast<uint32_t>(topic.subscriptions.size());
  topic.subscriptions.push_back(made.get());
  subscriptions_.push_back(made.get());
  ++owner_->followed[&topic];
  room_only ? ++room_only_count_ : ++subscriptions_count_;
  hub_.stats_.subscriptions += !room_only;
  hub_.follow_changed(topic);
  Subscription& subscription = *made.release();  // the lists own it; unsubscribe() takes it back
  if (topic.latest && topic.latest->rev > seen_rev) {
    subscription.mark = Subscription::Mark::dirty;
    dirty_.push_back(&subscription);
    ask();
  }
  return subscription;
}

void Session::unsubscribe(Subscription& subscription) {
  const std::unique_ptr<Subscription> ended(&subscription);
  Topic& topic = *subscription.topic;
  topic.subscriptions[subscription.index] = topic.subscriptions.back();
  topic.subscriptions[subscription.index]->index = subscription.index;
  topic.subscriptions.pop_back();
  subscriptions_.erase(&subscription);
  if (const auto followed = owner_->followed.find(&topic); --followed->second == 0) owner_->followed.erase(followed);
  if (subscription.mark != Subscription::Mark::none) (subscription.mark == Subscription::Mark::dirty ? dirty_ : held_).erase(&subscription);
  subscription.room_only ? --room_only_count_ : --subscriptions_count_;
  hub_.stats_.subscriptions -= !subscription.room_only;
  hub_.follow_changed(topic);
}

void Session::room_terminal(Topic& topic) {
  if (subscription_to(topic)) return;
  if (room_only_count_ < hub_.limits_.subscriptions_per_session_max && may_follow(topic))
    subscribe(topic, 0, 0, true);
  else
    list_pending_ = ListPending::many;  // a client that does not read: it will be told to fetch the list
}

// What the user's room was told after `seen_rev`, as far as it is known; else that the list must be fetched.
void Session::resume_room(uint64_t seen_rev) {
  if (hub_.fresh_) return void(resume_rev_ = seen_rev);
  if (!hub_.knows_rev(seen_rev)) return list_unknown();
  if (seen_rev < hub_.gone_rev_ || (owner_->list_latest && owner_->list_latest->rev > seen_rev)) list_pending_ = ListPending::many;
  for (Topic* topic = owner_->topics.back(); topic && topic->arrived_after(seen_rev); topic = decltype(owner_->topics)::prev(topic))
    if (topic->latest->terminal()) room_terminal(*topic);
  if (pending()) ask();
}

void Session::begin_with_what_is_known() {
  if (!owner_) return;
  const uint64_t seen_rev = std::exchange(resume_rev_, 0);
  if (follows_user_) {  // what just arrived came before, not now
    stream_seq_ = hub_.seq_;
    stream_pending_ = false;
    stream_due_ms_ = kNever;
  }
  if (seen_rev == 0) return list_unknown();
  follows_user_ ? follow_user(seen_rev) : resume_room(seen_rev);
}

void Session::follow_job(const JobId& job, uint64_t seen_rev) { subscribe(hub_.topic(job), seen_rev, 0, false); }

void Session::follow_user(uint64_t seen_rev) {
  follows_user_ = true;
  stream_seq_ = hub_.seq_;
  if (seen_rev == 0) return;
  if (hub_.fresh_) return void(resume_rev_ = seen_rev);
  if (seen_rev < hub_.gone_rev_ || !hub_.knows_rev(seen_rev)) return list_unknown();
  for (Topic* topic = owner_->topics.back(); topic && topic->arrived_after(seen_rev); topic = decltype(owner_->topics)::prev(topic)) {
    stream_seq_ = topic->seq - 1;
    stream_pending_ = true;
  }
  if (stream_pending_) ask();
}

// ---- marks

void Session::ask() {
  if (asked_ || closing_) return;
  asked_ = true;
  transport_.request_writable();
}

void Session::mark(Subscription& subscription, bool terminal, const Time& now) {
  using Mark = Subscription::Mark;
  hub_.stats_.conflated += subscription.mark != Mark::none;
  if (subscription.mark == Mark::dirty || (subscription.mark == Mark::held && !terminal)) return;
  if (subscription.mark == Mark::held) {
    held_.erase(&subscription);
  } else if (!terminal && now.mono_ms() < subscription.due_ms) {
    subscription.mark = Mark::held;
    held_.push_back(&subscription);
    if (subscription.due_ms < due_ms_) hub_.schedule(*this, subscription.due_ms);
    return;
  }
  subscription.mark = Mark::dirty;
  dirty_.push_back(&subscription);
  ask();
}

void Session::mark_list() {
  list_pending_ = list_pending_ == ListPending::none ? ListPending::one : ListPending::many;
  ask();
}

void Session::forget_revs() {
  told_ = {};
  for (Subscription* subscription = subscriptions_.front(); subscription;) {
    Subscription& at = *subscription;
    subscription = Subscriptions::next(subscription);
    if (at.mark != Subscription::Mark::none) (at.mark == Subscription::Mark::dirty ? dirty_ : held_).erase(&at);
    at.mark = Subscription::Mark::none;
    at.sent_rev = 0;
    if (at.room_only) unsubscribe(at);
  }
  list_pending_ = ListPending::none;
  gap_rev_ = 0;
  stream_pending_ = false;
  stream_due_ms_ = kNever;
}

void Session::list_unknown() {
  if (room_) list_pending_ = ListPending::many;
  if (follows_user_) gap_rev_ = std::max(hub_.order_, uint64_t{1});  // 0 stands for none
  if (pending()) ask();
}

void Session::mark_stream(bool urgent, const Time& now) {
  if (stream_pending_) return;
  if (!urgent && now.mono_ms() < stream_floor_ms_) {
    if (stream_due_ms_ == kNever) {
      stream_due_ms_ = stream_floor_ms_;
      if (stream_due_ms_ < due_ms_) hub_.schedule(*this, stream_due_ms_);
    }
    return;
  }
  stream_pending_ = true;
  stream_due_ms_ = kNever;
  ask();
}

// ---- frames

bool Session::pending() const {
  return !answers_.empty() || stale_told_ != hub_.stale_ || list_pending_ != ListPending::none || gap_rev_ > 0 || stream_pending_ ||
         !dirty_.empty();
}

void Session::answer(std::string_view event, std::string_view data, std::string_view id) {
  if (closing_) return;
  append_event(answers_, framing_, event, data, id);
  if (answers_.size() > hub_.limits_.answers_bytes_max) return close(CloseReason::slow);
  ask();
}

bool Session::collect(std::string& out, size_t bytes_max, const Time& now) {
  if (expired(now)) expire(now);
  if (stale_told_ != hub_.stale_ && !closing_) {
    stale_told_ = hub_.stale_;
    append_event(answers_, framing_, "engine", stale_told_ ? R"({"stale":true})" : R"({"stale":false})");
  }
  Room room{out, out.size(), out.size() + bytes_max};
  asked_ = !(collect_answers(room) && (closing_ || (collect_list(room) && collect_stream(room, now) && collect_subscriptions(room, now))));
  return asked_;
}

// Each of these appends what it has; false: there was no room for all of it.

bool Session::collect_answers(Room& room) {
  size_t taken = 0;
  while (taken < answers_.size()) {
    const size_t frame = first_frame_bytes(framing_, std::string_view(answers_).substr(taken));
    if (taken > 0 && room.start + taken + frame > room.end) break;
    taken += frame;
  }
  room.out.append(answers_, 0, taken);
  if (taken < answers_.size()) {
    answers_.erase(0, taken);
    return false;
  }
  if (taken > 0) std::string().swap(answers_);  // an idle session keeps no buffer
  return true;
}

bool Session::collect_list(Room& room) {
  if (list_pending_ == ListPending::none && gap_rev_ == 0) return true;
  if (list_pending_ == ListPending::one) {
    if (!room.add(owner_->list_latest->list_frame(framing_))) return false;
  } else {
    const uint64_t rev = gap_rev_ ? gap_rev_ : hub_.order_;
    std::string frame;
    append_event(frame, framing_, "job_list_update", "{\"rev\":" + std::to_string(rev) + ",\"job\":null}", {}, rev);
    if (!room.add(frame)) return false;
  }
  list_pending_ = ListPending::none;
  gap_rev_ = 0;
  ++hub_.stats_.deliveries;
  return true;
}

bool Session::collect_stream(Room& room, const Time& now) {
  if (!stream_pending_) return true;
  using Topics = decltype(owner_->topics);
  const Topic* next = nullptr;
  for (const Topic* topic = owner_->topics.back(); topic && topic->seq > stream_seq_; topic = Topics::prev(topic)) next = topic;
  for (; next; next = Topics::next(next)) {
    if (!room.add(next->latest->frame(framing_))) return false;
    stream_seq_ = next->seq;
    ++hub_.stats_.deliveries;
  }
  stream_pending_ = false;
  stream_floor_ms_ = now.mono_ms() + hub_.limits_.min_interval_ms;
  return true;
}

bool Session::collect_subscriptions(Room& room, const Time& now) {
  while (Subscription* subscription = dirty_.front()) {
    const Snapshot& snapshot = *subscription->topic->latest;
    const bool wanted = snapshot.rev > subscription->sent_rev && (!subscription->room_only || snapshot.terminal());
    if (wanted && !room.add(snapshot.frame(framing_))) return false;
    dirty_.erase(subscription);
    subscription->mark = Subscription::Mark::none;
    if (wanted) {
      ++hub_.stats_.deliveries;
      subscription->sent_rev = snapshot.rev;
      subscription->due_ms = now.mono_ms() + std::max<int64_t>(subscription->min_interval_ms, hub_.limits_.min_interval_ms);
      if (subscription->room_only) told_[told_next_++ % told_.size()] = snapshot.rev;
    }
    if (subscription->room_only) unsubscribe(*subscription);
  }
  return true;
}

// ---- time

void Session::expire(const Time& now) {
  ++hub_.stats_.expired;
  leave();
  if (identity_.key_withdrawn)
    auth_error("token_revoked", "the key that signed the token was withdrawn: authenticate with a new token");
  else
    auth_error("token_expired", "the token has expired: authenticate with a new one");
  if (framing_ == Framing::sse) return close(CloseReason::expired);
  auth_deadline_ms_ = now.mono_ms() + hub_.limits_.auth_timeout_ms;
  schedule(now);
}

void Session::tick(const Time& now) {
  if (!owner_ && now.mono_ms() >= auth_deadline_ms_) return close(CloseReason::auth_timeout);
  if (expired(now)) return expire(now);
  const int64_t left_ms = identity_.ends_mono_ms - now.mono_ms();
  if (owner_ && !warned_ && left_ms <= hub_.limits_.expiry_warning_s * 1000) {
    warned_ = true;
    answer("auth_expiring", expiry_json(now).dump());
  }
  for (Subscription* subscription = held_.front(); subscription;) {
    Subscription* const next = Marked::next(subscription);
    if (subscription->due_ms <= now.mono_ms()) {
      held_.erase(subscription);
      dirty_.push_back(subscription);
      subscription->mark = Subscription::Mark::dirty;
    }
    subscription = next;
  }
  if (stream_due_ms_ <= now.mono_ms()) {
    stream_due_ms_ = kNever;
    stream_pending_ = true;
  }
  if (pending()) ask();
  schedule(now);
}

Json Session::expiry_json(const Time& now) const {
  Json json = Json::object();
  json.set("expires_at", iso8601(identity_.expires_unix_s * 1000));
  json.set("expires_in_ms", std::max<int64_t>(identity_.ends_mono_ms - now.mono_ms(), 0));
  return json;
}

void Session::schedule(const Time& now) {
  if (closing_) return;
  const int64_t mono = now.mono_ms();
  int64_t due = auth_deadline_ms_;
  if (owner_) {
    const int64_t left_ms = identity_.ends_mono_ms - now.mono_ms();
    due = mono + (warned_ ? left_ms : left_ms - hub_.limits_.expiry_warning_s * 1000);
    due = std::min(due, stream_due_ms_);
    for (const Subscription* subscription = held_.front(); subscription; subscription = Marked::next(subscription))
      due = std::min(due, subscription->due_ms);
  }
  hub_.schedule(*this, std::max(due, mono + 1));
}

}  // namespace jobcast::plugin
