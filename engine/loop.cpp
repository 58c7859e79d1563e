// epoll, a heap of timers, and the order in which they are served.
#include "engine/loop.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

namespace jobcast::engine {

namespace {

constexpr int64_t kLateMs = 50;

}  // namespace

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)), now_(jobcast::now()) {
  if (!epoll_) std::abort();
}

void Loop::watch(int fd, uint32_t events, OnEvents on_events) {
  auto entry = std::make_shared<Watch>();
  entry->on_events = std::move(on_events);
  entry->generation = next_generation_++;
  entry->events = events;
  add(fd, *entry);
  watches_[fd] = std::move(entry);
}

void Loop::add(int fd, Watch& watch) {
  epoll_event event{};
  event.events = watch.events;
  event.data.fd = fd;
  watch.added = epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  if (watch.added) return;
  if (errno != ENOMEM && errno != ENOSPC) std::abort();  // our own invariant: an open descriptor, watched once
  if (late_timer_ == 0) late_timer_ = after_ms(kLateMs, [this] { add_late(); });
}

void Loop::add_late() {
  late_timer_ = 0;
  for (const auto& [fd, watch] : watches_)
    if (!watch->added) add(fd, *watch);
}

void Loop::change(int fd, uint32_t events) {
  Watch& watch = *watches_.at(fd);
  watch.events = events;
  if (!watch.added) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) std::abort();
}

void Loop::unwatch(int fd) {
  if (watches_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::after_ms(int64_t delay_ms, std::function<void()> fire) {
  const TimerId id = next_timer_++;
  constexpr int64_t kDelayMsMax = 100LL * 365 * 24 * 3600 * 1000;  // keeps the sum below within 64 bits
  const int64_t due = jobcast::now().mono_ns + std::clamp<int64_t>(delay_ms, 0, kDelayMsMax) * 1'000'000;
  timers_.emplace(std::pair{due, id}, std::move(fire));
  timer_due_.emplace(id, due);
  return id;
}

void Loop::cancel(TimerId timer) {
  const auto found = timer_due_.find(timer);
  if (found == timer_due_.end()) return;
  timers_.erase({found->second, timer});
  timer_due_.erase(found);
}

void Loop::turn(int timeout_ms_max) {
  int64_t timeout = timeout_ms_max;
  if (!timers_.empty()) {
    const int64_t wait_ns = timers_.begin()->first.first - jobcast::now().mono_ns;
    const int64_t wait_ms = wait_ns <= 0 ? 0 : (wait_ns + 999'999) / 1'000'000;
    timeout = timeout < 0 ? wait_ms : std::min(timeout, wait_ms);
  }
  std::array<epoll_event, 64> events{};
  const int count =
      epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), static_cast<int>(std::min<int64_t>(timeout, 3'600'000)));
  if (count < 0 && errno != EINTR) std::abort();  // only a broken descriptor of our own: waiting again would spin
  now_ = jobcast::now();
  const uint64_t newest = next_generation_;  // what is watched from here on, on a reused number, has no event in this batch
  for (int i = 0; i < count; ++i) {
    const auto found = watches_.find(events[static_cast<size_t>(i)].data.fd);
    if (found == watches_.end() || found->second->generation >= newest) continue;
    const auto entry = found->second;  // lives through its own unwatch
    entry->on_events(events[static_cast<size_t>(i)].events);
  }
  for (unsigned fired = 0; fired < 256 && !timers_.empty() && timers_.begin()->first.first <= now_.mono_ns; ++fired) {
    const auto fire = std::move(timers_.begin()->second);
    timer_due_.erase(timers_.begin()->first.second);
    timers_.erase(timers_.begin());
    fire();
  }
  if (after_turn_) after_turn_();
}

void Loop::run() {
  while (running_) turn(-1);
}

}  // namespace jobcast::engine
