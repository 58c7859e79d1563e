// A turn: what happened is applied, written, and then shown.
#include "engine/engine.h"

#include <malloc.h>

#include <algorithm>

#include "base/invariant.h"
#include "base/log.h"
#include "engine/job_output.h"
#include "engine/proc.h"
#include "engine/snapshot.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kRewriteMs = 1000;        // after a failed write
constexpr int64_t kStoreProgressMs = 1000;  // of one job, at most so often
constexpr int64_t kRefreshWaitingMs = 1000;
constexpr size_t kRefreshMax = 32;  // places at the head of each queue that are kept current
constexpr size_t kDueMax = 256;     // a turn
constexpr int64_t kRetainSoonMs = 60'000, kRetainIdleMs = 3'600'000;
constexpr int64_t kClockSetMs = 3'600'000;  // a clock that is corrected by less makes no age wrong that matters
constexpr int64_t kDueTimerMsMax = 60'000;  // the wall clock may be set meanwhile

}  // namespace

Engine::Engine(Loop& loop, const Config& config, Store& store, Publisher& publisher)
    : loop_(loop),
      config_(config),
      store_(store),
      publisher_(publisher),
      launcher_(std::make_unique<Launcher>(loop, *this, config.state_dir + "/logs", config.progress_interval_ms)),
      scheduler_(config.queues),
      journal_(config.socket + ".progress"),
      next_fence_((uint64_t{publisher.revisions().boot()} << 32) + 1) {}

Engine::~Engine() = default;

Engine::Live* Engine::find(const JobId& id) {
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : found->second.get();
}

Engine::Live& Engine::add(Job job) {
  auto live = std::make_unique<Live>();
  live->job = std::move(job);
  args_bytes_ += live->job.args_json.size();
  Held& held = held_of_[live->job.owner];
  ++held.jobs;
  held.args_bytes += live->job.args_json.size();
  Live& added = *live;
  live_[added.job.id] = std::move(live);
  return added;
}

void Engine::remove(const Live& live) {
  args_bytes_ -= live.job.args_json.size();
  const auto held = held_of_.find(live.job.owner);
  held->second.args_bytes -= live.job.args_json.size();
  if (--held->second.jobs == 0) held_of_.erase(held);
  live_.erase(JobId(live.job.id));
}

std::string Engine::encode(const Job& job) const { return encode_snapshot(job, scheduler_.why_waiting(job.id)); }

void Engine::must(Live& live, On event, const Facts& facts) { invariant(apply(live.job, event, facts).ok()); }

Facts Engine::facts(const Live& live, Reason reason) {
  Facts facts;
  facts.now = loop_.now();
  facts.reason = reason;
  facts.fence = live.job.fence;
  if (const auto kind = config_.kinds.find(live.job.kind); kind != config_.kinds.end())
    facts.retry_at_ms = facts.now.unix_ms + backoff_ms(kind->second, live.job.attempt, std::uniform_real_distribution<>()(random_));
  return facts;
}

// The job was changed: number it, write it, and show it once it is written.
void Engine::commit(Live& live, Done<std::string> answer) {
  Job& job = live.job;
  job.rev = publisher_.revisions().reserve();
  scheduler_.note(job);
  may_start_ = waiting_changed_ = true;
  ++live.in_flight;
  if (answer) live.answers.emplace_back(job.rev, std::move(answer));
  const bool queued_again = live.put_back && job.state == JobState::queued;
  store_.update(
      job, queued_again ? live.put_back : live.gate,
      [this, change = Change{job.id, job.rev, job.fence, job.state, encode(job)}](const Result<void>& done) { committed(change, done); });
}

