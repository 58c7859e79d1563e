#include "engine/job_output.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;
constexpr int kChunksPerLook = 2;
constexpr int64_t kRestMs = 2;
constexpr int kChunksAtEnd = 1024;  // a pipe holds at most 1 MiB (fs.pipe-max-size), unless root made it larger

}  // namespace

void CappedLog::open(const std::string& path, int64_t bytes_max, int64_t bytes_per_second_max, int64_t now_mono_ns) {
  auto made = replace_own_file(path, O_WRONLY | O_APPEND, 0640);
  if (made)
    file_ = std::move(*made);
  else
    log::warning("job_log_failed", {{"error", made.error().detail}});
  room_ = bytes_max;
  per_second_ = allowance_ = bytes_per_second_max;
  refilled_ns_ = now_mono_ns;
}

void CappedLog::write(std::string_view bytes, int64_t now_mono_ns) {
  // Long pauses are cut to a second before they are multiplied: the bucket holds no more, and the product stays small.
  const int64_t passed_us = std::min<int64_t>((now_mono_ns - refilled_ns_) / 1000, 1'000'000);
  allowance_ = std::min(per_second_, allowance_ + per_second_ * passed_us / 1'000'000);
  refilled_ns_ = now_mono_ns;

  std::string marker;
  if (gap_ > 0 && allowance_ > 0) marker = "\n[jobcast: " + std::to_string(gap_) + " bytes dropped]\n";
  const int64_t kept_bytes = std::min({static_cast<int64_t>(bytes.size()), allowance_, room_ - static_cast<int64_t>(marker.size())});
  const size_t kept = file_ && kept_bytes > 0 ? static_cast<size_t>(kept_bytes) : 0;
  if (kept > 0) {
    if (!marker.empty()) put(marker);
    gap_ = 0;
    put(bytes.substr(0, kept));
    allowance_ -= static_cast<int64_t>(kept);
  }
  const size_t lost = bytes.size() - kept;
  dropped_ += lost;
  gap_ += lost;
}

void CappedLog::put(std::string_view bytes) {
  room_ -= static_cast<int64_t>(bytes.size());
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {  // a full disk: no reason to end the job
      dropped_ += bytes.size();
      return;
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
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
