// An event finds its topic, the topic its sessions.
#include "lws-plugin/hub.h"

#include <algorithm>
#include <utility>

#include "base/invariant.h"

namespace jobcast::plugin {

Hub::Hub(HubLimits limits, Backend& backend)
    : limits_(limits),
      backend_(backend),
      message_rate_(limits.messages_per_second_max, limits.messages_burst_max),
      alive_(std::make_shared<Hub*>(this)) {}

Hub::~Hub() {
  for (Slot& slot : slots_)
    if (slot.session) close(*slot.session);
  for (const auto& [job, topic] : topics_)
    for (Waiter* waiter : topic->waiters) waiter->topic_ = nullptr;
}

Waiter::~Waiter() {
  if (topic_) (void)contained("waiter", [this] { hub_->cancel(*this); });
}

// ---- sessions

Session& Hub::add(Transport& transport, Framing framing, const Time& now) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[index];
  slot.session.reset(new Session(*this, transport, framing, {index, slot.generation}, now));
  return *slot.session;
}

Session& Hub::open(Transport& transport, const Time& now) {
  Session& session = add(transport, Framing::ws, now);
  session.connected();
  session.schedule(now);
  return session;
}

Result<Session*> Hub::open_stream(Transport& transport, const Identity& who, const Time& now) {
  const auto user = owners_.find(who.user);
  if (user != owners_.end() && user->second->sessions.size() >= limits_.sessions_per_user_max)
    return {Errc::full, "this user has " + std::to_string(limits_.sessions_per_user_max) + " connections already: close one"};
  Session& session = add(transport, Framing::sse, now);
  session.join(who);
  session.schedule(now);
  if (stale_) session.ask();  // a stream has no `connected` to tell it in
  return &session;
}

void Hub::close(Session& session) noexcept {
  session.closing_ = true;
  Slot& slot = slots_[session.ref_.index];
  const bool left = contained("close", [&] {
    schedule(session, Timers::kNever);
    session.leave();
  });
  free_slots_.push_back(session.ref_.index);  // has room: add() took one out
  ++slot.generation;
  if (left)
    slot.session.reset();
  else
    (void)slot.session.release();  // topics may still name it: better lost than used after its end
}

void Hub::fail(Session& session) noexcept {
  if (contained("fail", [&] { session.close(CloseReason::internal); })) return;
  (void)contained("fail", [&] { schedule(session, Timers::kNever); });
}

void Hub::fail_followers(const JobId& job) noexcept {
  (void)contained("fail", [&] {
    const Topic* topic = known(job);
    if (!topic) return;
    std::vector<Session*> followers;
    for (const Subscription* subscription : topic->subscriptions) followers.push_back(subscription->session);
    if (topic->owner) followers.insert(followers.end(), topic->owner->sessions.begin(), topic->owner->sessions.end());
    for (Session* session : followers) fail(*session);
  });
}

Session* Hub::find(SessionRef ref) const {
  if (ref.index >= slots_.size() || slots_[ref.index].generation != ref.generation) return nullptr;
  return slots_[ref.index].session.get();
}

void Hub::schedule(Session& session, int64_t due_ms) {
  timers_.set(&session, due_ms);
  if (ticking_ || timers_.top_due() == wake_ms_) return;
  wake_ms_ = timers_.top_due();
  backend_.wake_at(wake_ms_);
}

void Hub::tick(const Time& now) {
  ticking_ = true;  // one call to the backend for all of them
  while (timers_.top_due() <= now.mono_ms()) {
    Session& session = *timers_.top();
    guarded(session, "tick", [&] { session.tick(now); });
  }
  ticking_ = false;
  wake_ms_ = timers_.top_due();
  backend_.wake_at(wake_ms_);
}

void Hub::withdraw(uint64_t key, int64_t until_mono_ms, const Time& now) {
  for (const Slot& slot : slots_)
    if (slot.session && slot.session->identity_.key == key)
      guarded(*slot.session, "withdraw", [&] {
        slot.session->identity_.withdraw(until_mono_ms);
        slot.session->schedule(now);
      });
}

