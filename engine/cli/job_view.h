// A snapshot's members as the command shows them, and times as people write them. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"
#include "ipc/region.h"

namespace jobcast::cli {

struct JobView {
  JobId id;
  std::string kind, owner, queue;
  JobState state = JobState::queued;
  uint64_t rev = 0;
  int64_t priority = 0, attempt = 0, max_attempts = 1;
  std::optional<int64_t> created_ms, started_ms, finished_ms;
  std::optional<double> done, total, percent, rate;
  std::optional<int64_t> eta_ms;
  std::string phase, message;
  bool cancelling = false;  // asked for, not done
  std::string reason, error;
  std::optional<int64_t> exit_code;
  std::string waiting;  // "queue_full", …
  std::optional<int64_t> position;
  std::string result;      // JSON text, or ""
  std::string result_url;  // instead of a large one
  std::string meta;        // JSON text, or "" when empty
};

// Errors: corrupt.
[[nodiscard]] Result<JobView> read_job(std::string_view snapshot);

[[nodiscard]] std::optional<JobState> parse_state(std::string_view text);

// RFC 3339 ("2026-11-23T13:20:00.123Z", "2026-11-23 14:20:00+01:00"), as ms since 1970.
[[nodiscard]] std::optional<int64_t> parse_time(std::string_view text);
// "90", "90s", "15m", "2h", "1d" as ms.
[[nodiscard]] std::optional<int64_t> parse_span(std::string_view text);

}  // namespace jobcast::cli
