#include "base/clock.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace jobcast {

Time now() {
  timespec mono{}, wall{};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  return {int64_t{mono.tv_sec} * 1'000'000'000 + mono.tv_nsec, int64_t{wall.tv_sec} * 1000 + wall.tv_nsec / 1'000'000};
}

std::string iso8601(int64_t unix_ms) {
  const time_t seconds = static_cast<time_t>(unix_ms / 1000);
  tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> day{};
  const size_t length = strftime(day.data(), day.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 8> fraction{};
  snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(unix_ms % 1000));
  return std::string(day.data(), length) + fraction.data();
}

}  // namespace jobcast
