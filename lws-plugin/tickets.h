// Single-use tickets: a way in for clients that can set neither headers nor cookies (EventSource, some ws clients). Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/id.h"
#include "lws-plugin/auth.h"

namespace jobcast::plugin {

class Tickets {
 public:
  static constexpr int64_t kLifeMs = 30'000;

  Tickets(size_t count_max, size_t per_user_max) : count_max_(count_max), per_user_max_(per_user_max) {}

  // A user who has as many as one may have loses the oldest for it. nullopt: too many are out, of all users together.
  [[nodiscard]] std::optional<std::string> issue(const Identity& who, const Time& now) {
    while (!order_.empty() && live_.at(order_.front()).until_ms <= now.mono_ms()) erase(live_.find(order_.front()));
    if (const auto own = of_user_.find(who.user); own != of_user_.end() && own->second.size() >= std::min(per_user_max_, count_max_))
      erase(live_.find(own->second.front()));
    if (live_.size() >= count_max_) return std::nullopt;
    std::string ticket = "tkt_" + random_hex(24);
    auto& own = of_user_[who.user];
    live_.emplace(ticket, Live{who, now.mono_ms() + kLifeMs, order_.insert(order_.end(), ticket), own.insert(own.end(), ticket)});
    return ticket;
  }

  // Whose it is; from then on it is nobody's. nullopt: unknown, used or too old.
  [[nodiscard]] std::optional<Identity> redeem(std::string_view ticket, const Time& now) {
    const auto found = live_.find(std::string(ticket));
    if (found == live_.end()) return std::nullopt;
    Identity who = found->second.who;
    const bool late = found->second.until_ms <= now.mono_ms() || who.ended(now);
    erase(found);
    if (late) return std::nullopt;
    return who;
  }

 private:
  using Order = std::list<std::string>;  // by age
  struct Live {
    Identity who;
    int64_t until_ms = 0;
    Order::iterator in_order, in_own;
  };

  void erase(std::unordered_map<std::string, Live>::iterator ticket) {
    const auto own = of_user_.find(ticket->second.who.user);
    own->second.erase(ticket->second.in_own);
    if (own->second.empty()) of_user_.erase(own);
    order_.erase(ticket->second.in_order);
    live_.erase(ticket);
  }

  size_t count_max_, per_user_max_;
  std::unordered_map<std::string, Live> live_;
  Order order_;
  std::unordered_map<std::string, Order> of_user_;
};

}  // namespace jobcast::plugin
