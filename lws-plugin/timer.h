// One timer of lws's scheduler, owned by whoever owns what it calls. Cancelled by its destructor. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include "base/log.h"

namespace jobcast::plugin {

class Timer {
 public:
  explicit Timer(std::function<void()> due) { node_.due = std::move(due); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  // Replaces an earlier setting. 0 µs: in the next turn of the loop.
  void after_us(lws_context* context, int64_t us) {
    node_.armed = true;
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
    bool armed = false;
  };

  static void fire(lws_sorted_usec_list_t* sul) noexcept {
    auto* node = reinterpret_cast<Node*>(sul);
    node->armed = false;
    try {
      node->due();
    } catch (const std::exception& trouble) {
      log::error("timer_failed", {{"why", trouble.what()}});
    }
  }

  Node node_;
};

}  // namespace jobcast::plugin
