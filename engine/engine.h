// The coordinator: holds the live jobs, takes requests and the launcher's reports, and moves every change the same way:
// gather → apply → commit → publish. What has not been committed is shown to nobody; progress alone is shown at once and stored later.
// Loop thread; answers (`Done`) come on it too, some before the call returns.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/config.h"
#include "engine/job.h"
#include "engine/launcher.h"
#include "engine/loop.h"
#include "engine/progress.h"
#include "engine/progress_journal.h"
#include "engine/publisher.h"
#include "engine/scheduler.h"
#include "engine/store.h"

namespace jobcast::engine {

template <class T>
using Done = std::function<void(Result<T>)>;

// What a submit asks for; checked against the config by Engine::submit().
struct Submission {
  std::string kind, owner, args_json = "{}", meta_json = "{}", unique_key, idempotency_key;
  std::optional<std::string> queue;
  std::optional<int> max_attempts;
  std::optional<int64_t> run_at_ms;
  int priority = 0;
};

class Engine final : public LauncherObserver {
 public:
  Engine(Loop& loop, const Config& config, Store& store, Publisher& publisher);
  ~Engine() override;

  // What an earlier engine left: everything is published before this returns; attempts that were running are ended, within two seconds.
  void adopt(Loaded loaded);

  // Every answer with a snapshot carries the published bytes. `owner` "": whoever owns it; else another's job is not_found.
  struct Submitted {
    std::string snapshot;
    bool created = false;
  };
  void submit(const Submission& submission, Done<Submitted> done);
  void get(const JobId& id, const std::string& owner, Done<std::string> done);
  using Page = std::vector<std::pair<JobId, std::string>>;  // newest first
  void list(const ListFilter& filter, Done<Page> done);
  void cancel(const JobId& id, const std::string& owner, const std::string& by, Done<std::string> done);
  void retry(const JobId& id, const std::string& owner, Done<std::string> done);
  void result(const JobId& id, const std::string& owner, Done<std::string> done);
  struct LogPlace {
    std::string path;
    uint64_t dropped = 0;
    bool complete = false;  // the job is over: nothing will be added
  };
  void log(const JobId& id, const std::string& owner, Done<LogPlace> done);

  [[nodiscard]] std::vector<Scheduler::Counts> queues() const { return scheduler_.counts(); }
  struct Totals {
    uint64_t submitted = 0, completed = 0, failed = 0, cancelled = 0, retried = 0, worker_lost = 0;
    uint64_t starts_put_off = 0;  // for a lack of the system's: processes, memory, descriptors, disk
    uint64_t progress_published = 0;
  };
  [[nodiscard]] const Totals& totals() const { return totals_; }
  // No job is started at the moment, because the last start found the system without what it takes; it is tried again and again.
  [[nodiscard]] bool starts_held() const { return hold_ms_ > 0; }
  [[nodiscard]] uint64_t progress_reports() const { return launcher_ ? launcher_->stats().progress_reports : 0; }

  // Starts nothing more, ends what runs by the ladder, and puts it back into its queue or fails it, as its kind says. `stopped` comes once
  // all of that is committed, at the latest after kStopMsMax. A second call cuts the ladder short.
  void stop(std::function<void()> stopped);
  [[nodiscard]] bool stopping() const { return stopping_; }
  static constexpr int64_t kStopMsMax = 10'000;

  // After the events of a turn: starts what may start, sets the timers, wakes the readers.
  void end_turn();

  void on_progress(const JobId& id, uint64_t fence, const Progress& raw) override;
  void on_cancel_acknowledged(const JobId& id, uint64_t fence) override;
  void on_finished(const JobId& id, uint64_t fence, const Outcome& outcome) override;
  void on_orphan_gone(const Attempt& attempt) override;

 private:
  // A job that is not over, or whose end is not committed yet.
  struct Live {
    Job job;                      // as applied; may be ahead of what is published
    std::string snapshot;         // as published
    unsigned in_flight = 0;       // changes given to the store and not answered yet
    std::optional<Attempt> gate;  // the proof of a process that waits for its commit
    std::optional<Attempt>
        put_back;  // queued again by a stop of this boot, which tells a later engine whether the machine was started anew
    ProgressMeter meter;
    bool orphan = false;     // its process is an earlier engine's
    bool unwritten = false;  // its newest change failed to be written, and is written again in a while
    bool revived = false;    // over in the store, brought back by a retry that is not committed yet
    bool held = false;       // newer than what is published
    bool progress_unstored = false;
    std::vector<std::pair<uint64_t, Done<std::string>>> answers;  // due once that rev, or a later one, is committed
  };
  struct Change {  // on its way through the store
    JobId id;
    uint64_t rev = 0, fence = 0;
    JobState state = JobState::queued;
    std::string snapshot;
  };