void Hub::shutdown() {
  for (Slot& slot : slots_)
    if (slot.session) guarded(*slot.session, "shutdown", [&] { slot.session->close(CloseReason::shutdown); });
}

void Hub::start_fresh() {
  fresh_ = true;
  set_stale(true);
}

void Hub::set_stale(bool stale) {
  if (stale == stale_) return;
  stale_ = stale;
  for (Slot& slot : slots_)
    if (slot.session && slot.session->stale_told_ != stale) slot.session->ask();
}

// ---- topics and owners

Owner& Hub::owner(std::string_view name) {
  const auto found = owners_.find(name);
  if (found != owners_.end()) return *found->second;
  auto made = std::make_unique<Owner>(std::string(name));
  Owner& owner = *made;
  owners_.emplace(owner.name, std::move(made));
  return owner;
}

void Hub::release(Owner* owner) {
  if (owner && owner->sessions.empty() && owner->topics_count == 0) owners_.erase(owner->name);
}

Topic* Hub::known(const JobId& job) const {
  const auto found = topics_.find(job);
  return found == topics_.end() ? nullptr : found->second.get();
}

Topic& Hub::topic(const JobId& job) {
  auto& slot = topics_[job];
  if (!slot) slot = std::make_unique<Topic>(job);
  return *slot;
}

// Precondition: nobody follows it.
void Hub::erase(Topic& topic) {
  invariant(!topic.followed());
  if (topic.idle_as != Topic::Idle::no) (topic.idle_as == Topic::Idle::terminal ? idle_terminal_ : idle_active_).erase(&topic);
  if (topic.latest) gone_rev_ = std::max(gone_rev_, topic.latest->rev);
  if (topic.arriving) std::erase(arriving_, &topic);
  if (Owner* owner = topic.owner) {
    if (topic.seq > 0) owner->topics.erase(&topic);
    --owner->topics_count;
    release(owner);
  }
  topics_.erase(JobId(topic.job));
}

void Hub::follow_changed(Topic& topic) {
  Topic::Idle wanted = Topic::Idle::no;
  if (!topic.followed()) wanted = topic.latest && topic.latest->terminal() ? Topic::Idle::terminal : Topic::Idle::active;
  if (wanted == Topic::Idle::no && topic.idle_as == Topic::Idle::no) return;
  if (topic.idle_as != Topic::Idle::no) (topic.idle_as == Topic::Idle::terminal ? idle_terminal_ : idle_active_).erase(&topic);
  if (wanted != Topic::Idle::no) (wanted == Topic::Idle::terminal ? idle_terminal_ : idle_active_).push_back(&topic);
  topic.idle_as = wanted;
  if (wanted != Topic::Idle::no && !topic.latest) erase(topic);  // nobody waits for it any more
}

void Hub::evict() {
  while (topics_.size() > limits_.topics_max && !resyncing_) {
    Topic* oldest = idle_terminal_.empty() ? idle_active_.front() : idle_terminal_.front();
    if (!oldest) return;  // all are followed: bounded by the sessions' own limits
    erase(*oldest);
    ++stats_.topics_evicted;
  }
}

SnapshotRef Hub::find(const JobId& job) const {
  const Topic* topic = known(job);
  return topic ? topic->latest : nullptr;
}

// ---- events

// False: not newer than what is known, or not to be believed (a job has one owner).
bool Hub::store(Topic& topic, const Event& event) {
  if (topic.latest && (event.rev <= topic.latest->rev || event.owner != topic.latest->owner)) return false;
  topic.latest = snapshot(event);
  saw(event.rev);
  ++stats_.events;
  if (!topic.owner) {
    topic.owner = &owner(event.owner);
    ++topic.owner->topics_count;
  }
  return true;
}

