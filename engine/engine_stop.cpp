// The engine's stop: what runs is ended by the ladder, and each kind says what becomes of its jobs (`on_stop`). And what the next engine
// makes of the jobs that were put back, once it knows whether the machine was started anew meanwhile.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/proc.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kCutMs = 500;  // of kStopMsMax, for killing and writing what the ladder did not end

OnStop on_stop(const KindConfig& kind, const Job& job) {
  if (kind.on_stop != OnStop::by_attempts) return kind.on_stop;
  return std::min(kind.max_attempts, job.max_attempts) > 1 ? OnStop::requeue : OnStop::fail;
}

}  // namespace

// A job whose program has not begun goes back untouched, whatever its kind says.
void Engine::put_back(Live& live, Facts stopped, bool begun) {
  if (live.gate && launcher_) launcher_->abandon(live.job.id);
  live.gate.reset();
  const auto kind = config_.kinds.find(live.job.kind);
  const OnStop what = !begun ? OnStop::resume : kind != config_.kinds.end() ? on_stop(kind->second, live.job) : OnStop::fail;
  if (what == OnStop::fail) {
    stopped.reason = Reason::stopped;
    stopped.error = "the engine was stopped while this attempt ran, and on_stop of kind " + live.job.kind + " does not begin it again";
    must(live, On::stop, stopped);
  } else {
    if (what == OnStop::requeue) live.put_back = Attempt{live.job.id, live.job.fence, 0, 0, boot_id(), ""};
    must(live, On::drain, stopped);
  }
  commit(live);
}

// Proofs of jobs that wait are no orphans: a stop left them. Takes them out of what was loaded.
std::vector<Attempt> Engine::take_put_back(Loaded& loaded) {
  std::unordered_set<JobId> queued;
  for (const Job& job : loaded.live)
    if (job.state == JobState::queued) queued.insert(job.id);
  const auto split = std::stable_partition(loaded.attempts.begin(), loaded.attempts.end(),
                                           [&](const Attempt& attempt) { return !queued.contains(attempt.job); });
  std::vector<Attempt> out(split, loaded.attempts.end());
  loaded.attempts.erase(split, loaded.attempts.end());
  return out;
}

// A restart of the engine alone costs no attempt. A start of the machine does: the job may be what brought it down.
void Engine::booted(const Attempt& before) {
  Live& live = *find(before.job);
  if (before.boot_id == boot_id()) {
    live.put_back = before;
    return;
  }
  Facts charged = facts(live, Reason::stopped);
  charged.error = "the machine was stopped and started anew while this attempt ran, and no further attempt is left";
  must(live, On::boot, charged);
  commit(live);
}

void Engine::stop(std::function<void()> stopped) {
  if (std::exchange(stopping_, true)) {  // asked twice: no more patience
    loop_.cancel(std::exchange(stop_timer_, 0));
    stop_timer_ = loop_.after_ms(0, [this] { cut_short(); });
    return;
  }
  stopped_ = std::move(stopped);
  for (const auto& [id, live] : live_) {
    if (live->job.state != JobState::running || live->orphan) continue;
    if (live->gate)
      put_back(*live, facts(*live), false);
    else
      launcher_->cancel(id);
  }
  stop_timer_ = loop_.after_ms(kStopMsMax - kCutMs, [this] { cut_short(); });
}

// The ladder takes too long: kill what is left and put it back all the same. Orphans stay `running` with their proof: the next engine
// ends them.
void Engine::cut_short() {
  launcher_.reset();
  for (const auto& [id, live] : live_)
    if (live->job.state == JobState::running && !live->orphan) put_back(*live, facts(*live), !live->gate);
  stop_timer_ = loop_.after_ms(kCutMs, [this] {
    log::error("stopped_unwritten", {});
    if (stopped_) std::exchange(stopped_, nullptr)();
  });
}

void Engine::check_stopped() {
  if (!stopped_ || inserting_ > 0) return;
  for (const auto& [id, live] : live_)
    if (live->in_flight > 0 || live->unwritten || (live->job.state == JobState::running && !live->orphan)) return;
  std::exchange(stopped_, nullptr)();
}

}  // namespace jobcast::engine
