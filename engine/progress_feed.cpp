// Samples a latch or reads percentages, and holds back what comes too often.
#include "engine/progress_feed.h"

#include <sys/epoll.h>

#include <charconv>
#include <utility>

namespace jobcast::engine {

void ProgressFeed::news() {
  if (interval_ != 0) return;  // its end will look
  if (const auto progress = take()) publish_(*progress);
  pause();  // even if there was nothing to tell: false alarms are bounded too
}

void ProgressFeed::pause() {
  interval_ = loop_.after_ms(interval_ms_, [this] {
    interval_ = 0;
    if (const auto progress = take()) {
      publish_(*progress);
      pause();
    } else if (!rest()) {
      news();
    }
  });
}

void ProgressFeed::finish() {
  loop_.cancel(interval_);
  interval_ = 0;
  if (const auto progress = take()) publish_(*progress);
}

LatchFeed::~LatchFeed() {
  if (watched_) loop_.unwatch(latch_.doorbell_fd());
}

void LatchFeed::start() {
  if (!rest()) news();
}

std::optional<Progress> LatchFeed::take() {
  const auto report = latch_.sample();
  if (!report) return std::nullopt;
  reports_ += report->reports;
  reported_ = reported_ || report->reports > 0;
  Progress progress;
  if (reported_) progress.done = report->done;
  if (report->total > 0) progress.total = report->total;
  progress.phase = report->phase;
  progress.message = report->message;
  return progress;
}

bool LatchFeed::rest() {
  if (deaf_) return true;
  deaf_ = !latch_.clear_doorbell();
  if (deaf_) return true;
  const bool armed = latch_.arm();
  if (armed) listen();
  return armed;
}

void LatchFeed::listen() {
  // Once: the kernel itself then leaves the doorbell alone for the interval that follows, and no call stands between a report and its
  // event.
  constexpr uint32_t kOnce = EPOLLIN | EPOLLONESHOT;
  if (watched_) return loop_.change(latch_.doorbell_fd(), kOnce);
  watched_ = true;
  loop_.watch(latch_.doorbell_fd(), kOnce, [this](uint32_t) { news(); });
}

bool PercentFeed::line(std::string_view text) {
  int percent = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (fault != std::errc() || end != text.data() + text.size() || percent < 0 || percent > 100) return false;
  ++reports_;
  latest_ = percent;
  news();
  return true;
}

std::optional<Progress> PercentFeed::take() {
  const auto latest = std::exchange(latest_, std::nullopt);
  if (!latest) return std::nullopt;
  Progress progress;
  progress.done = static_cast<uint64_t>(*latest);
  progress.total = 100;
  return progress;
}

}  // namespace jobcast::engine
