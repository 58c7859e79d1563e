// Watches over the files of the database, which SQLite believes whatever they say. Beside `jobs.db` lies `acknowledged`: how many
// commits were answered for. A database that holds fewer has lost some (docs/durability.md). The store's thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast::engine {

class StoreGuard {
 public:
  // What the file beside the database says.
  struct Mark {
    uint64_t store = 0;    // the database's own random number
    uint64_t commits = 0;  // answered for
    uint64_t device = 0, inode = 0;
  };

  explicit StoreGuard(std::string database);
  ~StoreGuard();
  StoreGuard(const StoreGuard&) = delete;
  StoreGuard& operator=(const StoreGuard&) = delete;

  // Looks at the files without opening the database: each must be a regular file of this user or absent, and none may be absent or empty
  // that others speak of. Errors: corrupt, with the file and the remedy.
  [[nodiscard]] Result<void> look();
  [[nodiscard]] const std::optional<Mark>& mark() const { return mark_; }
  // The database was copied to where it is, or another was put there.
  [[nodiscard]] bool moved() const;

  // From here on the files must stay where they are; called with the first commit, when all that was read is good. Errors: internal.
  [[nodiscard]] Result<void> begin(uint64_t store, uint64_t commits);
  [[nodiscard]] bool begun() const { return begun_; }
  // What befell a file since, for people, without a path; "" as long as all are in place.
  [[nodiscard]] std::string misplaced();
  // So many commits are durable, and are about to be answered for. Not itself written durably: after a power cut the file may say less.
  void acknowledge(uint64_t commits);

  [[nodiscard]] const std::string& mark_path() const { return mark_path_; }

 private:
  struct Place {
    dev_t device = 0;
    ino_t inode = 0;
    off_t bytes = 0;
  };
  [[nodiscard]] Result<void> read_mark();
  [[nodiscard]] Result<void> make_mark();
  void write_mark();

  const std::string database_, wal_, mark_path_;
  Fd mark_file_;
  std::optional<Mark> mark_;
  std::optional<Place> database_place_, wal_place_;
  bool wal_was_there_ = false, begun_ = false;
};

}  // namespace jobcast::engine
