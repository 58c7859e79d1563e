// Rows in, rows out.
#include "engine/store_sql.h"

#include <algorithm>

#include "base/json.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kRetainMax = 1000;
constexpr int64_t kPidMax = 1 << 22;  // Linux has no higher ones
constexpr int kTerminal = static_cast<int>(JobState::completed);
static_assert(kTerminal == 5 && static_cast<int>(JobState::running) == 3, "the SQL below says so in numbers");

// The order in which a job's members are bound and read.
#define FIXED "id, kind, owner, queue, priority, created_ms, meta, unique_key, idempotency_key"
#define PROGRESS "rev, done, total, percent, rate, eta_ms, phase, message"
#define MOVING                                                                                                                 \
  "state, reason, attempt, max_attempts, crashes, fence, run_at_ms, started_ms, finished_ms, cancel_requested_ms, cancel_by, " \
  "cancel_acknowledged_ms, exit_code, error, result_bytes, " PROGRESS
#define EIGHT "?, ?, ?, ?, ?, ?, ?, ?"
// ?1: how many bytes of a result are still read with its job.
#define RESULT "CASE WHEN result_bytes BETWEEN 1 AND ?1 THEN (SELECT json FROM results WHERE job = id) END"
#define JOBS "SELECT " FIXED ", " MOVING ", (SELECT json FROM args WHERE job = id), " RESULT " FROM jobs "
#define LISTED "SELECT " FIXED ", " MOVING ", NULL, " RESULT " FROM jobs "
// ?2 … ?6: kind, queue, states as bits, the id below which to go on, how many.
#define FILTERED                                                                                                      \
  "(?2 = '' OR kind = ?2) AND (?3 = '' OR queue = ?3) AND (?4 = 0 OR (?4 >> state) & 1) AND (?5 IS NULL OR id < ?5) " \
  "ORDER BY id DESC LIMIT ?6"

}  // namespace

enum class Database::Sql : uint8_t {
  begin,
  commit,
  next_boot,
  live,
  finished,
  attempts,
  with_idempotency_key,
  with_unique_key,
  insert,
  put_args,
  update,
  update_progress,
  put_result,
  put_attempt,
  drop_attempt,
  get,
  list,
  list_of_owner,
  count,
  count_finished,
  oldest_finished,
  first_finished,
  clock_set,
  set_clock_set,
  drop_job,
  drop_args,
  drop_result,
  count_commit,
  end
};

