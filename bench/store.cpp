// What durability costs: jobs acknowledged a second through the store, beside bare SQLite that writes the same rows with as many jobs
// a commit on the same disk. `./dev bench store`.
#include <poll.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/handle.h"
#include "bench/bench.h"
#include "engine/store.h"

using namespace jobcast;
using namespace jobcast::bench;
using namespace jobcast::engine;

namespace {

constexpr int kRounds = 5;
constexpr int kJobs = 20'000;
constexpr int kOnTheirWay = 1024;
constexpr int kAlone = 100;
constexpr std::string_view kResult = R"({"boards":1370754,"hands":[{"hand":"AsAhKsKh","win":802361,"tie":0,"equity":0.5853}]})";

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/jobcast-bench-XXXXXX";
    invariant(mkdtemp(name) != nullptr);
    path_ = name;
  }
  Directory(const Directory&) = delete;
  ~Directory() {
    for (const char* file : {"/jobs.db", "/jobs.db-wal", "/acknowledged"}) unlink((path_ + file).c_str());
    rmdir(path_.c_str());
  }
  [[nodiscard]] std::string database() const { return path_ + "/jobs.db"; }

 private:
  std::string path_;
};

JobIdSource ids;

Job new_job() {
  Job job;
  job.created_ms = now().unix_ms;
  job.id = ids.next(job.created_ms);
  job.kind = "plo-equity";
  job.owner = "alice";
  job.queue = "default";
  job.rev = (uint64_t{1} << 32) + 1;
  job.args_json = R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"exact"})";
  return job;
}

void deliver(Store& store) {
  pollfd ready{store.ready_fd(), POLLIN, 0};
  poll(&ready, 1, -1);
  store.deliver();
}

struct Outcome {
  double jobs_a_second = 0;
  double cpu_us_a_job = 0;
  double jobs_a_commit = 0;
};

// From its making to told().
class Span {
 public:
  [[nodiscard]] Outcome told(int jobs, double jobs_a_commit) const {
    const auto wall = static_cast<double>(now_ns() - wall_), cpu = static_cast<double>(cpu_ns() - cpu_);
    return {jobs * 1e9 / wall, cpu / 1e3 / jobs, jobs_a_commit};
  }

 private:
  int64_t wall_ = now_ns(), cpu_ = cpu_ns();
};

// Keeps `window` jobs on their way. `whole`: each is inserted, started and completed, in a commit each; else only inserted.
Outcome through_the_store(int jobs, int window, bool whole) {
  const Directory directory;
  auto store = std::move(Store::open(directory.database())).value();
  invariant(store->load(0).ok());
  int begun = 0, on_their_way = 0, over = 0;
  const auto finished = [&](const auto& result) {
    invariant(result.ok());
    --on_their_way;
    ++over;
  };
  const Span span;
  const uint64_t commits = store->stats().commits;
  while (over < jobs) {
    for (; begun < jobs && on_their_way < window; ++begun, ++on_their_way) {
      if (!whole) {
        store->insert(new_job(), finished);
        continue;
      }
      store->insert(new_job(), [&](auto inserted) {
        Job job = std::move(inserted->job);
        job.state = JobState::running;
        job.attempt = 1;
        job.fence = 1;
        job.started_ms = job.created_ms;
        store->update(job, Attempt{job.id, 1, 4711, 99887766, "0c1c3b5e-6f0e-4a5f-8f6e-6a2f5c1d2e3f", ""},
                      [&, job](const auto& started) mutable {
                        invariant(started.ok());
                        job.state = JobState::completed;
                        job.finished_ms = job.created_ms;
                        job.result_json = kResult;
                        job.result_bytes = kResult.size();
                        store->update(job, std::nullopt, finished);
                      });
      });
    }
    deliver(*store);
  }
  return span.told(jobs, (whole ? 3.0 : 1.0) * jobs / static_cast<double>(store->stats().commits - commits));
}

