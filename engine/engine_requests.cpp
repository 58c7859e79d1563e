// What clients ask of the engine. Waiting and running jobs are answered from memory, finished ones from the store.
#include <algorithm>

#include "base/invariant.h"
#include "base/log.h"
#include "engine/engine.h"
#include "engine/program.h"
#include "engine/snapshot.h"

namespace jobcast::engine {
namespace {

constexpr size_t kArgsBytesInMemoryMax = size_t{256} << 20;
constexpr size_t kArgsBytesOfOwnerMax = size_t{32} << 20;

Error absent() { return {Errc::not_found, "no such job", "job_id"}; }
bool may_see(const Job& job, const std::string& owner) { return owner.empty() || owner == job.owner; }

template <class Map>
std::string names(const Map& map) {
  std::string out;
  for (const auto& [key, value] : map) out += (out.empty() ? "" : ", ") + key;
  return out;
}

}  // namespace

Result<Job> Engine::draft(const Submission& submission) {
  const auto kind = config_.kinds.find(submission.kind);
  if (kind == config_.kinds.end())
    return {Errc::invalid, "kind \"" + submission.kind + "\" is not configured; there are: " + names(config_.kinds), "kind"};
  if (auto argv = program_argv(kind->second, submission.args_json); !argv) return argv.error();  // now rather than at its start
  Job job;
  job.kind = submission.kind;
  job.owner = submission.owner;
  job.queue = submission.queue.value_or(kind->second.queue);
  const auto queue = config_.queues.find(job.queue);
  if (queue == config_.queues.end())
    return {Errc::invalid, "queue \"" + job.queue + "\" is not configured; there are: " + names(config_.queues), "queue"};
  job.max_attempts = submission.max_attempts.value_or(kind->second.max_attempts);
  if (job.max_attempts > kind->second.max_attempts_limit)
    return {Errc::invalid, "max_attempts of kind " + job.kind + " is at most " + std::to_string(kind->second.max_attempts_limit),
            "max_attempts"};
  job.priority = submission.priority;
  job.args_json = submission.args_json;
  job.meta_json = submission.meta_json;
  job.unique_key = submission.unique_key;
  job.idempotency_key = submission.idempotency_key;
  return job;
}

Result<void> Engine::room_for(const Job& job) const {
  const QueueConfig& queue = config_.queues.at(job.queue);
  int64_t waiting = 0;
  for (const auto& counts : scheduler_.counts())
    if (counts.name == job.queue) waiting = counts.scheduled + counts.queued + counts.retrying;
  if (waiting + static_cast<int64_t>(inserting_) >= queue.waiting_max)
    return {Errc::full, "queue " + job.queue + " holds " + std::to_string(waiting) + " waiting jobs: submit again later", "queue"};
  if (const auto held = held_of_.find(job.owner); held != held_of_.end()) {
    if (held->second.jobs >= queue.waiting_per_owner_max)
      return {Errc::full, "this owner has " + std::to_string(held->second.jobs) + " jobs that are not over: submit again later", "owner"};
    if (held->second.args_bytes + job.args_json.size() > kArgsBytesOfOwnerMax)
      return {Errc::full, "the args of this owner's jobs that are not over fill 32 MiB: submit again later", "owner"};
  }
  if (args_bytes_ + job.args_json.size() > kArgsBytesInMemoryMax)
    return {Errc::full, "the args of the waiting jobs fill the engine's memory: submit again later"};
  return {};
}

void Engine::submit(const Submission& submission, Done<Submitted> done) {
  if (stopping_) return done({Errc::retry, "the engine is stopping: submit again to the next one"});
  auto job = draft(submission);
  if (!job) return done(job.error());
  // Where there is no room, one that repeats a submit must still hear of the job that it made. One without a key needs nobody asked.
  auto room = room_for(*job);
  if (!room && job->idempotency_key.empty() && job->unique_key.empty()) return done(room.error());
  if (store_.queue_length() >= Store::kQueueMax) return done({Errc::full, "the store cannot keep up: submit again later"});
  const int64_t now_ms = loop_.now().unix_ms;
  const bool later = submission.run_at_ms.value_or(0) > now_ms;
  job->id = ids_.next(now_ms);
  job->run_at_ms = later ? *submission.run_at_ms : now_ms;
  Facts arrived;
  arrived.now = loop_.now();
  invariant(apply(*job, later ? On::insert_later : On::insert, arrived).ok());
  const uint64_t rev = job->rev = publisher_.revisions().reserve();
  ++inserting_;
  store_.insert(
      std::move(*job), [this, rev, done = std::move(done)](Result<Store::Inserted> result) { inserted(rev, std::move(result), done); },
      std::move(room));
}

void Engine::inserted(uint64_t rev, Result<Store::Inserted> result, const Done<Submitted>& done) {
  publisher_.revisions().settle(rev);
  --inserting_;
  if (!result) {
    done(result.error());
  } else if (!result->created) {
    const Live* live = find(result->job.id);
    done(Submitted{live ? live->snapshot : encode(result->job), false});
  } else {
    Live& live = add(std::move(result->job));
    scheduler_.note(live.job);
    may_start_ = true;
    ++totals_.submitted;
    live.snapshot = encode(live.job);
    publisher_.publish({live.job.id, rev, live.job.state, true, live.job.owner, live.snapshot});
    done(Submitted{live.snapshot, true});
  }
  publish_held();
}

// Asks the store for a job that memory does not have. It may have come to life while the store looked: then `live` is asked again.
void Engine::from_store(const JobId& id, const std::string& owner, std::function<void(Error)> fail, std::function<void(Live&)> live,
                        std::function<void(Job)> stored) {
  store_.get(id, [this, id, owner, fail = std::move(fail), live = std::move(live), stored = std::move(stored)](Result<Job> job) {
    if (Live* found = find(id)) return live(*found);
    if (!job) return fail(job.error().code == Errc::not_found ? absent() : job.error());
    if (!may_see(*job, owner)) return fail(absent());
    stored(std::move(*job));
  });
}

void Engine::get(const JobId& id, const std::string& owner, Done<std::string> done) {
  const auto answer = [owner, done](const Live& live) { may_see(live.job, owner) ? done(live.snapshot) : done(absent()); };
  if (const Live* live = find(id)) return answer(*live);
  from_store(id, owner, done, answer, [this, done](const Job& job) { done(encode(job)); });
}

void Engine::list(const ListFilter& filter, Done<Page> done) {
  store_.list(filter, [this, done = std::move(done)](Result<std::vector<Job>> jobs) {
    if (!jobs) return done(jobs.error());
    Page page;
    for (const Job& job : *jobs) {
      const Live* live = find(job.id);
      page.emplace_back(job.id, live ? live->snapshot : encode(job));
    }
    done(std::move(page));
  });
}

// The answer to a request that changes nothing: what is on its way to the disk is waited for.
void Engine::answer_settled(Live& live, Done<std::string> done) {
  if (live.in_flight == 0) return done(live.snapshot);
  live.answers.emplace_back(live.job.rev, std::move(done));
}

void Engine::cancel(const JobId& id, const std::string& owner, const std::string& by, Done<std::string> done) {
  if (Live* live = find(id)) return cancel_live(*live, owner, by, done);
  from_store(
      id, owner, done, [this, owner, by, done](Live& live) { cancel_live(live, owner, by, done); },
      [this, done](const Job& job) { done(encode(job)); });
}

void Engine::cancel_live(Live& live, const std::string& owner, const std::string& by, const Done<std::string>& done) {
  if (!may_see(live.job, owner)) return done(absent());
  if (is_terminal(live.job.state) || live.job.cancel) return answer_settled(live, done);
  Facts asked = facts(live);
  asked.by = by;
  must(live, On::cancel, asked);
  if (live.job.state == JobState::running) {
    if (live.gate) {  // its program has not begun
      launcher_->abandon(live.job.id);
      live.gate.reset();
      must(live, On::cancel_done, facts(live, Reason::user));
    } else if (launcher_) {
      launcher_->cancel(live.job.id);
    }
  }
  commit(live, done);
}

void Engine::retry(const JobId& id, const std::string& owner, Done<std::string> done) {
  if (Live* live = find(id)) return retry_live(*live, owner, done);
  from_store(
      id, owner, done, [this, owner, done](Live& live) { retry_live(live, owner, done); },
      [this, owner, done](Job job) {
        std::string snapshot = encode(job);
        Live& live = add(std::move(job));
        live.snapshot = std::move(snapshot);
        live.revived = true;
        retry_live(live, owner, done);
        if (live.in_flight == 0) remove(live);  // refused
      });
}

void Engine::retry_live(Live& live, const std::string& owner, const Done<std::string>& done) {
  const Job& job = live.job;
  if (!may_see(job, owner)) return done(absent());
  if (job.state != JobState::failed && job.state != JobState::cancelled && job.state != JobState::retrying)
    return done({Errc::invalid,
                 std::string("a job that is ") + name(job.state) + " cannot be retried: only a failed, cancelled or retrying one",
                 "job_id"});
  if (stopping_) return done({Errc::retry, "the engine is stopping: ask the next one"});
  if (!job.unique_key.empty() && is_terminal(job.state))
    for (const auto& [id, other] : live_)
      if (!is_terminal(other->job.state) && other->job.unique_key == job.unique_key && other->job.kind == job.kind &&
          other->job.owner == job.owner)
        return done({Errc::invalid, "job " + id.text() + " with the same unique_key is not over", "job_id"});
  must(live, On::retry, facts(live));
  ++totals_.retried;
  commit(live, done);
}

void Engine::result(const JobId& id, const std::string& owner, Done<std::string> done) {
  const Error none{Errc::not_found, "the job has no result (yet)", "job_id"};
  const auto alive = [owner, none, done](const Live& live) { done(may_see(live.job, owner) ? none : absent()); };
  if (const Live* live = find(id)) return alive(*live);
  from_store(id, owner, done, alive, [none, done](Job job) { job.result_json.empty() ? done(none) : done(std::move(job.result_json)); });
}

void Engine::log(const JobId& id, const std::string& owner, Done<LogPlace> done) {
  const auto place = [this, done](const JobId& job, bool complete) {
    if (!launcher_) return done({Errc::retry, "the engine is stopping: ask the next one"});
    done(LogPlace{launcher_->log_path(job), launcher_->log_dropped(job), complete});
  };
  const auto alive = [owner, done, place](const Live& live) { may_see(live.job, owner) ? place(live.job.id, false) : done(absent()); };
  if (const Live* live = find(id)) return alive(*live);
  from_store(id, owner, done, alive, [place](const Job& job) { place(job.id, true); });
}

}  // namespace jobcast::engine
