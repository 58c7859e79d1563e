// The processes by their pid, and one epoll's worth of news about them.
#include "engine/launcher.h"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "engine/attempt_process.h"
#include "engine/cgroup.h"
#include "engine/orphans.h"
#include "engine/strays.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kExitPollMs = 10;  // where there are no pidfds

}  // namespace

struct Launcher::Impl {
  Impl(Loop& loop_, LauncherObserver& observer, std::string logs_dir, int64_t progress_interval_ms, LauncherOptions options)
      : around{loop_,
               observer,
               std::move(logs_dir),
               progress_interval_ms,
               options.use_cgroups ? Cgroup::own_directory() : "",
               options.use_pidfds,
               [this](pid_t main) { strays.ended(main); }},
        loop(loop_),
        strays(loop_, [this](pid_t main, bool overdue) { return on_clear(main, overdue); }),
        orphans(loop_, [this](const Attempt& attempt) {
          CappedLog::mark_lost(log_path(attempt.job));
          around.observer.on_orphan_gone(attempt);
        }) {
    ::mkdir(around.logs_dir.c_str(), 0750);
    Cgroup::tidy(around.cgroup_parent, Orphans::kCgroupPrefix);
  }
  ~Impl() {
    loop.cancel(exit_poll);
    processes.clear();
    strays.end_all();
  }

  // Nothing of an ended attempt lives any more.
  bool on_clear(pid_t main, bool overdue) {
    const auto found = processes.find(main);
    if (!found->second->remove_cgroup() && !overdue) return false;
    const auto process = std::move(found->second);
    processes.erase(found);
    const JobId job = process->attempt().job;
    const auto current = by_job.find(job);
    if (current != by_job.end() && current->second == main) by_job.erase(current);
    process->finish();  // may start the next one
    reports += process->progress_reports();
    return true;
  }

  [[nodiscard]] AttemptProcess* find(const JobId& job) const {
    const auto found = by_job.find(job);
    return found == by_job.end() ? nullptr : processes.at(found->second).get();
  }

  [[nodiscard]] std::string log_path(const JobId& job) const { return around.logs_dir + "/" + job.text() + ".log"; }

  void poll_exits_later() {
    const bool needed = std::any_of(processes.begin(), processes.end(), [](const auto& entry) { return !entry.second->has_pidfd(); });
    if (!needed || exit_poll != 0) return;
    exit_poll = loop.after_ms(kExitPollMs, [this] {
      exit_poll = 0;
      for (const auto& [main, process] : processes) process->poll_exit();
      poll_exits_later();
    });
  }

  AttemptProcess::Surroundings around;
  Loop& loop;
  Strays strays;
  Orphans orphans;
  std::unordered_map<pid_t, std::unique_ptr<AttemptProcess>> processes;  // by main process
  std::unordered_map<JobId, pid_t> by_job;                               // abandoned ones are not in it any more
  uint64_t reports = 0;                                                  // of finished attempts
  Loop::TimerId exit_poll = 0;
};

Launcher::Launcher(Loop& loop, LauncherObserver& observer, std::string logs_dir, int64_t progress_interval_ms, LauncherOptions options)
    : impl_(std::make_unique<Impl>(loop, observer, std::move(logs_dir), progress_interval_ms, options)) {}

Launcher::~Launcher() = default;

Result<Attempt> Launcher::prepare(const Job& job, const KindConfig& kind) {
  if (impl_->by_job.contains(job.id)) return {Errc::internal, "job " + job.id.text() + " has a process already"};
  auto process = AttemptProcess::prepare(impl_->around, job, kind);
  if (!process) return process.error();
  const Attempt attempt = (*process)->attempt();
  const auto main = static_cast<pid_t>(attempt.pid);
  impl_->processes[main] = std::move(*process);
  impl_->by_job[job.id] = main;
  impl_->strays.add(main, job.id, attempt.start_ticks);
  return attempt;
}

void Launcher::release(const JobId& job) {
  AttemptProcess* process = impl_->find(job);
  if (process == nullptr) return;
  process->release();
  impl_->poll_exits_later();
}

void Launcher::abandon(const JobId& job) {
  AttemptProcess* process = impl_->find(job);
  if (process == nullptr || !process->abandon()) return;
  impl_->by_job.erase(job);
  impl_->poll_exits_later();
}

void Launcher::cancel(const JobId& job) {
  if (AttemptProcess* process = impl_->find(job)) process->cancel();
}

void Launcher::resolve_orphans(std::vector<Attempt> attempts) { impl_->orphans.resolve(std::move(attempts)); }

size_t Launcher::running() const { return impl_->by_job.size(); }

std::string Launcher::log_path(const JobId& job) const { return impl_->log_path(job); }

uint64_t Launcher::log_dropped(const JobId& job) const {
  if (const AttemptProcess* process = impl_->find(job)) return process->log_dropped();
  return CappedLog::dropped_of(log_path(job));
}

Launcher::Stats Launcher::stats() const {
  Stats stats{impl_->reports};
  for (const auto& [main, process] : impl_->processes) stats.progress_reports += process->progress_reports();
  return stats;
}

}  // namespace jobcast::engine
