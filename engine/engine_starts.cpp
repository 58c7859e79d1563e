// The engine's starts: which jobs are handed to the launcher in a turn, and what is done while the system lacks what a start takes.
#include <algorithm>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "engine/engine.h"

namespace jobcast::engine {
namespace {

constexpr unsigned kStartsMax = 16;  // a turn: a fork costs about as much as a hundred requests
constexpr int64_t kHoldFirstMs = 100, kHoldMaxMs = 2000;

}  // namespace

void Engine::start_ready() {
  if (!may_start_ || stopping_ || hold_timer_ != 0) return;
  may_start_ = false;
  for (unsigned started = 0; const auto id = scheduler_.next_to_start(); ++started) {
    if (started == kStartsMax) {
      may_start_ = true;
      loop_.after_ms(0, [] {});  // the rest in the next turn, which must not wait for an event
      return;
    }
    start(*find(*id));
    if (hold_timer_ != 0) return;
  }
}

void Engine::start(Live& live) {
  Facts begun = facts(live);
  begun.fence = next_fence_++;
  Job started = live.job;
  invariant(apply(started, On::start, begun).ok());
  const auto kind = config_.kinds.find(started.kind);
  auto prepared = kind != config_.kinds.end()
                      ? launcher_->prepare(started, kind->second)
                      : Result<Attempt>(Errc::invalid, "kind \"" + started.kind + "\" is not in the engine's config any more");
  // Nothing of this job has begun, and it stays the first of its queue.
  if (!prepared && prepared.error().code != Errc::invalid) return hold_starts(prepared.error().detail);
  live.job = std::move(started);
  live.meter = {};
  live.put_back.reset();
  if (prepared) {
    live.gate = std::move(*prepared);
  } else {
    Facts failed = facts(live, Reason::spawn_error);
    failed.error = prepared.error().detail;
    must(live, On::fail, failed);
  }
  commit(live);
  if (hold_ms_ == 0) return;
  hold_tried_ = true;  // one is enough to see whether the lack is over
  hold_timer_ = loop_.after_ms(hold_ms_, [this] { hold_is_due(); });
}

// The system lacked what a start takes. Nothing more is started for a while, which grows with every try that fails.
void Engine::hold_starts(const std::string& why) {
  ++totals_.starts_put_off;
  if (hold_ms_ == 0) log::warning("starts_held", {{"error", why}});
  hold_ms_ = std::clamp(hold_ms_ * 2, kHoldFirstMs, kHoldMaxMs);
  hold_tried_ = false;
  scheduler_.set_held(true);
  waiting_changed_ = true;
  loop_.cancel(hold_timer_);
  hold_timer_ = loop_.after_ms(hold_ms_, [this] { hold_is_due(); });
}

// Starts one job and waits once more: the hold is over when no lack was heard of until then.
void Engine::hold_is_due() {
  hold_timer_ = 0;
  if (unwritten_ > 0) {  // the disk takes nothing yet; what could not be written is tried again by itself
    hold_timer_ = loop_.after_ms(hold_ms_, [this] { hold_is_due(); });
    return;
  }
  may_start_ = true;
  if (!hold_tried_ && scheduler_.next_to_start()) return;
  hold_ms_ = 0;
  hold_tried_ = false;
  scheduler_.set_held(false);
  waiting_changed_ = true;
  log::notice("starts_resumed", {});
}

}  // namespace jobcast::engine
