// One timer of lws's scheduler, owned by whoever owns what it calls. Cancelled by its destructor. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "lws-plugin/contained.h"

namespace jobcast::plugin {

// Lives while code of ours runs that lws called, or a timer. No timer fires meanwhile: some calls into lws run due timers, and what a timer
// does (answer, close, ask again) is not expected in the middle of anything else.
class Busy {
 public:
  Busy() { ++depth_; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() { --depth_; }
  [[nodiscard]] static bool now() { return depth_ > 0; }

 private:
  static inline int depth_ = 0;
};

class Timer {
 public:
  explicit Timer(std::function<void()> due) { node_.due = std::move(due); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  // Replaces an earlier setting. 0 µs: in the next turn of the loop.
  void after_us(lws_context* context, int64_t us) {
    node_.armed = true;
    node_.context = context;
    lws_sul_schedule(context, 0, &node_.sul, fire, std::max<int64_t>(us, 1));
  }
  void cancel() {
    if (node_.armed) lws_sul_cancel(&node_.sul);
    node_.armed = false;
  }
  [[nodiscard]] bool armed() const { return node_.armed; }

 private:
  struct Node {
    lws_sorted_usec_list_t sul{};  // first: lws hands back its address
    std::function<void()> due;
    lws_context* context = nullptr;
    bool armed = false;
  };

  static void fire(lws_sorted_usec_list_t* sul) noexcept {
    auto* node = reinterpret_cast<Node*>(sul);
    if (Busy::now()) return lws_sul_schedule(node->context, 0, sul, fire, 1);
    const Busy busy;
    node->armed = false;
    (void)contained("timer", node->due);
  }

  Node node_;
};

}  // namespace jobcast::plugin
