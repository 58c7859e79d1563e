// When a part that died is started again. Pure; time is a parameter.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

namespace jobcast::cli {

class RestartPolicy {
 public:
  static constexpr int kFailuresMax = 5;         // in a row
  static constexpr int64_t kGoodAfterMs = 1000;  // ready for so long: what came before is forgotten

  void ready(int64_t mono_ms) { ready_ms_ = mono_ms; }
  // The delay until the next start: none the first time, then 200 ms and twice that each time up to 2 s. nullopt: give up.
  [[nodiscard]] std::optional<int64_t> died(int64_t mono_ms) {
    if (ready_ms_ && mono_ms - *ready_ms_ >= kGoodAfterMs) failures_ = 0;
    ready_ms_.reset();
    if (++failures_ > kFailuresMax) return std::nullopt;
    return failures_ == 1 ? 0 : std::min<int64_t>(2000, int64_t{100} << (failures_ - 1));
  }

 private:
  std::optional<int64_t> ready_ms_;
  int failures_ = 0;
};

}  // namespace jobcast::cli
