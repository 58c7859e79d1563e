// Fixed records in a small mapped file.
#include "engine/progress_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

constexpr off_t kBytesMax = 16 << 20;
constexpr uint64_t kDone = 1, kTotal = 2, kPercent = 4;
constexpr uint64_t kMagic = 0x326a'626a;  // another version's records are not read

}  // namespace

ProgressJournal::ProgressJournal(const std::string& path) {
  auto file = open_own_file(path, O_RDWR, Parent::any);
  struct stat info{};
  // What an engine wrote is never that long: it holds the jobs that run at the same time.
  if (file && (fstat(file->get(), &info) != 0 || info.st_size > kBytesMax)) file = Error{Errc::corrupt, path + " is too long"};
  if (!file && file.error().code == Errc::corrupt) log::warning("progress_journal_replaced", {{"error", file.error().detail}});
  if (!file) file = replace_own_file(path, O_RDWR, 0600, Parent::any);
  if (!file) {
    log::warning("no_progress_journal", {{"error", file.error().detail}});
    return;
  }
  fd_ = std::move(*file);
  Record record;
  for (; pread(fd_.get(), &record, sizeof record, static_cast<off_t>(end_ * sizeof record)) == sizeof record; ++end_) {
    if (record.fence == 0 || record.magic != kMagic) {
      free_.push_back(end_);
      continue;
    }
    left_[record.job] = record;
    places_[record.job] = end_;
  }
}

void ProgressJournal::put(const Job& job) {
  auto place = places_.find(job.id);
  if (place == places_.end()) {
    if (free_.empty()) free_.push_back(end_++);
    place = places_.emplace(job.id, free_.back()).first;
    free_.pop_back();
  }
  const Progress& shown = job.progress;
  Record record;
  record.job = job.id;
  record.magic = kMagic;
  record.fence = job.fence;
  record.done = shown.done.value_or(0);
  record.total = shown.total.value_or(0);
  record.percent = shown.percent.value_or(0);
  record.known = (shown.done ? kDone : 0) | (shown.total ? kTotal : 0) | (shown.percent ? kPercent : 0);
  shown.phase.copy(record.phase.data(), record.phase.size() - 1);
  shown.message.copy(record.message.data(), record.message.size() - 1);
  (void)!pwrite(fd_.get(), &record, sizeof record, static_cast<off_t>(place->second * sizeof record));
}

void ProgressJournal::drop(const JobId& id) {
  const auto place = places_.find(id);
  if (place == places_.end()) return;
  const Record empty;
  (void)!pwrite(fd_.get(), &empty, sizeof empty, static_cast<off_t>(place->second * sizeof empty));
  free_.push_back(place->second);
  places_.erase(place);
  left_.erase(id);
}

void ProgressJournal::drop_all_but(const std::unordered_map<JobId, uint64_t>& fences) {
  std::vector<JobId> others;
  for (const auto& [id, record] : left_)
    if (const auto found = fences.find(id); found == fences.end() || found->second != record.fence) others.push_back(id);
  for (const JobId& id : others) drop(id);
}

void ProgressJournal::restore(Job& job) const {
  const auto found = left_.find(job.id);
  if (found == left_.end() || found->second.fence != job.fence) return;
  const Record& was = found->second;
  Progress& shown = job.progress = {};
  if (was.known & kDone) shown.done = was.done;
  if (was.known & kTotal) shown.total = was.total;
  if (was.known & kPercent && was.percent >= 0 && was.percent <= 100) shown.percent = was.percent;
  shown.phase = to_utf8({was.phase.data(), strnlen(was.phase.data(), was.phase.size())}, kPhaseBytesMax);
  shown.message = to_utf8({was.message.data(), strnlen(was.message.data(), was.message.size())}, kMessageBytesMax);
}

}  // namespace jobcast::engine
