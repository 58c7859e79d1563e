// Requests whose token cannot be checked at once, because the time for signatures is used up just now (verify_budget.h). They wait, and
// those who share a share are served in the order in which they came; the shares take turns. So forgers at full speed wait behind each
// other, and a newcomer at their address behind one request of each of their connections, instead of competing anew each second. Pure;
// service thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"

namespace jobcast::plugin {

class VerifyTurns {
 public:
  // Asks for the verification again; `last`: the wait is over, answer whatever comes of it.
  using Turn = std::function<void(bool last, const Time& now)>;
  static constexpr int64_t kWaitMs = 1000;
  static constexpr size_t kMax = 1024, kShareMax = 256;
  static constexpr size_t kBytesMax = 16 << 20, kShareBytesMax = 4 << 20;  // of bodies that come meanwhile

  // Returns 0 if a bound above is met: answer now. Otherwise the turn comes within kWaitMs, unless it is forgotten.
  [[nodiscard]] uint64_t add(const std::string& share, size_t body_bytes, const Time& now, Turn turn) {
    const auto queue = queues_.find(share);
    if (count_ >= kMax || (queue != queues_.end() && queue->second.waiting.size() >= kShareMax)) return 0;
    if (body_bytes > 0) {
      const size_t of_share = queue == queues_.end() ? 0 : queue->second.bytes;
      if (bytes_ + body_bytes > kBytesMax || of_share + body_bytes > kShareBytesMax) return 0;
    }
    Queue& to = queues_[share];
    if (to.waiting.empty()) order_.push_back(share);
    to.waiting.push_back({++last_id_, now.mono_ms() + kWaitMs, body_bytes, std::move(turn)});
    to.bytes += body_bytes;
    bytes_ += body_bytes;
    ++count_;
    shares_[last_id_] = share;
    return last_id_;
  }

  void forget(uint64_t id) {
    const auto share = shares_.find(id);
    if (share == shares_.end()) return;
    const std::string name = share->second;
    auto& waiting = queues_.at(name).waiting;
    for (auto at = waiting.begin(); at != waiting.end(); ++at)
      if (at->id == id) return void(take(name, at));
  }

  [[nodiscard]] bool waits(const std::string& share) const { return queues_.contains(share); }
  [[nodiscard]] bool empty() const { return count_ == 0; }

  // The next turn that may be had: of a share that `may` says has time, or one whose wait is over (`last`). nullopt: none.
  template <class May>
  [[nodiscard]] std::optional<std::pair<Turn, bool>> next(const Time& now, May&& may) {
    for (size_t shares = order_.size(); shares > 0; --shares) {
      const std::string share = order_.front();
      order_.splice(order_.end(), order_, order_.begin());
      auto& waiting = queues_.at(share).waiting;
      const bool has_time = may(share), last = waiting.front().until_ms <= now.mono_ms();
      if (has_time || last) return std::pair(take(share, waiting.begin()), last);
    }
    return std::nullopt;
  }

 private:
  struct Waiting {
    uint64_t id;
    int64_t until_ms;
    size_t body_bytes;
    Turn turn;
  };
  struct Queue {
    std::deque<Waiting> waiting;  // never empty
    size_t bytes = 0;
  };

  Turn take(const std::string& share, const std::deque<Waiting>::iterator& at) {
    Queue& from = queues_.at(share);
    Turn turn = std::move(at->turn);
    from.bytes -= at->body_bytes;
    bytes_ -= at->body_bytes;
    --count_;
    shares_.erase(at->id);
    from.waiting.erase(at);
    if (from.waiting.empty()) {
      order_.remove(share);
      queues_.erase(share);
    }
    return turn;
  }

  std::map<std::string, Queue> queues_;
  std::list<std::string> order_;  // whose turn it is next
  std::map<uint64_t, std::string> shares_;
  size_t count_ = 0, bytes_ = 0;
  uint64_t last_id_ = 0;
};

}  // namespace jobcast::plugin