void Engine::committed(const Change& change, const Result<void>& done) {
  publisher_.revisions().settle(change.rev);
  Live* const found = find(change.id);
  invariant(found != nullptr);
  Live& live = *found;
  --live.in_flight;
  if (!done) {
    not_written(live, done.error());
    return publish_held();
  }
  if (std::exchange(live.unwritten, false)) --unwritten_;
  live.revived = false;
  live.snapshot = change.snapshot;
  publisher_.publish({change.id, change.rev, change.state, true, live.job.owner, live.snapshot});
  // Only the change that holds its proof opens the gate: an older one, of the job's return to its queue, may be answered meanwhile.
  if (live.gate && change.state == JobState::running && change.fence == live.gate->fence) {
    live.gate.reset();
    launcher_->release(change.id);
  }
  for (size_t i = 0; i < live.answers.size();) {
    if (live.answers[i].first > change.rev) {
      ++i;
      continue;
    }
    const auto answer = std::move(live.answers[i].second);
    live.answers.erase(live.answers.begin() + static_cast<std::ptrdiff_t>(i));
    answer(live.snapshot);
  }
  if (is_terminal(change.state)) count_end(change.state);
  if (change.state != JobState::running) journal_.drop(change.id);
  if (live.in_flight == 0) {
    if (is_terminal(live.job.state)) {
      remove(live);
    } else if (live.held) {
      publish_now(live);
    }
  }
  publish_held();
}

// Nobody saw the change. It is numbered and written anew until the disk takes it, unless a later one has carried it along.
void Engine::not_written(Live& live, const Error& why) {
  if (!live.unwritten) log::error("store_failed", {{"job", live.job.id.text()}, {"error", why.detail}});  // once, however long it lasts
  for (auto& [rev, answer] : std::exchange(live.answers, {}))
    answer(why.code == Errc::retry ? why : Error{Errc::internal, "the change could not be stored; the engine's log says why"});
  if (live.in_flight > 0) return;
  if (!live.revived) {
    if (!std::exchange(live.unwritten, true)) ++unwritten_;
    if (live.gate) hold_starts(why.detail);  // what waits at its gate is enough
    loop_.after_ms(kRewriteMs, [this, id = live.job.id] {
      Live* again = find(id);
      if (again && again->in_flight == 0) commit(*again);
    });
    return;
  }
  // Brought back by a retry that the disk refused: it stays over, as the disk has it.
  if (live.gate && launcher_) launcher_->abandon(live.job.id);
  live.job.state = JobState::failed;
  scheduler_.note(live.job);
  remove(live);
}

void Engine::count_end(JobState state) {
  if (state == JobState::completed) ++totals_.completed;
  if (state == JobState::failed) ++totals_.failed;
  if (state == JobState::cancelled) ++totals_.cancelled;
  set_retain_timer(kRetainSoonMs);
}

// Shows what needs no commit: progress, and a waiting job's place. After a crash the job is shown anew with a greater boot.
void Engine::publish_now(Live& live) {
  live.held = true;
  if (live.in_flight > 0) return;  // committed() comes back to it, so that this job's changes stay in order
  const auto rev = publisher_.revisions().next();
  if (!rev) {
    held_.push_back(live.job.id);
    return;
  }
  live.held = false;
  if (live.job.state == JobState::running) journal_.put(live.job);  // first, so that what is shown is there
  live.job.rev = *rev;
  live.snapshot = encode(live.job);
  publisher_.publish({live.job.id, *rev, live.job.state, false, live.job.owner, live.snapshot});
}

void Engine::publish_held() {
  for (const JobId& id : std::exchange(held_, {}))
    if (Live* live = find(id); live && live->held) publish_now(*live);
}

