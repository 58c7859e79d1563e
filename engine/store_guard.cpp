// What SQLite believes is held against what was acknowledged.
#include "engine/store_guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/log.h"
#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

// The file, in the machine's own byte order: it never leaves the machine without the database, and then only counts.
struct Record {
  std::array<char, 8> magic;
  StoreGuard::Mark mark;
  uint64_t checksum;  // FNV-1a of what stands before
};
static_assert(sizeof(Record) == 48);
constexpr std::array<char, 8> kMagic{'j', 'o', 'b', 'c', 'a', 's', 't', '1'};

uint64_t checksum(const Record& record) {
  std::array<unsigned char, offsetof(Record, checksum)> bytes{};
  std::memcpy(bytes.data(), &record, bytes.size());
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

StoreGuard::StoreGuard(std::string database)
    : database_(std::move(database)), wal_(database_ + "-wal"), mark_path_(directory_of(database_) + "acknowledged") {}

StoreGuard::~StoreGuard() {
  if (begun_) {
    (void)fdatasync(mark_file_.get());
    return;
  }
  // The database was refused, and nothing may stay that was not there before: looking made an empty log.
  struct stat info = {};
  if (!wal_was_there_ && lstat(wal_.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0) unlink(wal_.c_str());
}

Result<void> StoreGuard::look() {
  const auto size_of = [](const std::string& path) -> Result<off_t> {
    auto size = own_file_size(path);
    if (!size && size.error().code == Errc::not_found) return off_t{-1};
    if (!size)
      return {size.error().code, size.error().detail + ": put the file back, or run the engine as the user whose directory this is"};
    return size;
  };
  const auto database = size_of(database_), wal = size_of(wal_), journal = size_of(database_ + "-journal");
  for (const auto* size : {&database, &wal, &journal})
    if (!*size) return size->error();
  wal_was_there_ = *wal >= 0;
  if (auto read = read_mark(); !read) return read;
  const std::string how = *database < 0 ? " is missing" : " is empty";
  const std::string remedy = ": put it back from a copy of the whole directory; to begin anew without those jobs, remove ";
  if (*database <= 0 && mark_ && mark_->commits > 0)
    return {Errc::corrupt, database_ + how + ", and " + std::to_string(mark_->commits) + " changes were acknowledged from it (" +
                               mark_path_ + " counts them)" + remedy + mark_path_};
  if (*database <= 0 && *wal > 0) return {Errc::corrupt, database_ + how + ", but " + wal_ + " holds changes of it" + remedy + wal_};
  if (*journal > 0 && mark_)
    return {Errc::corrupt, database_ + "-journal is no file of jobcast's, and SQLite would write it over the database: move it away"};
  return {};
}

Result<void> StoreGuard::read_mark() {
  auto file = open_own_file(mark_path_, O_RDWR, Parent::any);
  if (!file && file.error().code == Errc::not_found) return {};
  if (!file) return {Errc::corrupt, file.error().detail + ": remove it, if the database is known to be whole"};
  mark_file_ = std::move(*file);
  Record record{};
  if (pread(mark_file_.get(), &record, sizeof record, 0) != sizeof record || record.magic != kMagic ||
      record.checksum != checksum(record)) {
    // A power cut may leave it so. It is written anew with the next commit.
    log::warning("store_mark_unreadable", {{"path", mark_path_}});
    return {};
  }
  mark_ = record.mark;
  return {};
}

bool StoreGuard::moved() const {
  struct stat info = {};
  return mark_ && lstat(database_.c_str(), &info) == 0 && (mark_->device != info.st_dev || mark_->inode != info.st_ino);
}

Result<void> StoreGuard::make_mark() {
  auto file = replace_own_file(mark_path_, O_RDWR, 0600, Parent::any);
  if (!file) return {Errc::internal, "cannot make " + mark_path_ + ": " + file.error().detail};
  mark_file_ = std::move(*file);
  return {};
}

Result<void> StoreGuard::begin(uint64_t store, uint64_t commits) {
  struct stat info = {};
  if (lstat(database_.c_str(), &info) != 0) return {Errc::internal, database_ + ": " + std::strerror(errno)};
  database_place_ = Place{info.st_dev, info.st_ino, info.st_size};
  mark_ = Mark{store, commits, info.st_dev, info.st_ino};
  if (!mark_file_)
    if (auto made = make_mark(); !made) return made;
  write_mark();
  (void)fdatasync(mark_file_.get());
  const Fd directory(open(directory_of(database_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  (void)fsync(directory.get());
  begun_ = true;
  return {};
}

std::string StoreGuard::misplaced() {
  const auto check = [](const std::string& path, std::optional<Place>& place) -> std::string {
    struct stat info = {};
    const bool there = lstat(path.c_str(), &info) == 0;
    if (!place && there) place = Place{info.st_dev, info.st_ino, 0};  // SQLite makes the log when it first needs it
    if (!place) return "";
    const std::string remedy =
        " while the engine runs: nothing is acknowledged until it is put back as it was; else stop the engine, and "
        "restore a copy of its state directory";
    if (!there) return name_of(path) + " was removed" + remedy;
    if (place->device != info.st_dev || place->inode != info.st_ino) return name_of(path) + " was replaced" + remedy;
    if (info.st_size < place->bytes) return name_of(path) + " was cut" + remedy;
    return "";
  };
  const std::string what = check(database_, database_place_);
  return what.empty() ? check(wal_, wal_place_) : what;
}

void StoreGuard::acknowledge(uint64_t commits) {
  mark_->commits = commits;
  struct stat info = {};
  if (fstat(mark_file_.get(), &info) == 0 && info.st_nlink == 0 && !make_mark()) log::warning("store_mark_lost", {{"path", mark_path_}});
  write_mark();
}

void StoreGuard::write_mark() {
  Record record{kMagic, *mark_, 0};
  record.checksum = checksum(record);
  if (pwrite(mark_file_.get(), &record, sizeof record, 0) != sizeof record)
    log::warning("store_mark_unwritten", {{"path", mark_path_}, {"error", std::strerror(errno)}});
}

}  // namespace jobcast::engine