void Hub::publish(const Event& event, const Time& now) {
  Topic& at = topic(event.job);
  at.resync = resync_;
  const bool first = !at.latest;
  const bool newer = store(at, event);
  const bool announced = at.seq > 0 || at.arriving;
  if (!newer && (announced || event.rev != at.latest->rev)) return;
  if (newer) {
    const bool terminal = at.latest->terminal();
    for (Subscription* subscription : at.subscriptions) subscription->session->mark(*subscription, terminal, now);
    wake_waiters(at);
  }
  // A job that the state table shows and that is older than something dropped here: most likely it was announced before.
  if (resyncing_ && !announced && (first || !newer) && event.rev <= gone_rev_)
    doubtful_ = true;
  else if (resyncing_ && fresh_)
    arrive(at, false, now);
  else
    announce(at, event.list_changed, !announced, now);
  follow_changed(at);
  evict();
}

// Tells the owner's rooms and streams.
void Hub::announce(Topic& at, bool list_changed, bool first, const Time& now) {
  Owner& owner = *at.owner;
  const bool terminal = at.latest->terminal();
  if (list_changed) {
    owner.list_latest = at.latest;
    for (Session* session : owner.sessions)
      if (session->room_) session->mark_list();
  }
  if (terminal) {
    for (Session* session : owner.sessions)
      if (session->room_) session->room_terminal(at);
  }
  arrive(at, terminal || first, now);
}

// Puts the topic at the end of its owner's list; during a resync that is done at its end, in the order of revs.
void Hub::arrive(Topic& at, bool urgent, const Time& now) {
  if (resyncing_) {
    if (!at.arriving) arriving_.push_back(&at);
    at.arriving = true;
    return;
  }
  if (at.seq > 0) at.owner->topics.erase(&at);
  at.seq = ++seq_;
  at.order = order_ = std::max(order_, at.latest->rev);
  at.owner->topics.push_back(&at);
  for (Session* session : at.owner->sessions)
    if (session->follows_user_) session->mark_stream(urgent, now);
}

void Hub::fetch(const JobId& job, Awaiting awaiting) {
  auto& waiting = fetching_[job];
  waiting.push_back(std::move(awaiting));
  if (waiting.size() > 1) return;
  const Session* first = find(waiting.front().session);
  backend_.fetch(first ? first->identity_.user : std::string_view(), job);
}

void Hub::fetched(const JobId& job, const Result<Event>& result, const Time& now) {
  std::vector<Awaiting> waiting;
  if (const auto found = fetching_.find(job); found != fetching_.end()) {
    waiting = std::move(found->second);
    fetching_.erase(found);
  }
  if (result.ok() && result->job == job) {
    const Topic* before = known(job);
    if (before && before->latest) {
      if (result->rev > before->latest->rev) publish(*result, now);  // a change that the lane did not bring
    } else {
      // Its rooms are not told: the change is an old one, or the lane is about to bring it.
      Topic& at = topic(job);
      if (store(at, *result)) {
        for (Subscription* subscription : at.subscriptions) subscription->session->mark(*subscription, at.latest->terminal(), now);
        wake_waiters(at);
      }
      follow_changed(at);
    }
  } else if (!result.ok() && result.error().code == Errc::not_found) {
    forget(job);
  }
  const Error* why = result.ok() ? nullptr : &result.error();
  // That the first one's user has too many calls is nothing to the others: the next one's turn is asked for.
  const bool again = why && why->code == Errc::full;
  for (const Awaiting& one : waiting) {
    Session* session = find(one.session);
    if (!session) continue;
    if (again && &one != &waiting.front()) {
      fetch(job, one);
      continue;
    }
    --session->calls_;
    guarded(*session, "subscribe", [&] { session->subscribe_known(job, one.rev, one.min_interval_ms, one.id, why); });
  }
  evict();
}

void Hub::forget(const JobId& job) {
  Topic* gone = known(job);
  if (!gone) return;
  wake_waiters(*gone);
  while (!gone->subscriptions.empty()) {
    Subscription& subscription = *gone->subscriptions.back();
    Session& session = *subscription.session;
    const bool asked_for = !subscription.room_only;
    if (gone->latest && gone->latest->rev > subscription.sent_rev) session.answers_ += gone->latest->frame(session.framing_);
    session.unsubscribe(subscription);
    if (asked_for) session.answer("unsubscribed", "{\"job_id\":\"" + job.text() + "\"}");
    gone = known(job);
    if (!gone) return;  // nobody followed it any more and nothing was known of it
  }
  erase(*gone);
}

