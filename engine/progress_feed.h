// Where an attempt's progress comes from, and how often it is told: the first news at once, then at most once an interval, always the
// latest; nothing is done while there is no news. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "engine/job.h"
#include "engine/loop.h"
#include "ipc/latch.h"

namespace jobcast::engine {

class ProgressFeed {
 public:
  using Publish = std::function<void(const Progress&)>;
  ProgressFeed(Loop& loop, int64_t interval_ms, Publish publish) : loop_(loop), interval_ms_(interval_ms), publish_(std::move(publish)) {}
  virtual ~ProgressFeed() { loop_.cancel(interval_); }
  ProgressFeed(const ProgressFeed&) = delete;
  ProgressFeed& operator=(const ProgressFeed&) = delete;

  virtual void start() {}
  void finish();  // the last word, at once; destroy the feed then
  [[nodiscard]] uint64_t reports() const { return reports_; }

 protected:
  virtual std::optional<Progress> take() = 0;  // the latest that was not taken yet
  virtual bool rest() { return true; }         // an interval brought nothing: see to it that news() is called; false: there is some already
  void news();
  Loop& loop_;
  uint64_t reports_ = 0;  // what the program said, told on or not

 private:
  void pause();  // for an interval, then what came meanwhile
  int64_t interval_ms_;
  Publish publish_;
  Loop::TimerId interval_ = 0;
};

// worker.h's latch: sampled while an interval runs, its doorbell armed while none does. A worker that rings without end is heard once an
// interval.
class LatchFeed : public ProgressFeed {
 public:
  LatchFeed(Loop& loop, int64_t interval_ms, WorkerLatch& latch, Publish publish)
      : ProgressFeed(loop, interval_ms, std::move(publish)), latch_(latch) {}
  ~LatchFeed() override;
  void start() override;

 private:
  std::optional<Progress> take() override;
  bool rest() override;
  void listen();  // for one ring

  WorkerLatch& latch_;
  bool watched_ = false, deaf_ = false;  // deaf: the worker closed its end; the last sample is taken when it exits
  bool reported_ = false;
};

// `pv -n` and its like: a whole percentage alone on a line, told as so many of 100.
class PercentFeed : public ProgressFeed {
 public:
  using ProgressFeed::ProgressFeed;
  bool line(std::string_view text);  // false: not a percentage

 private:
  std::optional<Progress> take() override;
  std::optional<int> latest_;
};

}  // namespace jobcast::engine
