// Looks at what is left of an earlier engine until it is gone.
#include "engine/orphans.h"

#include <algorithm>
#include <csignal>
#include <limits>

#include "base/log.h"
#include "engine/cgroup.h"

namespace jobcast::engine {
namespace {

constexpr size_t kPartMax = 512;  // processes looked at in one turn
constexpr int64_t kPauseMs = 5;
constexpr int kCleanPasses = 2;

bool is_main(const Attempt& attempt, const ProcStat& stat) { return stat.pid == attempt.pid && stat.start_ticks == attempt.start_ticks; }

bool main_lives(const Attempt& attempt) {
  const auto stat = read_proc_stat(static_cast<pid_t>(attempt.pid));
  return stat && is_main(attempt, *stat) && !stat->dead();
}

}  // namespace

std::string Orphans::cgroup_name(const JobId& job, uint64_t fence) { return kCgroupPrefix + job.text() + "-" + std::to_string(fence); }

void Orphans::resolve(std::vector<Attempt> attempts) {
  for (Attempt& attempt : attempts) {
    const bool elsewhere = attempt.boot_id != boot_id() || attempt.pid <= 1;
    pending_.push_back({std::move(attempt), jobcast::now().mono_ms() + kWithinMs, elsewhere, false, 0});
  }
  in_pass_ = false;  // the pass that is under way did not look for the new ones
  loop_.cancel(timer_);
  if (!pending_.empty()) timer_ = loop_.after_ms(0, [this] { part_of_pass(); });
}

void Orphans::part_of_pass() {
  timer_ = 0;
  if (!in_pass_) {
    in_pass_ = true;
    at_ = 0;
    const bool any = std::any_of(pending_.begin(), pending_.end(), [](const Pending& one) { return !one.elsewhere; });
    pids_ = any ? all_pids() : std::vector<pid_t>();
    for (Pending& one : pending_) one.found = !one.elsewhere && !end_cgroup(one.attempt);
  }
  for (size_t part = 0; part < kPartMax && at_ < pids_.size(); ++part) examine(pids_[at_++]);
  if (at_ < pids_.size())
    timer_ = loop_.after_ms(0, [this] { part_of_pass(); });
  else
    end_of_pass();
}

bool Orphans::end_cgroup(const Attempt& attempt) {
  if (!attempt.cgroup.ends_with("/" + cgroup_name(attempt.job, attempt.fence)))
    return true;  // not one of ours: the processes are looked for
  Cgroup cgroup = Cgroup::open(attempt.cgroup);
  if (cgroup.remove()) return true;
  cgroup.kill();
  return cgroup.remove();
}

// Session and mark are read after the pidfd was opened, so that what is killed is what was read.
void Orphans::examine(pid_t pid) {
  if (pid == ::getpid()) return;
  uint64_t earliest = std::numeric_limits<uint64_t>::max();
  for (const Pending& one : pending_)
    if (!one.elsewhere) earliest = std::min(earliest, one.attempt.start_ticks);
  const Fd pidfd = open_pidfd(pid);
  const auto stat = read_proc_stat(pid);
  if (!stat || stat->dead() || stat->start_ticks < earliest) return;
  const auto mark = job_mark(pid);
  for (Pending& one : pending_) {
    if (one.elsewhere) continue;
    if (stat->exiting && !mark && stat->start_ticks >= one.attempt.start_ticks) one.found = true;  // whose, is gone with its memory
    if (!proven(one.attempt, *stat, mark)) continue;
    one.found = true;
    // The main process goes last, in end_of_pass(): while it lives, its session is proof for the others.
    if (!is_main(one.attempt, *stat)) send_signal(pidfd, pid, SIGKILL);
  }
}

bool Orphans::proven(const Attempt& attempt, const ProcStat& stat, const std::optional<JobId>& mark) {
  if (stat.start_ticks < attempt.start_ticks) return false;
  if (mark == attempt.job || is_main(attempt, stat)) return true;
  return stat.session == attempt.pid && main_lives(attempt);  // read after stat: the session was that process's
}

void Orphans::end_of_pass() {
  in_pass_ = false;
  std::vector<Pending> gone;
  for (Pending& one : pending_) {
    const auto main = static_cast<pid_t>(one.attempt.pid);
    const Fd pidfd = one.elsewhere ? Fd() : open_pidfd(main);
    if (!one.elsewhere && main_lives(one.attempt)) {
      one.found = true;
      send_signal(pidfd, main, SIGKILL);
    }
    one.clean_passes = one.found ? 0 : one.clean_passes + 1;
  }
  const int64_t now_ms = jobcast::now().mono_ms();
  const auto split = std::stable_partition(pending_.begin(), pending_.end(), [&](const Pending& one) {
    return !one.elsewhere && one.clean_passes < kCleanPasses && now_ms < one.deadline_ms;
  });
  std::move(split, pending_.end(), std::back_inserter(gone));
  pending_.erase(split, pending_.end());
  if (!pending_.empty()) timer_ = loop_.after_ms(kPauseMs, [this] { part_of_pass(); });
  for (const Pending& one : gone) {
    if (one.found)  // killed, but stuck in the kernel: it will run no instruction of its own any more
      log::warning("orphan_unkillable", {{"job_id", one.attempt.job.text()}, {"pid", one.attempt.pid}});
    on_gone_(one.attempt);
  }
}

}  // namespace jobcast::engine
