// The store: every acknowledged job, in SQLite (WAL, synchronous=FULL), on a thread of its own that commits in groups (DESIGN §4).
// Calls are made on the loop thread and never wait; answers come back on the loop thread through deliver(), in the order of the calls.
// Calls that wait together are committed together: they succeed together, or all fail with what befell the database (full: no space;
// corrupt; internal). A call refused by its own fault (invalid, not_found) harms no other. Above kQueueMax waiting calls insert, get, list
// and count are answered `full`, and progress is dropped; what the engine itself must keep is always taken.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/job.h"

namespace jobcast::engine {

// Proof of one attempt's process, written before its program may run: what a later engine needs to find and end it.
struct Attempt {
  JobId job;
  uint64_t fence = 0;
  int64_t pid = 0;           // also its process group and session
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  std::string boot_id;       // /proc/sys/kernel/random/boot_id
  std::string cgroup;        // its cgroup v2 directory, or ""
};

struct Loaded {
  uint32_t boot = 0;              // counted up durably by this load: the high half of every rev
  std::vector<Job> live;          // everything not terminal, oldest first
  std::vector<Job> finished;      // the newest terminal ones, at most `finished_max`, as list() gives them
  std::vector<Attempt> attempts;  // of jobs that were running: orphans until proven dead; of queued ones: what a stop put back, with pid 0
};

struct ListFilter {
  std::string owner, kind, queue;  // "": any
  std::vector<JobState> states;    // empty: any
  std::optional<JobId> before;     // the cursor: only ids below it
  int limit = 50;
};

class Store {
 public:
  // Opens or creates `path` (0600), and brings an older schema up to date. Errors: corrupt; invalid (a database of something else, or of
  // a newer jobcast); internal (with SQLite's words and the remedy), also while another engine has it open.
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();  // commits what is queued; answers that were not delivered are not given any more

  // Blocking, once, before anything else. Here and in list() a result above kSnapshotBytesMax is left out, which no snapshot holds:
  // thanks to Job::result_bytes its bytes stay the same.
  [[nodiscard]] Result<Loaded> load(size_t finished_max);

  struct Inserted {
    Job job;  // the new one, or the one that the key named
    bool created = false;
  };
  // Looks for the idempotency key (a same key with another kind or args: invalid) and for a live job of the unique key, else inserts.
  // Where there is no `room` for another job, its error is answered instead of inserting: a job that a key names is found nevertheless.
  void insert(Job job, std::function<void(Result<Inserted>)> done, Result<void> room = {});
  // All that may change in a job, and with it the attempt's proof where one is given; a job that does not run has none any more, unless one
  // is given that says on which boot a stop put it back. A
  // result that was left out stays. Errors: not_found; invalid (a job that lives again while another has its unique key).
  void update(const Job& job, std::optional<Attempt> attempt, std::function<void(Result<void>)> done);
  // Only the progress of a running job; no answer; dropped when the queue is full (progress is stored again a second later).
  void update_progress(const Job& job);
  void get(const JobId& id, std::function<void(Result<Job>)> done);
  // Newest first, without args.
  void list(ListFilter filter, std::function<void(Result<std::vector<Job>>)> done);
  // Deletes terminal jobs beyond the count and age; answers their ids (at most 1000 a call), so that their logs go too.
  //
  // An age is a difference of two readings of the wall clock, and means nothing when that was set in between. So ages count from the
  // last time that it was set: until `age_max_ms` after that, none is over age, and beyond the count those go first that changed first.
  struct Retention {
    int64_t count_max = 0, age_max_ms = 0;
    Time now;
    bool clock_was_set = false;  // since the last call: it jumped
  };
  void retain(const Retention& retention, std::function<void(Result<std::vector<JobId>>)> done);

  // How many jobs are kept in each state, by the number of the state.
  void count(std::function<void(Result<std::array<int64_t, 8>>)> done);
  // Counts a further boot, as load() does: for an engine that has used up the revs of its own.
  void count_boot(std::function<void(Result<uint32_t>)> done);

  [[nodiscard]] int ready_fd() const;  // readable when deliver() has something
  void deliver();                      // runs the finished calls' `done`

  [[nodiscard]] size_t queue_length() const;
  static constexpr size_t kQueueMax = 8192;
  struct Stats {
    uint64_t commits = 0, rows = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobcast::engine
