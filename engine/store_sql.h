// The store's SQL: schema and migrations (store_schema.cpp), prepared statements and what is done with them inside a transaction
// (store_sql.cpp). One SQLite connection, used by one thread at a time; store.cpp owns both.
#pragma once

#include <sqlite3.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/handle.h"
#include "base/result.h"
#include "engine/store.h"
#include "engine/store_guard.h"

namespace jobcast::engine {

constexpr std::string_view kRowRemedy =
    ": restore a copy of the state directory, or mend or delete the row with sqlite3 while no engine runs";

class Database {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Database>> open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Everything below happens between begin() and commit(). A fault of the database itself (full disk, damage) is kept in fault():
  // nothing of the transaction may be trusted then, and rollback() undoes it and forgets the fault.
  [[nodiscard]] Result<void> begin();
  [[nodiscard]] Result<void> commit();
  void rollback();
  [[nodiscard]] const std::optional<Error>& fault() const { return fault_; }

  [[nodiscard]] Result<Loaded> load(size_t finished_max);
  [[nodiscard]] Result<Store::Inserted> insert(Job job, const Result<void>& room);
  [[nodiscard]] Result<void> update(const Job& job, const std::optional<Attempt>& attempt);
  [[nodiscard]] Result<void> update_progress(const Job& job);
  [[nodiscard]] Result<Job> get(const JobId& id);
  [[nodiscard]] Result<std::vector<Job>> list(const ListFilter& filter);
  [[nodiscard]] Result<std::vector<JobId>> retain(const Store::Retention& retention);

  [[nodiscard]] Result<std::array<int64_t, 8>> count();
  [[nodiscard]] Result<uint32_t> count_boot();

  // But for the count of the commits itself.
  [[nodiscard]] uint64_t rows_changed() const { return static_cast<uint64_t>(sqlite3_total_changes64(connection_.get())) - counted_; }

 private:
  enum class Sql : uint8_t;
  class Run;  // one execution of a prepared statement
  static constexpr size_t kStatementsMax = 32;

  explicit Database(const std::string& path) : path_(path), shown_(path), guard_(path) {}
  [[nodiscard]] Result<void> connect();
  [[nodiscard]] Result<void> check();
  [[nodiscard]] Result<void> check_commits(size_t version);
  [[nodiscard]] Result<void> check_rows(size_t version);
  [[nodiscard]] Result<void> migrate();
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<void> guard();
  void may_checkpoint(bool yes);
  [[nodiscard]] Result<void> in_place();  // a fault where a file is not where it was
  [[nodiscard]] Error damaged(const std::string& words) const;
  [[nodiscard]] Result<void> execute(const std::string& sql);
  [[nodiscard]] Result<std::string> ask(const std::string& sql);  // the first column of the first row
  [[nodiscard]] Error fail(int code);                             // in words, and kept in fault_ unless it is a mere constraint
  [[nodiscard]] Result<Loaded> read_all(size_t finished_max);
  [[nodiscard]] Result<void> complete(Run& run);  // runs it to its end
  [[nodiscard]] Result<std::vector<Job>> jobs(Run& run);
  [[nodiscard]] Result<std::vector<JobId>> ids(Run& run);
  [[nodiscard]] Result<std::optional<int64_t>> over_age_before(const Store::Retention& retention);

  const std::string path_;
  std::string shown_;  // in errors: the path while a person starts the engine, the name alone once clients may read them
  StoreGuard guard_;
  uint64_t store_ = 0;          // its own number
  uint64_t counted_ = 0;        // rows changed to count commits
  uint64_t commits_ = 0;        // that changed something
  int64_t changes_before_ = 0;  // of this transaction
  Handle<sqlite3, sqlite3_close_v2> connection_;
  std::array<Handle<sqlite3_stmt, sqlite3_finalize>, kStatementsMax> statements_;
  std::optional<Error> fault_;
};

}  // namespace jobcast::engine