void Engine::adopt(Loaded loaded) {
  std::sort(loaded.finished.begin(), loaded.finished.end(), [](const Job& a, const Job& b) { return a.rev < b.rev; });
  for (const Job& job : loaded.finished) {
    const std::string snapshot = encode(job);
    publisher_.publish({job.id, job.rev, job.state, true, job.owner, snapshot});
  }
  std::unordered_map<JobId, uint64_t> orphans;
  const auto queued_again = take_put_back(loaded);
  for (const Attempt& attempt : loaded.attempts) orphans[attempt.job] = attempt.fence;
  journal_.drop_all_but(orphans);
  launcher_->resolve_orphans(std::move(loaded.attempts));
  // What runs takes its slot in the state table first: there may be more jobs than slots.
  std::stable_partition(loaded.live.begin(), loaded.live.end(), [](const Job& job) { return job.state == JobState::running; });
  std::vector<JobId> lost;
  for (Job& job : loaded.live) {
    if (job.state == JobState::retrying) job.due_mono_ms = loop_.now().mono_ms() + backoff_left_ms(job);
    Live& live = add(std::move(job));
    scheduler_.note(live.job);
    if (live.job.state == JobState::running) journal_.restore(live.job);
    publish_now(live);  // with a rev of this boot: what is unknown to the disk may have been shown under an older one
    if (live.job.state != JobState::running) continue;
    live.orphan = true;
    const auto orphan = orphans.find(live.job.id);
    if (orphan == orphans.end() || orphan->second != live.job.fence) lost.push_back(live.job.id);
  }
  for (const JobId& id : lost) {
    Attempt unproven;  // nothing of it ever ran, or the disk would know
    unproven.job = id;
    unproven.fence = find(id)->job.fence;
    on_orphan_gone(unproven);
  }
  for (const Attempt& attempt : queued_again) booted(attempt);
  publisher_.flush();
  set_retain_timer(0);
}

void Engine::on_progress(const JobId& id, uint64_t fence, const Progress& raw) {
  Live* live = find(id);
  if (!live || live->job.state != JobState::running || live->job.fence != fence) return;
  if (!live->meter.merge(live->job.progress, raw, loop_.now())) return;
  ++totals_.progress_published;
  publish_now(*live);
  if (std::exchange(live->progress_unstored, true)) return;
  unstored_.push_back(id);
  if (progress_timer_ == 0) progress_timer_ = loop_.after_ms(kStoreProgressMs, [this] { store_progress(); });
}

void Engine::store_progress() {
  progress_timer_ = 0;
  for (const JobId& id : std::exchange(unstored_, {})) {
    Live* live = find(id);
    if (!live) continue;
    live->progress_unstored = false;
    if (live->job.state == JobState::running) store_.update_progress(live->job);
  }
}

void Engine::on_cancel_acknowledged(const JobId& id, uint64_t fence) {
  Live* live = find(id);
  if (!live || live->job.state != JobState::running || live->job.fence != fence) return;
  if (!live->job.cancel || live->job.cancel->acknowledged_ms) return;
  live->job.cancel->acknowledged_ms = loop_.now().unix_ms;
  commit(*live);
}

void Engine::on_finished(const JobId& id, uint64_t fence, const Outcome& outcome) {
  Live* live = find(id);
  if (!live || live->job.state != JobState::running || live->job.fence != fence) return;
  Facts ended = facts(*live, outcome.reason);
  ended.exit_code = outcome.exit_code;
  ended.error = outcome.error;
  ended.result_json = outcome.result_json;
  const bool not_begun = outcome.lack && !outcome.success;
  if (not_begun) hold_starts(outcome.error);
  if (stopping_ && !outcome.success) return put_back(*live, ended, !not_begun);
  must(*live, outcome.success ? On::succeed : not_begun ? On::drain : On::fail, ended);
  commit(*live);
}

void Engine::on_orphan_gone(const Attempt& attempt) {
  Live* live = find(attempt.job);
  if (!live || live->job.state != JobState::running || live->job.fence != attempt.fence) return;
  const bool of_this_boot = attempt.boot_id.empty() || attempt.boot_id == boot_id();
  Facts lost = facts(*live, of_this_boot ? Reason::worker_lost : Reason::rebooted);
  lost.error = of_this_boot ? "the engine died while this attempt ran, and its process was ended"
                            : "the machine went down while this attempt ran, and nobody had stopped the engine";
  must(*live, On::lose_worker, lost);
  live->orphan = false;
  ++totals_.worker_lost;
  commit(*live);
}

void Engine::end_turn() {
  publisher_.flush();  // what is published does not wait for the forks below
  start_ready();
  set_due_timer();
  if (waiting_changed_ && waiting_timer_ == 0) waiting_timer_ = loop_.after_ms(kRefreshWaitingMs, [this] { refresh_waiting(); });
  if (publisher_.revisions().wants_boot()) count_boot();
  publisher_.flush();
  check_stopped();
}

