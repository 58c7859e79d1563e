// Queues, who is first in each, and why somebody waits.
#include "engine/scheduler.h"

#include <algorithm>
#include <cmath>

namespace jobcast::engine {
namespace {

constexpr int64_t kPositionMax = 1000;

}  // namespace

Scheduler::Scheduler(const std::map<std::string, QueueConfig>& queues) {
  for (const auto& [name, config] : queues) queues_[name].concurrency = config.concurrency;
}

void Scheduler::note(const Job& job) {
  forget(job.id);
  if (is_terminal(job.state)) return;
  // A queue that left the config while it had jobs still runs them, one at a time.
  Queue& queue = queues_[job.queue];
  const int64_t due_ms = job.state == JobState::retrying ? job.due_mono_ms : job.run_at_ms;
  known_[job.id] = Known{job.queue, job.state, job.priority, due_ms};
  if (job.state == JobState::queued) queue.queued.insert(Key{job.priority, job.id});
  if (job.state == JobState::running) ++queue.running;
  if (job.state == JobState::scheduled) ++queue.scheduled;
  if (job.state == JobState::retrying) ++queue.retrying;
  if (Timed* at = timed(job.state)) at->emplace(due_ms, job.id);
}

void Scheduler::forget(const JobId& id) {
  const auto found = known_.find(id);
  if (found == known_.end()) return;
  const Known& known = found->second;
  Queue& queue = queues_[known.queue];
  if (known.state == JobState::queued) queue.queued.erase(Key{known.priority, id});
  if (known.state == JobState::running) --queue.running;
  if (known.state == JobState::scheduled) --queue.scheduled;
  if (known.state == JobState::retrying) --queue.retrying;
  if (Timed* at = timed(known.state)) at->erase({known.due_ms, id});
  known_.erase(found);
}

std::optional<JobId> Scheduler::next_to_start() const {
  const Key* first = nullptr;
  for (const auto& [name, queue] : queues_) {
    if (queue.paused || queue.running >= queue.concurrency || queue.queued.empty()) continue;
    if (!first || *queue.queued.begin() < *first) first = &*queue.queued.begin();
  }
  if (!first) return std::nullopt;
  return first->id;
}

std::vector<JobId> Scheduler::due(const Time& now, size_t max) const {
  std::vector<JobId> out;
  const auto add = [&](const Timed& timed, int64_t now_ms) {
    for (auto it = timed.begin(); it != timed.end() && it->first <= now_ms && out.size() < max; ++it) out.push_back(it->second);
  };
  add(retrying_, now.mono_ms());
  add(scheduled_, now.unix_ms);
  return out;
}

Scheduler::Due Scheduler::next_due() const {
  const auto first = [](const Timed& timed) { return timed.empty() ? std::nullopt : std::optional(timed.begin()->first); };
  return {first(scheduled_), first(retrying_)};
}

std::vector<JobId> Scheduler::front(size_t max) const {
  std::vector<JobId> out;
  for (const auto& [name, queue] : queues_) {
    size_t left = max;
    for (auto it = queue.queued.begin(); it != queue.queued.end() && left > 0; ++it, --left) out.push_back(it->id);
  }
  return out;
}

void Scheduler::set_paused(const std::string& queue, bool paused) {
  if (const auto found = queues_.find(queue); found != queues_.end()) found->second.paused = paused;
}

std::optional<Scheduler::Waiting> Scheduler::why_waiting(const JobId& id) const {
  const auto found = known_.find(id);
  if (found == known_.end()) return std::nullopt;
  const Known& known = found->second;
  switch (known.state) {
    case JobState::scheduled: return Waiting{"run_at", std::nullopt};
    case JobState::retrying: return Waiting{"backoff", std::nullopt};
    case JobState::running:
    case JobState::completed:
    case JobState::failed:
    case JobState::cancelled: return std::nullopt;
    case JobState::queued: break;
  }
  const Queue& queue = queues_.at(known.queue);
  const auto position = place(queue, Key{known.priority, id});
  if (queue.paused) return Waiting{"paused", position};
  if (held_ && queue.running < queue.concurrency) return Waiting{"no_resources", position};
  if (position && *position <= queue.concurrency - queue.running) return std::nullopt;  // it is about to start
  return Waiting{"queue_full", position};
}

std::optional<int64_t> Scheduler::place(const Queue& queue, const Key& key) {
  int64_t position = 1;
  for (const Key& other : queue.queued) {
    if (!(other < key)) return position;
    if (++position > kPositionMax) break;
  }
  return std::nullopt;
}

std::vector<Scheduler::Counts> Scheduler::counts() const {
  std::vector<Counts> out;
  for (const auto& [name, queue] : queues_)
    out.push_back(
        {name, queue.concurrency, queue.paused, queue.scheduled, static_cast<int64_t>(queue.queued.size()), queue.running, queue.retrying});
  return out;
}

int64_t backoff_ms(const KindConfig& kind, int attempt, double random) {
  const double grown = static_cast<double>(kind.retry_initial_ms) * std::pow(kind.retry_multiplier, std::max(attempt, 1) - 1);
  const double capped = std::min(grown, static_cast<double>(kind.retry_max_ms));
  return std::llround(capped * (1 + kind.retry_jitter * (2 * random - 1)));
}

}  // namespace jobcast::engine
