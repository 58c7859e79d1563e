// From what a worker says of its progress to what people see: percent, rate and eta. Pure; time is a parameter; loop thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "engine/job.h"

namespace jobcast::engine {

// The memory behind one attempt's rate: keep one beside each running attempt and forget it with the attempt.
class ProgressMeter {
 public:
  // Takes over what the worker said (done, total, phase, message; absent and empty values leave what is there) and works out percent,
  // rate and eta_ms. `done` and `percent` never fall. True when something visible changed. The caller has checked the fence.
  bool merge(Progress& progress, const Progress& raw, Time now);

 private:
  void measure(uint64_t done, int64_t mono_ns);
  [[nodiscard]] std::optional<double> rate() const;

  int64_t first_ns_ = 0, last_ns_ = 0;  // of the first report, and of the last that was measured
  uint64_t last_done_ = 0;
  unsigned steps_ = 0;           // measured reports in which `done` grew
  double sum_ = 0, weight_ = 0;  // exponentially weighted by time; sum ÷ weight has no bias towards its start
};

}  // namespace jobcast::engine
