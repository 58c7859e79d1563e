// Both clocks, and dates as ISO 8601 writes them.
#include "base/clock.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <string_view>

namespace jobcast {

Time now() {
  timespec mono{}, wall{};
  clock_gettime(CLOCK_MONOTONIC, &mono);
  clock_gettime(CLOCK_REALTIME, &wall);
  const int64_t unix_ms = int64_t{wall.tv_sec} * 1000 + wall.tv_nsec / 1'000'000;
  return {int64_t{mono.tv_sec} * 1'000'000'000 + mono.tv_nsec, unix_ms, unix_ms >= built_unix_ms()};
}

int64_t since_boot_ms() {
  timespec boot{};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return int64_t{boot.tv_sec} * 1000 + boot.tv_nsec / 1'000'000;
}

int64_t built_unix_ms() { return int64_t{JOBCAST_BUILT_UNIX_S} * 1000; }

std::string iso8601(int64_t unix_ms) {
  using namespace std::chrono;
  constexpr int64_t kLast = 253'402'300'799'999;  // of the year 9999
  const sys_time<milliseconds> time{milliseconds(std::clamp<int64_t>(unix_ms, 0, kLast))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  std::string out(std::string_view("0000-00-00T00:00:00.000Z"));
  const auto put = [&out](size_t end, int64_t value) {  // its last digit just before `end`
    for (; value > 0; value /= 10) out[--end] = static_cast<char>('0' + value % 10);
  };
  put(4, int{date.year()});
  put(7, unsigned{date.month()});
  put(10, unsigned{date.day()});
  put(13, clock.hours().count());
  put(16, clock.minutes().count());
  put(19, clock.seconds().count());
  put(23, clock.subseconds().count());
  return out;
}

}  // namespace jobcast
