// Single-use tickets: a way in for clients that can set neither headers nor cookies (EventSource, some ws clients). Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/id.h"
#include "lws-plugin/auth.h"

namespace jobcast::plugin {

class Tickets {
 public:
  static constexpr int64_t kLifeMs = 30'000;

  explicit Tickets(size_t count_max) : count_max_(count_max) {}

  // nullopt: too many are out.
  [[nodiscard]] std::optional<std::string> issue(const Identity& who, const Time& now) {
    while (!order_.empty() && order_.front().first <= now.mono_ms()) {
      live_.erase(order_.front().second);
      order_.pop_front();
    }
    if (order_.size() >= count_max_) return std::nullopt;
    std::string ticket = "tkt_" + random_hex(24);
    live_.emplace(ticket, std::pair(who, now.mono_ms() + kLifeMs));
    order_.emplace_back(now.mono_ms() + kLifeMs, ticket);
    return ticket;
  }

  // Whose it is; from then on it is nobody's. nullopt: unknown, used or too old.
  [[nodiscard]] std::optional<Identity> redeem(std::string_view ticket, const Time& now) {
    const auto found = live_.find(std::string(ticket));
    if (found == live_.end()) return std::nullopt;
    const auto [who, until_ms] = std::move(found->second);
    live_.erase(found);
    if (until_ms <= now.mono_ms() || who.expires_unix_s * 1000 <= now.unix_ms) return std::nullopt;
    return who;
  }

 private:
  size_t count_max_;
  std::unordered_map<std::string, std::pair<Identity, int64_t>> live_;
  std::deque<std::pair<int64_t, std::string>> order_;  // by age; those redeemed stay until they would have ended
};

}  // namespace jobcast::plugin