void Engine::set_due_timer() {
  const auto next = scheduler_.next_due();
  if (next == due_) return;
  due_ = next;
  loop_.cancel(std::exchange(due_timer_, 0));
  if (!next.unix_ms && !next.mono_ms) return;
  const Time now = loop_.now();
  int64_t wait_ms = kDueTimerMsMax;
  if (next.unix_ms) wait_ms = std::min(wait_ms, *next.unix_ms - now.unix_ms);
  if (next.mono_ms) wait_ms = std::min(wait_ms, *next.mono_ms - now.mono_ms());
  due_timer_ = loop_.after_ms(std::max<int64_t>(wait_ms, 0), [this] { make_due(); });
}

void Engine::make_due() {
  due_timer_ = 0;
  due_ = {};  // so that the next end of a turn sets the timer anew
  for (const JobId& id : scheduler_.due(loop_.now(), kDueMax)) {
    Live& live = *find(id);
    must(live, On::due, facts(live));
    commit(live);
  }
}

// What is left of a backoff that an earlier engine began. It is stored as a time of day; whatever became of the clock since, no backoff
// waits longer than the longest of its kind.
int64_t Engine::backoff_left_ms(const Job& job) const {
  const auto kind = config_.kinds.find(job.kind);
  const int64_t longest_ms = kind == config_.kinds.end() ? 0 : backoff_ms(kind->second, job.attempt, 1);
  return std::clamp<int64_t>(job.run_at_ms - loop_.now().unix_ms, 0, longest_ms);
}

// Keeps the places at the head of each queue true, at most once a second.
void Engine::refresh_waiting() {
  waiting_timer_ = 0;
  waiting_changed_ = false;
  for (const JobId& id : scheduler_.front(kRefreshMax))
    if (Live* live = find(id); live && live->in_flight == 0 && live->job.state == JobState::queued && encode(live->job) != live->snapshot)
      publish_now(*live);
}

void Engine::set_retain_timer(int64_t delay_ms) {
  const int64_t at_ns = loop_.now().mono_ns + delay_ms * 1'000'000;
  if (retain_timer_ != 0 && retain_at_ns_ <= at_ns) return;
  loop_.cancel(retain_timer_);
  retain_at_ns_ = at_ns;
  retain_timer_ = loop_.after_ms(delay_ms, [this] { retain(); });
}

// Whether the wall clock was set since the last call: it went on by another amount than the time that passed.
bool Engine::clock_was_set() {
  const int64_t ahead_ms = loop_.now().unix_ms - since_boot_ms();
  const int64_t leap_ms = ahead_ms - clock_ahead_ms_.value_or(ahead_ms);
  clock_ahead_ms_ = ahead_ms;
  return std::abs(leap_ms) > kClockSetMs;
}

void Engine::retain() {
  retain_timer_ = 0;
  if (stopping_) return;
  malloc_trim(0);  // what a burst of jobs took goes back to the system
  store_.retain({config_.retain_count, config_.retain_ms, loop_.now(), clock_was_set()}, [this](Result<std::vector<JobId>> deleted) {
    if (!deleted) {
      log::error("retention_failed", {{"error", deleted.error().detail}});
      return set_retain_timer(kRetainSoonMs);
    }
    for (const JobId& id : *deleted)
      if (launcher_) CappedLog::remove(launcher_->log_path(id));
    if (!deleted->empty()) log::info("retention", {{"deleted", deleted->size()}});
    set_retain_timer(deleted->empty() ? kRetainIdleMs : 0);
  });
}

void Engine::count_boot() {
  if (std::exchange(counting_boot_, true)) return;
  store_.count_boot([this](Result<uint32_t> boot) {
    if (boot) {
      counting_boot_ = false;
      return publisher_.revisions().set_boot(*boot);
    }
    log::error("boot_not_counted", {{"error", boot.error().detail}});
    loop_.after_ms(kRewriteMs, [this] { counting_boot_ = false; });
  });
}

}  // namespace jobcast::engine
