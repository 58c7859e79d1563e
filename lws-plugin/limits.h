// Bounds on whatever a peer controls: the numbers, and the one way in which a rate is kept. Pure; service thread only.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace jobcast::plugin {

struct HubLimits {
  size_t subscriptions_per_session_max = 256;
  size_t calls_per_session_max = 16;  // submits, cancels and subscribes that wait for the engine, at one time
  size_t sessions_per_user_max = 64;
  size_t topics_max = 4096;               // jobs remembered; those that nobody follows go first, terminal ones before others
  size_t followed_per_user_max = 1024;    // of these, followed by one user's sessions: never all, for what is followed cannot go
  size_t answers_bytes_max = 128 << 10;   // of answers that a session asked for and has not read: beyond it is closed as slow
  size_t message_bytes_max = 96 << 10;    // one message of a client (args may have 64 KiB)
  uint32_t messages_per_second_max = 50;  // from one session
  uint32_t messages_burst_max = 100;      // at once; as many refused in a row end the session
  int64_t min_interval_ms = 0;            // server floor between two updates of one job to one session
  int64_t auth_timeout_ms = 10'000;       // from opening, or from expiry, to `authenticated`
  int64_t expiry_warning_s = 60;          // auth_expiring is sent so long before the end
};

// So many a second on average, `burst` at once (GCRA: one number is all the state). A rate of 0 lets everything pass.
class Rate {
 public:
  Rate() = default;
  Rate(uint32_t per_second, uint32_t burst)
      : step_ns_(per_second ? 1'000'000'000 / per_second : 0), burst_ns_(step_ns_ * std::max<int64_t>(burst, 1)) {}

  [[nodiscard]] bool take(int64_t now_ns) { return take(now_ns, full_at_ns_); }
  // The same with the state kept elsewhere (one Rate for many peers); a fresh state is kFresh.
  static constexpr int64_t kFresh = std::numeric_limits<int64_t>::min();
  [[nodiscard]] bool take(int64_t now_ns, int64_t& state) const {
    const int64_t next = std::max(state, now_ns) + step_ns_;
    if (next - now_ns > burst_ns_ && step_ns_ > 0) return false;
    state = next;
    return true;
  }

 private:
  int64_t step_ns_ = 0, burst_ns_ = 0;
  int64_t full_at_ns_ = kFresh;
};

}  // namespace jobcast::plugin