Result<void> Database::prepare() {
  struct Entry {
    Sql name;
    const char* text;
  };
  static constexpr std::array kTexts{
      Entry{Sql::begin, "BEGIN IMMEDIATE"},
      Entry{Sql::commit, "COMMIT"},
      Entry{Sql::next_boot, "UPDATE counters SET value = value + 1 WHERE name = 'boot' RETURNING value"},
      Entry{Sql::live, JOBS "WHERE state < 5 ORDER BY id"},
      Entry{Sql::finished, LISTED "WHERE state >= 5 ORDER BY finished_ms DESC LIMIT ?2"},
      Entry{Sql::attempts, "SELECT job, fence, pid, start_ticks, boot_id, cgroup FROM attempts"},
      Entry{Sql::with_idempotency_key, "SELECT id FROM jobs WHERE owner = ? AND idempotency_key = ? AND idempotency_key <> ''"},
      Entry{Sql::with_unique_key, "SELECT id FROM jobs WHERE kind = ? AND owner = ? AND unique_key = ? AND unique_key <> '' AND state < 5"},
      Entry{Sql::insert, "INSERT INTO jobs (" FIXED ", " MOVING ") VALUES (" EIGHT ", " EIGHT ", " EIGHT ", " EIGHT ")"},
      Entry{Sql::put_args, "INSERT INTO args (job, json) VALUES (?, ?)"},
      Entry{Sql::update, "UPDATE jobs SET (" MOVING ") = (?, ?, ?, ?, ?, ?, ?, " EIGHT ", " EIGHT ") WHERE id = ?"},
      Entry{Sql::update_progress, "UPDATE jobs SET (" PROGRESS ") = (" EIGHT ") WHERE id = ? AND fence = ? AND state = 3"},
      Entry{Sql::put_result, "INSERT OR REPLACE INTO results (job, json) VALUES (?, ?)"},
      Entry{Sql::put_attempt, "INSERT OR REPLACE INTO attempts (job, fence, pid, start_ticks, boot_id, cgroup) VALUES (?, ?, ?, ?, ?, ?)"},
      Entry{Sql::drop_attempt, "DELETE FROM attempts WHERE job = ?"},
      Entry{Sql::get, JOBS "WHERE id = ?2"},
      Entry{Sql::list, LISTED "WHERE " FILTERED},
      Entry{Sql::list_of_owner, LISTED "WHERE owner = ?7 AND " FILTERED},
      Entry{Sql::count, "SELECT state, count(*) FROM jobs GROUP BY state"},
      Entry{Sql::count_finished, "SELECT count(*), count(*) FILTER (WHERE finished_ms < ?) FROM jobs WHERE state >= 5"},
      Entry{Sql::oldest_finished, "SELECT id FROM jobs WHERE state >= 5 ORDER BY finished_ms LIMIT ?"},
      Entry{Sql::first_finished, "SELECT id FROM jobs WHERE state >= 5 ORDER BY rev LIMIT ?"},
      Entry{Sql::clock_set,
            "SELECT coalesce((SELECT value FROM counters WHERE name = 'clock_set'), 0), "
            "EXISTS (SELECT 1 FROM jobs WHERE state >= 5 AND finished_ms < ?)"},
      Entry{Sql::set_clock_set, "INSERT INTO counters VALUES ('clock_set', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"},
      Entry{Sql::drop_job, "DELETE FROM jobs WHERE id = ?"},
      Entry{Sql::drop_args, "DELETE FROM args WHERE job = ?"},
      Entry{Sql::drop_result, "DELETE FROM results WHERE job = ?"},
      Entry{Sql::count_commit, "UPDATE counters SET value = ? WHERE name = 'commits'"},
  };
  static_assert(kTexts.size() == static_cast<size_t>(Sql::end) && kTexts.size() <= kStatementsMax);
  for (const Entry& entry : kTexts) {
    sqlite3_stmt* prepared = nullptr;
    const int code = sqlite3_prepare_v3(connection_.get(), entry.text, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    if (code != SQLITE_OK) return fail(code);
    statements_[static_cast<size_t>(entry.name)].reset(prepared);
  }
  return {};
}

// Binds and reads from left to right; resets the statement at its end. What is bound is borrowed until then.
class Database::Run {
 public:
  Run(Database& database, Sql name) : statement_(database.statements_[static_cast<size_t>(name)].get()) {}
  ~Run() { sqlite3_reset(statement_); }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  Run& operator<<(std::integral auto value) { return bound(sqlite3_bind_int64(statement_, ++bound_, static_cast<int64_t>(value))); }
  Run& operator<<(double value) { return bound(sqlite3_bind_double(statement_, ++bound_, value)); }
  Run& operator<<(std::nullptr_t) { return bound(sqlite3_bind_null(statement_, ++bound_)); }
  Run& operator<<(std::string_view text) {
    return bound(sqlite3_bind_text64(statement_, ++bound_, text.data() ? text.data() : "", text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  Run& operator<<(const JobId& id) { return bound(sqlite3_bind_blob(statement_, ++bound_, id.bytes.data(), 16, SQLITE_STATIC)); }
  template <class T>
  Run& operator<<(const std::optional<T>& value) {
    return value ? *this << *value : *this << nullptr;
  }

  // The next row, if there is one; then code() says whether it ended well.
  bool row() {
    if (code_ != SQLITE_OK && code_ != SQLITE_ROW) return false;
    code_ = sqlite3_step(statement_);
    column_ = 0;
    return code_ == SQLITE_ROW;
  }
  [[nodiscard]] int code() const { return code_; }

  template <std::integral T>
  Run& operator>>(T& value) {
    value = static_cast<T>(sqlite3_column_int64(statement_, column_++));
    return *this;
  }
  Run& operator>>(double& value) {
    value = sqlite3_column_double(statement_, column_++);
    return *this;
  }
  Run& operator>>(std::string& text) {  // NULL leaves it as it is
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column_));
    if (sqlite3_column_type(statement_, column_) != SQLITE_NULL)
      text.assign(bytes ? bytes : "", static_cast<size_t>(sqlite3_column_bytes(statement_, column_)));
    ++column_;
    return *this;
  }
  Run& operator>>(JobId& id) {
    const auto* bytes = static_cast<const uint8_t*>(sqlite3_column_blob(statement_, column_));
    if (sqlite3_column_bytes(statement_, column_++) == 16) std::copy_n(bytes, 16, id.bytes.begin());
    return *this;
  }
  template <class T>
  Run& operator>>(std::optional<T>& value) {
    if (sqlite3_column_type(statement_, column_) == SQLITE_NULL) {
      value.reset();
      ++column_;
      return *this;
    }
    return *this >> value.emplace();
  }

 private:
  Run& bound(int code) {
    if (code_ == SQLITE_OK) code_ = code;
    return *this;
  }
  sqlite3_stmt* statement_;
  int bound_ = 0, column_ = 0, code_ = SQLITE_OK;
};

namespace {

template <class Run>
Run& bind_progress(Run& run, const Job& job) {
  const Progress& p = job.progress;
  return run << job.rev << p.done << p.total << p.percent << p.rate << p.eta_ms << p.phase << p.message;
}

template <class Run>
Run& bind_moving(Run& run, const Job& job) {
  run << static_cast<int>(job.state) << std::string_view(name(job.reason)) << job.attempt << job.max_attempts << job.crashes << job.fence
      << job.run_at_ms << job.started_ms << job.finished_ms;
  if (job.cancel)
    run << job.cancel->requested_ms << job.cancel->by << job.cancel->acknowledged_ms;
  else
    run << nullptr << nullptr << nullptr;
  run << job.exit_code << job.error << job.result_bytes;
  return bind_progress(run, job);
}

bool is_object(std::string_view json) {
  if (json == "{}") return true;
  const auto read = Json::parse(json);
  return read && read->view().is_object();
}

// `wrong`: what of it no engine wrote.
template <class Run>
Job read_job(Run& run, std::string& wrong) {
  Job job;
  int state = 0;
  std::string reason;
  std::optional<int64_t> cancel_requested_ms;
  CancelRequest cancel;
  Progress& p = job.progress;
  run >> job.id >> job.kind >> job.owner >> job.queue >> job.priority >> job.created_ms >> job.meta_json >> job.unique_key >>
      job.idempotency_key;
  run >> state >> reason >> job.attempt >> job.max_attempts >> job.crashes >> job.fence >> job.run_at_ms >> job.started_ms >>
      job.finished_ms >> cancel_requested_ms >> cancel.by >> cancel.acknowledged_ms >> job.exit_code >> job.error >> job.result_bytes;
  run >> job.rev >> p.done >> p.total >> p.percent >> p.rate >> p.eta_ms >> p.phase >> p.message;
  run >> job.args_json >> job.result_json;
  job.state = static_cast<JobState>(state);
  job.reason = parse_reason(reason).value_or(Reason::none);
  if (state < static_cast<int>(JobState::scheduled) || state > static_cast<int>(JobState::cancelled))
    wrong = "state is " + std::to_string(state);
  else if (!parse_reason(reason))
    wrong = "reason is none of jobcast's";
  else if (!is_object(job.meta_json))
    wrong = "meta is no JSON object";
  else if (!is_object(job.args_json))
    wrong = "args are no JSON object";
  else if (!job.result_json.empty() && !Json::parse(job.result_json))
    wrong = "the result is no JSON";
  else if (!is_utf8(job.kind) || !is_utf8(job.owner) || !is_utf8(job.queue) || !is_utf8(job.error) || !is_utf8(job.progress.phase) ||
           !is_utf8(job.progress.message) || !is_utf8(cancel.by))
    wrong = "a text is no UTF-8";
  if (cancel_requested_ms) {
    cancel.requested_ms = *cancel_requested_ms;
    job.cancel = std::move(cancel);
  }
  return job;
}

}  // namespace

Result<void> Database::complete(Run& run) {
  while (run.row()) {
  }
  if (run.code() != SQLITE_DONE) return fail(run.code());
  return {};
}

Result<std::vector<Job>> Database::jobs(Run& run) {
  std::vector<Job> out;
  for (std::string wrong; run.row();) {
    out.push_back(read_job(run, wrong));
    if (wrong.empty()) continue;
    return {Errc::corrupt,
            shown_ + ": the row of job " + out.back().id.text() + " was written by no engine (" + wrong + ")" + std::string(kRowRemedy)};
  }
  if (run.code() != SQLITE_DONE) return fail(run.code());
  return out;
}

Result<std::vector<JobId>> Database::ids(Run& run) {
  std::vector<JobId> out;
  while (run.row()) run >> out.emplace_back();
  if (run.code() != SQLITE_DONE) return fail(run.code());
  return out;
}

Result<void> Database::begin() {
  changes_before_ = sqlite3_total_changes64(connection_.get());
  Run run(*this, Sql::begin);
  return complete(run);
}

Result<void> Database::in_place() {
  if (!guard_.begun())
    if (auto begun = guard_.begin(store_, commits_); !begun) {
      fault_ = begun.error();
      return begun;
    }
  const std::string what = guard_.misplaced();
  if (what.empty()) return {};
  fault_ = Error{Errc::retry, what};
  return *fault_;
}

// Nothing is answered for that went into files which nobody will find again.
Result<void> Database::commit() {
  const bool changed = sqlite3_total_changes64(connection_.get()) != changes_before_;
  if (changed) {
    if (auto there = in_place(); !there) return there;
    Run count(*this, Sql::count_commit);
    if (auto done = complete(count << commits_ + 1); !done) return done;
    ++counted_;
  }
  Run run(*this, Sql::commit);
  if (auto done = complete(run); !done || !changed) return done;
  ++commits_;
  if (auto there = in_place(); !there) return there;
  guard_.acknowledge(commits_);
  return {};
}

void Database::rollback() {
  if (sqlite3_get_autocommit(connection_.get()) == 0) sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  fault_.reset();
}

Result<Loaded> Database::load(size_t finished_max) {
  auto loaded = read_all(finished_max);
  if (!loaded) {
    if (!fault_) fault_ = loaded.error();  // so that the boot is not counted
    return loaded;
  }
  may_checkpoint(true);
  shown_ = path_.substr(path_.rfind('/') + 1);
  return loaded;
}

Result<Loaded> Database::read_all(size_t finished_max) {
  Loaded out;
  auto boot = count_boot();
  if (!boot) return boot.error();
  out.boot = *boot;

  Run live(*this, Sql::live);
  auto read = jobs(live << kSnapshotBytesMax);
  if (!read) return read.error();
  out.live = std::move(read).value();
  Run finished(*this, Sql::finished);
  read = jobs(finished << kSnapshotBytesMax << finished_max);
  if (!read) return read.error();
  out.finished = std::move(read).value();

  Run attempts(*this, Sql::attempts);
  while (attempts.row()) {
    Attempt& attempt = out.attempts.emplace_back();
    attempts >> attempt.job >> attempt.fence >> attempt.pid >> attempt.start_ticks >> attempt.boot_id >> attempt.cgroup;
    if (attempt.job == JobId{} || attempt.pid < 0 || attempt.pid > kPidMax)
      return {Errc::corrupt,
              shown_ + ": a row of attempts (pid " + std::to_string(attempt.pid) + ") was written by no engine" + std::string(kRowRemedy)};
  }
  if (auto done = complete(attempts); !done) return done.error();
  return out;
}

Result<uint32_t> Database::count_boot() {
  uint32_t boot = 0;
  Run run(*this, Sql::next_boot);
  if (!run.row()) return fail(run.code());
  run >> boot;
  if (auto done = complete(run); !done) return done.error();
  return boot;
}

Result<std::array<int64_t, 8>> Database::count() {
  std::array<int64_t, 8> out{};
  Run run(*this, Sql::count);
  while (run.row()) {
    size_t state = 0;
    int64_t here = 0;
    run >> state >> here;
    if (state < out.size()) out[state] = here;
  }
  if (auto done = complete(run); !done) return done.error();
  return out;
}

Result<Store::Inserted> Database::insert(Job job, const Result<void>& room) {
  if (!job.idempotency_key.empty()) {
    Run run(*this, Sql::with_idempotency_key);
    auto same = ids(run << job.owner << job.idempotency_key);
    if (!same) return same.error();
    if (!same->empty()) {
      auto made = get(same->front());
      if (!made) return made.error();
      if (made->kind != job.kind || made->args_json != job.args_json)
        return {Errc::invalid, "idempotency_key was used before for another kind or other args: take a new key", "idempotency_key"};
      return Store::Inserted{std::move(made).value(), false};
    }
  }
  if (!job.unique_key.empty()) {
    Run run(*this, Sql::with_unique_key);
    auto same = ids(run << job.kind << job.owner << job.unique_key);
    if (!same) return same.error();
    if (!same->empty()) {
      auto alive = get(same->front());
      if (!alive) return alive.error();
      return Store::Inserted{std::move(alive).value(), false};
    }
  }
  if (!room) return room.error();
  Run run(*this, Sql::insert);
  run << job.id << job.kind << job.owner << job.queue << job.priority << job.created_ms << job.meta_json << job.unique_key
      << job.idempotency_key;
  if (auto done = complete(bind_moving(run, job)); !done) return done.error();
  if (job.args_json != "{}") {
    Run args(*this, Sql::put_args);
    if (auto done = complete(args << job.id << job.args_json); !done) return done.error();
  }
  return Store::Inserted{std::move(job), true};
}

Result<void> Database::update(const Job& job, const std::optional<Attempt>& attempt) {
  Run run(*this, Sql::update);
  if (auto done = complete(bind_moving(run, job) << job.id); !done) return done;
  if (sqlite3_changes(connection_.get()) == 0) return {Errc::not_found, "job " + job.id.text() + " is not in the store"};
  if (!job.result_json.empty()) {
    Run result(*this, Sql::put_result);
    if (auto done = complete(result << job.id << job.result_json); !done) return done;
  }
  if (attempt) {
    Run proof(*this, Sql::put_attempt);
    proof << attempt->job << attempt->fence << attempt->pid << attempt->start_ticks << attempt->boot_id << attempt->cgroup;
    if (auto done = complete(proof); !done) return done;
  } else if (job.state != JobState::running) {
    Run proof(*this, Sql::drop_attempt);
    if (auto done = complete(proof << job.id); !done) return done;
  }
  return {};
}

Result<void> Database::update_progress(const Job& job) {
  Run run(*this, Sql::update_progress);
  return complete(bind_progress(run, job) << job.id << job.fence);
}

Result<Job> Database::get(const JobId& id) {
  Run run(*this, Sql::get);
  auto found = jobs(run << kResultBytesMax << id);
  if (!found) return found.error();
  if (found->empty()) return {Errc::not_found, "there is no job " + id.text()};
  return std::move(found->front());
}

Result<std::vector<Job>> Database::list(const ListFilter& filter) {
  unsigned states = 0;
  for (const JobState state : filter.states) states |= 1U << static_cast<unsigned>(state);
  Run run(*this, filter.owner.empty() ? Sql::list : Sql::list_of_owner);
  run << kSnapshotBytesMax << filter.kind << filter.queue << states << filter.before << filter.limit;
  if (!filter.owner.empty()) run << filter.owner;
  return jobs(run);
}

// Jobs that finished before this are over age; nullopt: ages cannot be told yet. The counter `clock_set` holds since when they can:
// 0 always could, kClockUnset while the clock is not set.
Result<std::optional<int64_t>> Database::over_age_before(const Store::Retention& retention) {
  constexpr int64_t kClockUnset = -1;
  int64_t since = 0, of_unset_clock = 0;
  Run read(*this, Sql::clock_set);
  read << built_unix_ms();
  if (!read.row()) return fail(read.code());
  read >> since >> of_unset_clock;
  int64_t fresh = since;
  if (!retention.now.wall_set)
    fresh = kClockUnset;
  else if (since == kClockUnset || retention.clock_was_set || (since == 0 && of_unset_clock > 0))
    fresh = retention.now.unix_ms;
  if (fresh != since) {
    Run write(*this, Sql::set_clock_set);
    if (auto done = complete(write << fresh); !done) return done.error();
  }
  if (fresh == kClockUnset || (fresh > 0 && retention.now.unix_ms - fresh < retention.age_max_ms)) return std::optional<int64_t>();
  return std::optional(retention.now.unix_ms - retention.age_max_ms);
}

Result<std::vector<JobId>> Database::retain(const Store::Retention& retention) {
  const auto before = over_age_before(retention);
  if (!before) return before.error();
  int64_t count = 0, expired = 0;
  Run counts(*this, Sql::count_finished);
  counts << before->value_or(INT64_MIN);
  if (!counts.row()) return fail(counts.code());
  counts >> count >> expired;
  Run oldest(*this, *before ? Sql::oldest_finished : Sql::first_finished);
  auto out = ids(oldest << std::clamp<int64_t>(std::max(count - retention.count_max, expired), 0, kRetainMax));
  if (!out) return out;
  for (const JobId& id : *out)
    for (const Sql drop : {Sql::drop_job, Sql::drop_args, Sql::drop_result}) {
      Run run(*this, drop);
      if (auto done = complete(run << id); !done) return done.error();
    }
  return out;
}

}  // namespace jobcast::engine