  // engine.cpp: the way of a change
  Live* find(const JobId& id);
  Live& add(Job job);
  void remove(const Live& live);
  void commit(Live& live, Done<std::string> answer = {});
  void committed(const Change& change, const Result<void>& done);
  void not_written(Live& live, const Error& why);
  void publish_now(Live& live);
  void publish_held();
  [[nodiscard]] std::string encode(const Job& job) const;
  void must(Live& live, On event, const Facts& facts);
  [[nodiscard]] Facts facts(const Live& live, Reason reason = Reason::none);
  void count_end(JobState state);

  // engine.cpp: the loop's own work
  void start_ready();
  void start(Live& live);
  void hold_starts(const std::string& why);
  void hold_is_due();
  void make_due();
  void set_due_timer();
  [[nodiscard]] int64_t backoff_left_ms(const Job& job) const;
  void refresh_waiting();
  void store_progress();
  void retain();
  [[nodiscard]] bool clock_was_set();
  void set_retain_timer(int64_t delay_ms);
  void count_boot();

  // engine_stop.cpp
  void put_back(Live& live, Facts stopped, bool begun);
  [[nodiscard]] static std::vector<Attempt> take_put_back(Loaded& loaded);
  void booted(const Attempt& before);
  void cut_short();
  void check_stopped();

  // engine_requests.cpp
  [[nodiscard]] Result<Job> draft(const Submission& submission);
  [[nodiscard]] Result<void> room_for(const Job& job) const;  // full: the queue, the owner or the memory has all that it may
  void inserted(uint64_t rev, Result<Store::Inserted> result, const Done<Submitted>& done);
  void from_store(const JobId& id, const std::string& owner, std::function<void(Error)> fail, std::function<void(Live&)> live,
                  std::function<void(Job)> stored);
  void cancel_live(Live& live, const std::string& owner, const std::string& by, const Done<std::string>& done);
  void retry_live(Live& live, const std::string& owner, const Done<std::string>& done);
  void answer_settled(Live& live, Done<std::string> done);

  Loop& loop_;
  const Config& config_;
  Store& store_;
  Publisher& publisher_;
  std::unique_ptr<Launcher> launcher_;
  Scheduler scheduler_;
  ProgressJournal journal_;
  JobIdSource ids_;
  std::minstd_rand random_{std::random_device{}()};
  uint64_t next_fence_;

  std::unordered_map<JobId, std::unique_ptr<Live>> live_;
  struct Held {
    int64_t jobs = 0;
    size_t args_bytes = 0;
  };
  std::unordered_map<std::string, Held> held_of_;  // by live jobs of each owner
  size_t args_bytes_ = 0;                          // held by live jobs
  size_t inserting_ = 0;                           // submits on their way through the store
  std::vector<JobId> held_;                        // progress that waits for a rev
  std::vector<JobId> unstored_;                    // progress that waits for its second
  bool may_start_ = true;
  bool waiting_changed_ = false;
  bool counting_boot_ = false;
  int64_t hold_ms_ = 0;      // how long starts are held before the next try; 0: they are not held
  bool hold_tried_ = false;  // one was started since, and nothing was heard of a lack yet
  size_t unwritten_ = 0;     // jobs of which the newest change failed to be written
  bool stopping_ = false;
  std::function<void()> stopped_;
  Scheduler::Due due_;
  Loop::TimerId due_timer_ = 0, progress_timer_ = 0, waiting_timer_ = 0, retain_timer_ = 0, stop_timer_ = 0, hold_timer_ = 0;
  int64_t retain_at_ns_ = 0;
  std::optional<int64_t> clock_ahead_ms_;  // the wall clock, less the time since the machine's start, when clock_was_set() last looked
  Totals totals_;
};

}  // namespace jobcast::engine