void Hub::begin_anew() {
  for (Slot& slot : slots_)
    if (slot.session) slot.session->forget_revs();
  std::vector<Topic*> idle;
  for (const auto& [job, topic] : topics_) {
    wake_waiters(*topic);
    if (Owner* owner = std::exchange(topic->owner, nullptr)) {
      if (topic->seq > 0) owner->topics.erase(topic.get());
      --owner->topics_count;
      release(owner);
    }
    topic->latest = nullptr;
    topic->seq = topic->order = 0;
    topic->arriving = false;
    if (!topic->followed()) idle.push_back(topic.get());
  }
  for (Topic* topic : idle) erase(*topic);
  for (const auto& [name, owner] : owners_) owner->list_latest = nullptr;
  arriving_.clear();
  order_ = gone_rev_ = newest_rev_ = 0;
  doubtful_ = true;  // the end of the resync that follows tells everybody to fetch their list
}

void Hub::begin_resync() {
  resyncing_ = true;
  ++resync_;
}

void Hub::still_there(const JobId& job) {
  if (Topic* topic = known(job)) topic->resync = resync_;
}

std::vector<JobId> Hub::end_resync(bool complete, const Time& now) {
  resyncing_ = false;
  std::sort(arriving_.begin(), arriving_.end(), [](const Topic* a, const Topic* b) { return a->latest->rev < b->latest->rev; });
  for (Topic* topic : std::exchange(arriving_, {})) {
    topic->arriving = false;
    arrive(*topic, true, now);
  }
  std::vector<JobId> unseen;
  std::vector<Topic*> outdated;
  for (const auto& [job, topic] : topics_) {
    if (topic->resync == resync_) continue;
    if (complete && topic->latest && topic->latest->terminal()) continue;  // an ended job gives its slot up only when there is no other
    if (topic->followed())
      unseen.push_back(job);
    else
      outdated.push_back(topic.get());
  }
  for (Topic* topic : outdated) erase(*topic);
  if (std::exchange(doubtful_, false) || !complete) {
    gone_rev_ = std::max(gone_rev_, order_);
    for (const Slot& slot : slots_)
      if (slot.session) slot.session->list_unknown();
  }
  if (std::exchange(fresh_, false))
    for (const Slot& slot : slots_)
      if (slot.session) guarded(*slot.session, "first_resync", [&] { slot.session->begin_with_what_is_known(); });
  evict();
  return unseen;
}

// ---- waiters

bool Hub::wait(Waiter& waiter, const JobId& job, uint64_t seen_rev) {
  cancel(waiter);
  Topic& at = topic(job);
  if (at.latest && at.latest->rev != seen_rev) return false;
  waiter.topic_ = &at;
  waiter.hub_ = this;
  waiter.index_ = static_cast<uint32_t>(at.waiters.size());
  at.waiters.push_back(&waiter);
  ++stats_.waiters;
  follow_changed(at);
  return true;
}

void Hub::cancel(Waiter& waiter) {
  if (!waiter.topic_) return;
  Topic& at = *std::exchange(waiter.topic_, nullptr);
  at.waiters[waiter.index_] = at.waiters.back();
  at.waiters[waiter.index_]->index_ = waiter.index_;
  at.waiters.pop_back();
  --stats_.waiters;
  follow_changed(at);
}

void Hub::wake_waiters(Topic& at) {
  for (Waiter* waiter : std::exchange(at.waiters, {})) {
    waiter->topic_ = nullptr;
    --stats_.waiters;
    waiter->job_changed();
  }
}

const Hub::Stats& Hub::stats() const {
  stats_.sessions = slots_.size() - free_slots_.size();
  stats_.topics = topics_.size();
  stats_.authenticated = 0;
  stats_.users = 0;
  for (const auto& [name, owner] : owners_) {
    stats_.authenticated += owner->sessions.size();
    stats_.users += !owner->sessions.empty();
  }
  return stats_;
}

}  // namespace jobcast::plugin