// SQLite itself, on a database that the store has made: the same tables, indexes and durability.
class Bare {
 public:
  Bare() {
    invariant(Store::open(directory_.database()).ok());
    sqlite3* connection = nullptr;
    invariant(sqlite3_open(directory_.database().c_str(), &connection) == SQLITE_OK);
    connection_.reset(connection);
    for (const char* pragma : {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA synchronous = FULL", "PRAGMA journal_mode = WAL"})
      execute(pragma);
    insert_ = prepare(
        "INSERT INTO jobs VALUES (?1, 'plo-equity', 'alice', 'default', 0, 1795440000123, '{}', '', '', 2, '', 0, 1, 0, 0, 0, NULL, NULL, "
        "NULL, NULL, NULL, NULL, '', 0, 4294967297, NULL, NULL, NULL, NULL, NULL, '', '')");
    args_ = prepare("INSERT INTO args (job, json) VALUES (?1, '{\"hands\":[\"AsAhKsKh\",\"8c7d6c5d\"],\"mode\":\"exact\"}')");
    start_ = prepare("UPDATE jobs SET state = 3, attempt = 1, fence = 1, started_ms = 1795440000123 WHERE id = ?1");
    proof_ = prepare("INSERT INTO attempts VALUES (?1, 1, 4711, 99887766, '0c1c3b5e-6f0e-4a5f-8f6e-6a2f5c1d2e3f', '')");
    complete_ = prepare("UPDATE jobs SET state = 5, finished_ms = 1795440000123, result_bytes = 84 WHERE id = ?1");
    result_ = prepare("INSERT INTO results (job, json) VALUES (?1, '" + std::string(kResult) + "')");
    forget_ = prepare("DELETE FROM attempts WHERE job = ?1");
  }

  Outcome outcome(int jobs, int jobs_a_commit, bool whole) {
    const Span span;
    std::vector<JobId> group;
    for (int done = 0; done < jobs; done += jobs_a_commit) {
      group.clear();
      for (int i = 0; i < jobs_a_commit; ++i) group.push_back(ids.next(now().unix_ms));
      commit(group, {&insert_, &args_});
      if (!whole) continue;
      commit(group, {&start_, &proof_});
      commit(group, {&complete_, &result_, &forget_});
    }
    return span.told(jobs, jobs_a_commit);
  }

 private:
  using Statement = Handle<sqlite3_stmt, sqlite3_finalize>;

  void execute(const char* sql) { invariant(sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK); }
  Statement prepare(const std::string& sql) {
    sqlite3_stmt* prepared = nullptr;
    invariant(sqlite3_prepare_v2(connection_.get(), sql.c_str(), -1, &prepared, nullptr) == SQLITE_OK);
    return Statement(prepared);
  }
  void commit(const std::vector<JobId>& group, std::initializer_list<Statement*> statements) {
    execute("BEGIN IMMEDIATE");
    for (const JobId& id : group)
      for (Statement* statement : statements) {
        sqlite3_bind_blob(statement->get(), 1, id.bytes.data(), 16, SQLITE_STATIC);
        invariant(sqlite3_step(statement->get()) == SQLITE_DONE);
        sqlite3_reset(statement->get());
      }
    execute("COMMIT");
  }

  Directory directory_;
  Handle<sqlite3, sqlite3_close_v2> connection_;
  Statement insert_, args_, start_, proof_, complete_, result_, forget_;
};

}  // namespace

int main(int argc, char** argv) {
  Samples samples;
  for (int round = 0; round < kRounds; ++round)
    for (const bool whole : {false, true}) {
      const std::string what = whole ? "lives" : "inserts";
      const Outcome store = through_the_store(kJobs, kOnTheirWay, whole);
      const Outcome bare = Bare().outcome(kJobs, static_cast<int>(store.jobs_a_commit), whole);
      samples.add(what, store.jobs_a_second);
      samples.add(what + ", cpu", store.cpu_us_a_job);
      samples.add(what + ", a commit", store.jobs_a_commit);
      samples.add(what + ", bare", bare.jobs_a_second);
      samples.add(what + ", bare cpu", bare.cpu_us_a_job);
    }
  for (int round = 0; round < kRounds; ++round) {
    samples.add("alone", 1e6 / through_the_store(kAlone, 1, false).jobs_a_second);
    samples.add("alone, bare", 1e6 / Bare().outcome(kAlone, 1, false).jobs_a_second);
  }
  Table table(wants_json(argc, argv));
  const auto show = [&](const std::string& what, const char* in_words) {
    table.show(std::string("jobs in a commit, ") + in_words, samples.median(what + ", a commit"), "jobs");
    table.ratio(std::string("jobs a second, ") + in_words, samples.median(what), "1/s", samples.median(what + ", bare"), Goal::at_least,
                0.5);
    table.ratio(std::string("processor time a job, ") + in_words, samples.median(what + ", cpu"), "us", samples.median(what + ", bare cpu"),
                Goal::at_most, 2);
  };
  show("inserts", "inserted and answered");
  show("lives", "inserted, started, completed");
  table.ratio("time from call to answer, one job alone", samples.median("alone"), "us", samples.median("alone, bare"), Goal::at_most, 2);
}
