// Opening the database: its file, its pragmas, its schema and the way from older ones.
#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "engine/store_sql.h"

namespace jobcast::engine {
namespace {

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
)sql"};

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  std::unique_ptr<Database> database(new Database(path));
  for (const auto step : {&Database::connect, &Database::migrate, &Database::prepare})
    if (auto done = (database.get()->*step)(); !done) return done.error();
  database->fault_.reset();
  return database;
}

Result<void> Database::connect() {
  // SQLite would create it readable for others; its WAL takes the mode over.
  if (const Fd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)); !file)
    return {Errc::internal, path_ + ": " + std::strerror(errno) + " (it must be a file that the engine's user may write)"};
  sqlite3* connection = nullptr;
  const int opened = sqlite3_open_v2(path_.c_str(), &connection, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  connection_.reset(connection);
  if (opened != SQLITE_OK) return fail(opened);
  sqlite3_extended_result_codes(connection, 1);
  // Exclusive: a second engine is refused, and the WAL needs no shared memory. FULL: a commit outlives a power cut.
  if (auto done = execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY"); !done) return done;
  auto mode = ask("PRAGMA journal_mode = WAL");
  if (!mode) return mode.error();
  if (*mode != "wal") return {Errc::internal, path_ + ": this file system does not do SQLite's WAL: move state_dir to a local one"};
  return {};
}

Result<void> Database::migrate() {
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
  for (size_t next = version; next < kMigrations.size(); ++next) {
    const std::string step = "BEGIN IMMEDIATE;" + std::string(kMigrations[next]) +
                             "PRAGMA application_id = " + std::to_string(kApplicationId) +
                             "; PRAGMA user_version = " + std::to_string(next + 1) + "; COMMIT";
    if (auto done = execute(step); !done) return done;
  }
  return {};
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

Error Database::fail(int code) {
  const std::string words = sqlite3_errmsg(connection_.get());
  Error error{Errc::internal, path_ + ": " + words, {}};
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT: return {Errc::invalid, "another job of this owner that is not over has the same unique key", "unique_key"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      error = {Errc::corrupt,
               path_ + " is damaged (" + words +
                   "): stop the engine, keep a copy of the file and its -wal, rescue what is left with `sqlite3 " + path_ +
                   " .recover | sqlite3 rescued.db`, and put that in its place",
               {}};
      break;
    case SQLITE_FULL:
      error = {Errc::full, path_ + ": no space is left on its disk; nothing that was acknowledged is lost: make room", {}};
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: error.detail = path_ + " is in use: only one engine may run on a state directory"; break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY: error.detail += " (the engine's user must be allowed to write the file and its directory)"; break;
    default: break;
  }
  if (!fault_) fault_ = error;
  return error;
}

}  // namespace jobcast::engine
