// Time. Pure parts take a Time as a parameter; only loops and main functions read the clock.
#pragma once

#include <cstdint>
#include <string>

namespace jobcast {

// One reading of both clocks. `mono_ns` measures spans inside one process (CLOCK_MONOTONIC, ns);
// `unix_ms` is what people and databases see (CLOCK_REALTIME, ms since 1970 UTC) and may jump.
struct Time {
  int64_t mono_ns = 0;
  int64_t unix_ms = 0;
  bool wall_set = true;  // false: the wall clock shows a time before this program was built, so nobody has set it

  [[nodiscard]] int64_t mono_ms() const { return mono_ns / 1'000'000; }
};

[[nodiscard]] Time now();

// Since the machine's start, its sleep included (CLOCK_BOOTTIME).
[[nodiscard]] int64_t since_boot_ms();

// When this program was built, as far as it says: the date of its commit, or SOURCE_DATE_EPOCH.
[[nodiscard]] int64_t built_unix_ms();

// "2026-11-23T13:20:00.123Z", always UTC and milliseconds. Range: years 1970–9999; what is beyond them is
// shown as their end.
[[nodiscard]] std::string iso8601(int64_t unix_ms);

}  // namespace jobcast
