// Shares of the loop's time for checking signatures, which cost from 7 to 440 µs each. Pure; service thread only.
//
// All together may use half of the time. Of that, those at one address who have never shown a good token there share a half, whatever
// names their tokens claim; each user who has shown one there has a share of their own. So forged tokens use up the share of the
// strangers at their address, and nobody else's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace jobcast::plugin {

class VerifyBudget {
 public:
  // Whose share a signature is counted to: the user's own there, or that of the address's strangers.
  [[nodiscard]] std::string share(std::string_view address, std::string_view user) const {
    std::string own = key(address, user);
    return users_.contains(own) ? own : std::string(address);
  }
  [[nodiscard]] bool may(const std::string& share, int64_t now_ns) {
    if (refill(all_, kAll, now_ns) <= 0) return false;
    const auto known = users_.find(share);
    if (known != users_.end()) return refill(known->second, kUser, now_ns) > 0;
    return refill(stranger(share), kStrangers, now_ns) > 0;
  }

  // May a signature be checked now? `user` is who the token claims to be from.
  [[nodiscard]] bool may(std::string_view address, std::string_view user, int64_t now_ns) { return may(share(address, user), now_ns); }

  // One was checked. `good`: from now on the user has a share of their own at this address.
  void spent(std::string_view address, std::string_view user, bool good, int64_t took_ns, int64_t now_ns) {
    all_.left_ns -= took_ns;
    const auto known = users_.find(key(address, user));
    (known != users_.end() ? known->second : stranger(std::string(address))).left_ns -= took_ns;
    if (!good) return;
    make_room(users_, kUser, now_ns);
    users_.try_emplace(key(address, user));
  }

 private:
  static constexpr size_t kRememberedMax = 4096;
  struct Share {
    int64_t one_in, burst_ns;
  };
  static constexpr Share kAll{2, 50'000'000}, kStrangers{4, 25'000'000}, kUser{16, 10'000'000};
  struct Credit {
    int64_t left_ns = 0, seen_ns = 0;
  };
  using Credits = std::unordered_map<std::string, Credit>;

  static std::string key(std::string_view address, std::string_view user) { return std::string(address).append("\n").append(user); }

  static int64_t refill(Credit& credit, Share share, int64_t now_ns) {
    const int64_t gained_ns = (now_ns - std::exchange(credit.seen_ns, now_ns)) / share.one_in;
    return credit.left_ns = std::min(share.burst_ns, credit.left_ns + gained_ns);
  }

  Credit& stranger(const std::string& address) {
    make_room(strangers_, kStrangers, all_.seen_ns);
    return strangers_[address];
  }

  // Forgets those who have their whole share again; where that is not enough, all.
  static void make_room(Credits& credits, Share share, int64_t now_ns) {
    if (credits.size() < kRememberedMax) return;
    for (auto at = credits.begin(); at != credits.end();)
      at = refill(at->second, share, now_ns) >= share.burst_ns ? credits.erase(at) : std::next(at);
    if (credits.size() >= kRememberedMax) credits.clear();
  }

  Credit all_;
  Credits strangers_, users_;
};

}  // namespace jobcast::plugin
