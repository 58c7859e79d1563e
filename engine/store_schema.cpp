// Opening the database: its file, its pragmas, its schema and the way from older ones.
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"
#include "engine/store_sql.h"

namespace jobcast::engine {
namespace {

constexpr int kBusyMs = 1000;
constexpr size_t kMigrationOfMark = 2;      // since then the database counts its commits
constexpr int kApplicationId = 0x4a435354;  // "JCST", in the file's header

// Each entry takes the schema one version up; user_version counts them. A released entry is never changed.
constexpr std::array kMigrations{R"sql(
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO counters VALUES ('boot', 0);

-- id: the UUID's 16 bytes. state: the numbers of JobState, terminal from 5 on. reason: its name. Times: ms since 1970.
CREATE TABLE jobs (
  id BLOB PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL,
  created_ms INTEGER NOT NULL, meta TEXT NOT NULL, unique_key TEXT NOT NULL, idempotency_key TEXT NOT NULL,
  state INTEGER NOT NULL, reason TEXT NOT NULL, attempt INTEGER NOT NULL, max_attempts INTEGER NOT NULL, crashes INTEGER NOT NULL,
  fence INTEGER NOT NULL, run_at_ms INTEGER NOT NULL, started_ms INTEGER, finished_ms INTEGER, cancel_requested_ms INTEGER,
  cancel_by TEXT, cancel_acknowledged_ms INTEGER, exit_code INTEGER, error TEXT NOT NULL, result_bytes INTEGER NOT NULL,
  rev INTEGER NOT NULL, done INTEGER, total INTEGER, percent REAL, rate REAL, eta_ms INTEGER, phase TEXT NOT NULL, message TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX jobs_by_owner ON jobs (owner, id);
CREATE INDEX jobs_by_end ON jobs (finished_ms) WHERE state >= 5;
CREATE UNIQUE INDEX jobs_by_idempotency_key ON jobs (owner, idempotency_key) WHERE idempotency_key <> '';
CREATE UNIQUE INDEX jobs_by_unique_key ON jobs (kind, owner, unique_key) WHERE unique_key <> '' AND state < 5;

-- Apart from the jobs, whose rows are rewritten at every step. No row: {} and none.
CREATE TABLE args (job BLOB PRIMARY KEY, json TEXT NOT NULL) STRICT;
CREATE TABLE results (job BLOB PRIMARY KEY, json TEXT NOT NULL) STRICT;

-- Of jobs that run: what proves their process to a later engine.
CREATE TABLE attempts (
  job BLOB PRIMARY KEY, fence INTEGER NOT NULL, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL, boot_id TEXT NOT NULL,
  cgroup TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql",
                                 R"sql(
-- commits: how many changed something; with store, which is this database's own number, what `acknowledged` beside it is held against.
INSERT INTO counters VALUES ('commits', 0), ('store', random() & 0x7fffffffffffffff);
)sql"};

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  for (const auto step : {&Database::connect, &Database::check, &Database::migrate, &Database::prepare, &Database::guard})
    if (auto done = (database.get()->*step)(); !done) return done.error();
  database->fault_.reset();
  return database;
}

Database::~Database() {
  statements_ = {};
  connection_.reset();  // before the guard looks at what it leaves
}

Result<void> Database::connect() {
  if (auto looked = guard_.look(); !looked) return looked;
  // SQLite would create it readable for others; its WAL takes the mode over.
  if (const Fd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)); !file)
    return {Errc::internal, path_ + ": " + std::strerror(errno) + " (it must be a file that the engine's user may write)"};
  sqlite3* connection = nullptr;
  const int opened = sqlite3_open_v2(path_.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(connection);
  if (opened != SQLITE_OK) return fail(opened);
  sqlite3_extended_result_codes(connection, 1);
  sqlite3_busy_timeout(connection, kBusyMs);  // a copy that is just being made passes
  may_checkpoint(false);
  // Exclusive: a second engine is refused, and the WAL needs no shared memory. FULL: a commit outlives a power cut.
  if (auto done = execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY"); !done) return done;
  return {};
}

// Until the whole database was found good, closing it leaves its log as it is.
void Database::may_checkpoint(bool yes) { sqlite3_db_config(connection_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, yes ? 0 : 1, nullptr); }

Result<void> Database::guard() {
  auto store = ask("SELECT value FROM counters WHERE name = 'store'");
  auto commits = ask("SELECT value FROM counters WHERE name = 'commits'");
  for (const auto* answer : {&store, &commits})
    if (!answer->ok()) return answer->error();
  store_ = std::stoull(*store);
  commits_ = std::stoull(*commits);
  return {};
}

Result<void> Database::migrate() {
  auto mode = ask("PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return {Errc::internal, path_ + ": this file system does not do SQLite's WAL: move state_dir to a local one"};
  auto version_text = ask("PRAGMA user_version");
  if (!version_text) return version_text.error();
  for (size_t next = std::stoul(*version_text); next < kMigrations.size(); ++next) {
    const std::string step = "BEGIN IMMEDIATE;" + std::string(kMigrations[next]) +
                             "PRAGMA application_id = " + std::to_string(kApplicationId) +
                             "; PRAGMA user_version = " + std::to_string(next + 1) + "; COMMIT";
    if (auto done = execute(step); !done) return done;
  }
  return {};
}

// Reads only: whatever is wrong must stay as it is.
Result<void> Database::check() {
  auto application = ask("PRAGMA application_id");
  auto version_text = ask("PRAGMA user_version");
  auto tables = ask("SELECT count(*) FROM sqlite_schema");
  for (const auto* answer : {&application, &version_text, &tables})
    if (!answer->ok()) return answer->error();
  if (*tables != "0" && *application != std::to_string(kApplicationId))
    return {Errc::invalid, path_ + " is a database of something else: point state_dir elsewhere"};
  const size_t version = std::stoul(*version_text);
  if (version > kMigrations.size())
    return {Errc::invalid, path_ + " was written by a newer jobcast (schema " + *version_text + ", this one knows " +
                               std::to_string(kMigrations.size()) + "): upgrade jobcast, or restore the copy made before the upgrade"};
  for (const auto step : {&Database::check_commits, &Database::check_rows})
    if (auto done = (this->*step)(version); !done) return done;
  return {};
}

// A missing or damaged log leaves a database that is sound, and older than what was acknowledged.
Result<void> Database::check_commits(size_t version) {
  const auto& mark = guard_.mark();
  if (!mark && version >= kMigrationOfMark) log::warning("store_mark_missing", {{"path", guard_.mark_path()}});
  if (version > 0 && (!mark || guard_.moved())) {  // a copy, perhaps one that was made while an engine wrote
    auto sound = ask("PRAGMA integrity_check(1)");
    if (!sound) return sound.error();
    if (*sound != "ok") return damaged(*sound);
  }
  if (!mark) return {};
  uint64_t store = 0, commits = 0;
  if (version >= kMigrationOfMark) {
    auto number = ask("SELECT value FROM counters WHERE name = 'store'");
    auto count = ask("SELECT value FROM counters WHERE name = 'commits'");
    for (const auto* answer : {&number, &count})
      if (!answer->ok()) return answer->error();
    store = std::stoull(*number);
    commits = std::stoull(*count);
  }
  const std::string remedy =
      ": put back the whole directory, from a copy made while no engine ran; to go on with what is there and without "
      "the rest, remove " +
      guard_.mark_path();
  if (version >= kMigrationOfMark && store != mark->store)
    return {Errc::corrupt, path_ + " is not the database that " + guard_.mark_path() + " was written for" + remedy};
  if (commits < mark->commits)
    return {Errc::corrupt, path_ + " and its -wal lack " + std::to_string(mark->commits - commits) + " of " +
                               std::to_string(mark->commits) +
                               " changes that were acknowledged (the -wal is missing or damaged, or an older file was put there)" + remedy};
  return {};
}

// Rows that no engine wrote. What costs more to check is checked when a row is read (Database::jobs).
Result<void> Database::check_rows(size_t version) {
  if (version == 0) return {};
  auto bad = ask(
      "WITH given (last) AS (SELECT ((value + 1) << 32) - 1 FROM counters WHERE name = 'boot') SELECT ifnull((SELECT hex(id) FROM jobs, "
      "given "
      "WHERE length(id) <> 16 OR state NOT BETWEEN 1 AND 7 OR rev NOT BETWEEN 0 AND last OR fence NOT BETWEEN 0 AND last OR attempt < 0 OR "
      "crashes < 0 OR created_ms <= 0 LIMIT 1), '')");
  if (!bad) return bad.error();
  if (bad->empty()) return {};
  return {Errc::corrupt, path_ + ": the row of job " + *bad + " holds values that no engine wrote" + std::string(kRowRemedy)};
}

Result<void> Database::execute(const std::string& sql) {
  const int code = sqlite3_exec(connection_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(code);
  return {};
}

Result<std::string> Database::ask(const std::string& sql) {
  sqlite3_stmt* prepared = nullptr;
  int code = sqlite3_prepare_v2(connection_.get(), sql.c_str(), -1, &prepared, nullptr);
  const Handle<sqlite3_stmt, sqlite3_finalize> statement(prepared);
  if (code == SQLITE_OK) code = sqlite3_step(prepared);
  if (code != SQLITE_ROW) return fail(code);
  return std::string(reinterpret_cast<const char*>(sqlite3_column_text(prepared, 0)));
}

Error Database::damaged(const std::string& words) const {
  return {Errc::corrupt,
          shown_ + " is damaged (" + words +
              "): stop the engine, keep a copy of the file and its -wal, rescue what is left with `sqlite3 " + shown_ +
              " .recover | sqlite3 rescued.db`, put that in its place, and remove the file `acknowledged` beside it",
          {}};
}

Error Database::fail(int code) {
  const std::string words = sqlite3_errmsg(connection_.get());
  Error error{Errc::internal, shown_ + ": " + words, {}};
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return {Errc::invalid, "another job of this owner that is not over has the same unique key", "unique_key"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: error = damaged(words); break;
    case SQLITE_FULL:
      error = {Errc::full, shown_ + ": no space is left on its disk; nothing that was acknowledged is lost: make room", {}};
      break;
    case SQLITE_IOERR:  // SQLite keeps the errno of a write to itself
      error.detail +=
          ", and nothing that was acknowledged is lost: see whether its disk fails, is read-only, or is full for the engine's user "
          "(dmesg, df, quota, ulimit -f)";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: error.detail = shown_ + " is in use: only one engine may run on a state directory"; break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY: error.detail += " (the engine's user must be allowed to write the file and its directory)"; break;
    default: break;
  }
  if (!fault_) fault_ = error;
  return error;
}

}  // namespace jobcast::engine
