// Drains a pipe into a file and throws away what is too much.
#include "engine/job_output.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/log.h"
#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

constexpr const char* kDroppedSuffix = ".dropped";
constexpr int64_t kHeldBytesMax = 64 * 1024;
constexpr int64_t kNoteEveryNs = 1'000'000'000;
constexpr size_t kChunkBytes = 64 * 1024;
constexpr int kChunksPerLook = 2;
constexpr int64_t kRestMs = 2;
constexpr int kChunksAtEnd = 1024;  // a pipe holds at most 1 MiB (fs.pipe-max-size), unless root made it larger

}  // namespace

void CappedLog::open(const std::string& path, int64_t bytes_max, int64_t bytes_per_second_max, int64_t now_mono_ns) {
  remove_own_file(path + kDroppedSuffix);
  path_ = path;
  if (auto made = make(now_mono_ns); !made) log::warning("job_log_failed", {{"error", made.error().detail}});
  held_max_ = static_cast<size_t>(std::min(bytes_max / 2, kHeldBytesMax));
  room_ = bytes_max - static_cast<int64_t>(held_max_);
  per_second_ = allowance_ = bytes_per_second_max;
  refilled_ns_ = now_mono_ns;
  noted_ns_ = now_mono_ns - kNoteEveryNs;
}

Result<void> CappedLog::make(int64_t now_mono_ns) {
  made_ns_ = now_mono_ns;
  auto made = replace_own_file(path_, O_WRONLY | O_APPEND, 0640);
  if (!made) return made.error();
  file_ = std::move(*made);
  return {};
}

void CappedLog::write(std::string_view bytes, int64_t now_mono_ns) {
  // Long pauses are cut to a second before they are multiplied: the bucket holds no more, and the product stays small.
  const int64_t passed_us = std::min<int64_t>((now_mono_ns - refilled_ns_) / 1000, 1'000'000);
  allowance_ = std::min(per_second_, allowance_ + per_second_ * passed_us / 1'000'000);
  refilled_ns_ = now_mono_ns;
  if (!file_ && (now_mono_ns - made_ns_ < kNoteEveryNs || !make(now_mono_ns))) return hold(bytes);

  if (!full_ && (gap_ > 0 || !held_.empty()) && allowance_ > 0 && room_ >= static_cast<int64_t>(held_.size())) release();
  if (!full_ && gap_ == 0 && held_.empty()) {
    const auto kept = static_cast<size_t>(std::clamp<int64_t>(std::min(allowance_, room_), 0, static_cast<int64_t>(bytes.size())));
    bytes.remove_prefix(put(bytes.substr(0, kept)));
  }
  if (bytes.empty()) return;
  hold(bytes);
  if (!full_ && room_ <= static_cast<int64_t>(held_.size())) {
    full_ = true;
    put("\n[jobcast: close to log_bytes_max: the end of what follows is written when the attempt is over]\n");
  }
  if (gap_ > 0 && now_mono_ns - noted_ns_ >= kNoteEveryNs) {
    noted_ns_ = now_mono_ns;
    note_dropped();
  }
}

void CappedLog::hold(std::string_view bytes) {
  held_ += bytes;
  if (held_.size() <= held_max_) return;
  const size_t lost = held_.size() - held_max_;
  held_.erase(0, lost);
  dropped_ += lost;
  gap_ += lost;
}

void CappedLog::release() {
  if (gap_ > 0) {
    const std::string line = "\n[jobcast: " + std::to_string(gap_) + " bytes dropped]\n";
    if (put(line) < line.size()) return;  // it comes again, whole
    gap_ = 0;
  }
  held_.erase(0, put(held_));
}

void CappedLog::close() {
  if (path_.empty()) return;
  if (!file_) (void)make(made_ns_);
  if (file_) release();
  dropped_ += std::exchange(held_, {}).size();
  if (dropped_ > 0) note_dropped();
  file_.reset();
  path_.clear();
}

void CappedLog::note_dropped() const {
  const auto file = replace_own_file(path_ + kDroppedSuffix, O_WRONLY, 0640);
  const std::string text = std::to_string(dropped_) + "\n";
  if (file) (void)!::write(file->get(), text.data(), text.size());
}

uint64_t CappedLog::dropped_of(const std::string& path) {
  const auto file = open_own_file(path + kDroppedSuffix, O_RDONLY);
  char text[24] = {};
  const ssize_t got = file ? ::read(file->get(), text, sizeof text) : 0;
  uint64_t dropped = 0;
  if (got > 0) std::from_chars(text, text + got, dropped);
  return dropped;
}

void CappedLog::remove(const std::string& path) {
  remove_own_file(path);
  remove_own_file(path + kDroppedSuffix);
}

void CappedLog::mark_lost(const std::string& path) {
  constexpr std::string_view kLine = "\n[jobcast: the engine went down here: what followed is lost]\n";
  const auto file = open_own_file(path, O_WRONLY | O_APPEND);
  if (file) (void)!::write(file->get(), kLine.data(), kLine.size());
}

// What the disk does not take, because it is full for example, is no reason to end the job: it is held back and tried again.
size_t CappedLog::put(std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = ::write(file_.get(), bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<size_t>(written);
  }
  room_ -= static_cast<int64_t>(done);
  allowance_ -= static_cast<int64_t>(done);
  return done;
}

bool OutputPipe::make(Fd& child_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  fd_.reset(ends[0]);
  child_end.reset(ends[1]);
  return ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK) == 0;  // of our end alone: the program's stays blocking
}

void OutputPipe::start(Take take) {
  take_ = std::move(take);
  loop_.watch(fd_.get(), EPOLLIN | EPOLLONESHOT, [this](uint32_t) { on_readable(); });
}

OutputPipe::Read OutputPipe::read_once() {
  char chunk[kChunkBytes];
  const ssize_t got = ::read(fd_.get(), chunk, sizeof chunk);
  if (got < 0) return errno == EAGAIN ? Read::nothing : errno == EINTR ? Read::part : Read::ended;
  if (got == 0) return Read::ended;
  take_({chunk, static_cast<size_t>(got)});
  return static_cast<size_t>(got) < kChunkBytes ? Read::part : Read::full;
}

void OutputPipe::on_readable() {
  for (int i = 0; i < kChunksPerLook; ++i) {
    const Read read = read_once();
    if (read == Read::ended) return close();
    if (read != Read::full) break;
  }
  resume_ = loop_.after_ms(kRestMs, [this] {
    resume_ = 0;
    loop_.change(fd_.get(), EPOLLIN | EPOLLONESHOT);
  });
}

void OutputPipe::drain_and_close() {
  for (int i = 0; fd_ && take_ && i < kChunksAtEnd; ++i) {
    const Read read = read_once();
    if (read == Read::ended || read == Read::nothing) break;
  }
  close();
}

void OutputPipe::close() {
  if (fd_) loop_.unwatch(fd_.get());
  loop_.cancel(resume_);
  resume_ = 0;
  fd_.reset();
}

}  // namespace jobcast::engine
