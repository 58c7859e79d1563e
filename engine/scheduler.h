// Which waiting job starts next: priorities and one concurrency limit per queue, oldest first. Pure; loop thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "engine/config.h"
#include "engine/job.h"

namespace jobcast::engine {

class Scheduler {
 public:
  explicit Scheduler(const std::map<std::string, QueueConfig>& queues);

  // Tells of a job's present state; call after every change of state. Terminal jobs are forgotten.
  void note(const Job& job);
  // The next job that may start now, or none. It stays the next one until note() says that it runs.
  [[nodiscard]] std::optional<JobId> next_to_start() const;
  // Scheduled jobs whose run_at has come, by the wall clock it was given in, and retrying ones whose backoff is over, by the clock that
  // nobody sets; at most `max`.
  [[nodiscard]] std::vector<JobId> due(const Time& now, size_t max) const;
  // When due() will next have something, on either clock; nullopt: never.
  struct Due {
    std::optional<int64_t> unix_ms, mono_ms;
    bool operator==(const Due&) const = default;
  };
  [[nodiscard]] Due next_due() const;
  // The queued jobs that come first, at most `max` of each queue.
  [[nodiscard]] std::vector<JobId> front(size_t max) const;
  void set_paused(const std::string& queue, bool paused);
  // While the system lacks what a start takes, why_waiting() says so of the jobs that would otherwise run.
  void set_held(bool held) { held_ = held; }

  struct Waiting {
    std::string why;                  // queue_full, paused, no_resources, run_at, backoff
    std::optional<int64_t> position;  // 1 is next in its queue; for `queued` jobs
  };
  // Why a waiting job waits; nullopt for one that runs, is over, or has a free place and is about to start. `position` costs at most
  // O(min(place, 1000)); above it is absent.
  [[nodiscard]] std::optional<Waiting> why_waiting(const JobId& id) const;

  struct Counts {
    std::string name;
    int concurrency = 0;
    bool paused = false;
    int64_t scheduled = 0, queued = 0, running = 0, retrying = 0;
  };
  [[nodiscard]] std::vector<Counts> counts() const;

 private:
  struct Key {  // order of starting: priority, then age
    int priority = 0;
    JobId id;
    bool operator<(const Key& other) const { return priority != other.priority ? priority > other.priority : id < other.id; }
  };
  struct Queue {
    int concurrency = 1;
    bool paused = false;
    std::set<Key> queued;
    int64_t scheduled = 0, running = 0, retrying = 0;
  };
  struct Known {
    std::string queue;
    JobState state = JobState::queued;
    int priority = 0;
    int64_t due_ms = 0;
  };
  void forget(const JobId& id);
  [[nodiscard]] static std::optional<int64_t> place(const Queue& queue, const Key& key);
  using Timed = std::set<std::pair<int64_t, JobId>>;
  [[nodiscard]] Timed* timed(JobState state) {
    return state == JobState::scheduled ? &scheduled_ : state == JobState::retrying ? &retrying_ : nullptr;
  }

  bool held_ = false;
  std::map<std::string, Queue> queues_;
  std::unordered_map<JobId, Known> known_;
  Timed scheduled_;  // by run_at, unix ms
  Timed retrying_;   // by due_mono_ms
};

// The delay before attempt `attempt`+1: initial × multiplier^(attempt-1), capped at retry_max_ms, times 1 ± jitter. `random` in [0, 1).
[[nodiscard]] int64_t backoff_ms(const KindConfig& kind, int attempt, double random);

}  // namespace jobcast::engine
