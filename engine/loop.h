// The engine's event loop: descriptors, timers, and a call after the events of a turn (gather → apply → commit → publish).
// One thread; epoll.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/handle.h"

namespace jobcast::engine {

class Loop {
 public:
  Loop();

  using OnEvents = std::function<void(uint32_t epoll_events)>;
  // The descriptor stays its owner's; unwatch before closing. `events` as for epoll_ctl (EPOLLIN, …). Level-triggered. While the kernel has
  // no memory or no room for one more watch, the loop tries again by itself, and the events come once it has.
  void watch(int fd, uint32_t events, OnEvents on_events);
  void change(int fd, uint32_t events);
  void unwatch(int fd);  // safe inside callbacks, of this descriptor too

  using TimerId = uint64_t;  // 0 is none
  TimerId after_ms(int64_t delay_ms, std::function<void()> fire);
  void cancel(TimerId timer);  // unknown and fired timers are no error

  void after_turn(std::function<void()> call) { after_turn_ = std::move(call); }

  [[nodiscard]] const Time& now() const { return now_; }  // read once per turn
  void run();                                             // until stop()
  void stop() { running_ = false; }
  void turn(int timeout_ms_max);  // one wait and its callbacks; for tests

 private:
  struct Watch {
    OnEvents on_events;
    uint64_t generation = 0;
    uint32_t events = 0;
    bool added = false;  // the kernel knows of it
  };
  void add(int fd, Watch& watch);
  void add_late();
  Fd epoll_;
  Time now_;
  bool running_ = true;
  uint64_t next_generation_ = 1;
  std::unordered_map<int, std::shared_ptr<Watch>> watches_;
  TimerId late_timer_ = 0;                                               // runs while there are watches that the kernel did not take
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers_;  // by due time (mono_ns)
  std::unordered_map<TimerId, int64_t> timer_due_;
  TimerId next_timer_ = 1;
  std::function<void()> after_turn_;
};

}  // namespace jobcast::engine
