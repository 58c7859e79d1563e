// Walks the tree of processes below this one.
#include "engine/strays.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <limits>

#include "base/log.h"

namespace jobcast::engine {
namespace {

constexpr size_t kPartMax = 256;
constexpr int64_t kPauseMaxMs = 16;
constexpr int64_t kIdleLookMs = 1000;  // strays of running jobs: only their dead are of interest
constexpr int64_t kOverdueMs = 10'000;

void reap(pid_t pid) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | __WALL);
}

}  // namespace

Strays::Strays(Loop& loop, OnClear on_clear) : loop_(loop), on_clear_(std::move(on_clear)) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  for (const pid_t pid : own_children())
    if (const auto stat = read_proc_stat(pid)) not_ours_.emplace(pid, stat->start_ticks);
}

void Strays::add(pid_t main, const JobId& job, uint64_t start_ticks) {
  attempts_[main] = {job, start_ticks, false, 0, 0};
  if (timer_ == 0) schedule(kIdleLookMs);
}

void Strays::ended(pid_t main) {
  const auto found = attempts_.find(main);
  if (found == attempts_.end()) return;
  found->second.ended = true;
  found->second.clear_after_look = looks_;
  found->second.ended_ms = loop_.now().mono_ms();
  pause_ms_ = 1;
  schedule(0);
}

void Strays::schedule(int64_t delay_ms) {
  loop_.cancel(timer_);
  timer_ = loop_.after_ms(delay_ms, [this] {
    timer_ = 0;
    look();
  });
}

void Strays::look() {
  if (!looking_) {
    looking_ = true;
    ++looks_;
    listed_.clear();
    with_strays_.clear();
    any_alive_ = false;
  }
  for (size_t examined = 0; at_ < children_.size() || list_new_children(); ++examined) {
    if (examined == kPartMax) return schedule(0);
    examine(children_[at_++]);
  }
  looking_ = false;
  conclude();
}

bool Strays::list_new_children() {
  children_.clear();
  at_ = 0;
  for (const pid_t pid : own_children())
    if (listed_.insert(pid).second) children_.push_back(pid);
  return !children_.empty();
}

void Strays::examine(pid_t pid) {
  if (attempts_.contains(pid)) return;
  const Fd pidfd = open_pidfd(pid);
  const auto stat = read_proc_stat(pid);
  if (!stat || not_ours_.contains({pid, stat->start_ticks})) return;
  if (stat->dead()) return reap(pid);
  any_alive_ = true;
  const auto owner = owner_of(*stat);
  if (owner != attempts_.end()) {
    if (!owner->second.ended) return;
    with_strays_.insert(owner->first);
  } else if (stat->exiting) {
    return hold_back(*stat);
  } else {
    uint64_t oldest = std::numeric_limits<uint64_t>::max();
    for (const auto& [main, attempt] : attempts_)
      if (!attempt.ended) oldest = std::min(oldest, attempt.start_ticks);
    if (stat->start_ticks >= oldest) return;
  }
  send_signal(pidfd, pid, SIGKILL);
}

// Its mark went with its memory: it may be of any attempt that is not younger.
void Strays::hold_back(const ProcStat& stat) {
  for (const auto& [main, attempt] : attempts_)
    if (attempt.ended && attempt.start_ticks <= stat.start_ticks) with_strays_.insert(main);
}

std::map<pid_t, Strays::Attempt>::const_iterator Strays::owner_of(const ProcStat& stat) const {
  const auto by_session = attempts_.find(stat.session);  // the number is taken for as long as the main process is not reaped
  if (by_session != attempts_.end()) return by_session;
  const auto mark = job_mark(stat.pid);
  auto owner = attempts_.end();
  for (auto at = attempts_.begin(); mark && at != attempts_.end(); ++at)
    if (at->second.job == *mark && (owner == attempts_.end() || !at->second.ended)) owner = at;
  return owner;
}

void Strays::conclude() {
  std::vector<std::pair<pid_t, bool>> clear;
  for (const auto& [main, attempt] : attempts_) {
    if (!attempt.ended || attempt.clear_after_look >= looks_) continue;
    const bool overdue = loop_.now().mono_ms() - attempt.ended_ms >= kOverdueMs;
    if (overdue) log::warning("job_left_unkillable_process", {{"job_id", attempt.job.text()}, {"pid", main}});
    if (overdue || !with_strays_.contains(main)) clear.emplace_back(main, overdue);
  }
  for (const auto& [main, overdue] : clear) {
    const auto node = attempts_.extract(main);  // the callback may start the next attempt, of the same number even
    if (!on_clear_(main, overdue)) attempts_.insert({main, node.mapped()});
  }
  const bool ending = std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) { return entry.second.ended; });
  if (ending) {
    schedule(pause_ms_);
    pause_ms_ = std::min(pause_ms_ * 2, kPauseMaxMs);
  } else if (!attempts_.empty() || any_alive_) {
    schedule(kIdleLookMs);
  }
}

void Strays::end_all() {
  for (int i = 0; i < 1000; ++i) {
    bool any = false;
    for (const pid_t pid : own_children()) {
      const auto stat = read_proc_stat(pid);
      if (!stat || not_ours_.contains({pid, stat->start_ticks})) continue;
      any = true;
      if (stat->dead())
        reap(pid);
      else
        ::kill(pid, SIGKILL);
    }
    if (!any) return;
    ::poll(nullptr, 0, 1);
  }
}

}  // namespace jobcast::engine
