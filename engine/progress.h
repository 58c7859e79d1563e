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
  // Takes over the whole of what the worker says now (done, total, phase, message: absent and empty values clear what was there) and works
  // out percent, rate and eta_ms of that very report. A new phase counts anew, and so does a lower `done` with another total; a lower
  // `done` of the same total and phase is no news. True when something visible changed. The caller has checked the fence.
  bool merge(Progress& progress, const Progress& said, Time now);

 private:
  void restart(bool earlier_phase, bool may_fall);
  bool take_numbers(Progress& progress, const Progress& said);  // false: they are no news
  void measure(uint64_t done, int64_t mono_ns);
  [[nodiscard]] std::optional<double> rate() const;
  [[nodiscard]] std::optional<int64_t> eta_ms(const Progress& progress) const;

  int64_t first_ns_ = 0, last_ns_ = 0;  // of the first report, and of the last that was measured
  uint64_t last_done_ = 0;
  unsigned steps_ = 0;           // measured reports in which `done` grew
  double sum_ = 0, weight_ = 0;  // exponentially weighted by time; sum ÷ weight has no bias towards its start
  bool earlier_phase_ = false;   // the numbers at hand are those of the phase before
  bool may_fall_ = false;        // since the phase began `done` has not fallen: the last numbers of the phase before may have come with it
};

}  // namespace jobcast::engine
