// Rate by a moving average, and an ETA only when it means something.
#include "engine/progress.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace jobcast::engine {
namespace {

constexpr double kTauSeconds = 5.0;             // what happened longer ago counts less than 1/e
constexpr int64_t kStepNsMin = 10'000'000;      // a shorter span measures the clock, not the work: it joins the next one
constexpr int64_t kRateAfterNs = 500'000'000;   // from the first report
constexpr int64_t kEtaAfterNs = 2'000'000'000;  // early rates are mostly start-up
constexpr unsigned kRateAfterSteps = 1, kEtaAfterSteps = 3;
constexpr double kEtaMsMax = 30.0 * 24 * 3600 * 1000;  // beyond a month it is no prediction

// Downwards to one decimal, so that 100 is only said when it is reached.
double percent_of(uint64_t done, uint64_t total) {
  if (done >= total) return 100.0;
  return std::floor(static_cast<double>(done) / static_cast<double>(total) * 1000.0) / 10.0;
}

}  // namespace

void ProgressMeter::measure(uint64_t done, int64_t mono_ns) {
  if (first_ns_ == 0) {
    first_ns_ = last_ns_ = mono_ns;
    last_done_ = done;
    return;
  }
  const int64_t span_ns = mono_ns - last_ns_;
  if (span_ns < kStepNsMin) return;
  const double seconds = static_cast<double>(span_ns) / 1e9;
  const double keep = std::exp(-seconds / kTauSeconds);
  sum_ = sum_ * keep + static_cast<double>(done - last_done_) / seconds * (1 - keep);
  weight_ = weight_ * keep + (1 - keep);
  if (done > last_done_) ++steps_;
  last_ns_ = mono_ns;
  last_done_ = done;
}

std::optional<double> ProgressMeter::rate() const {
  if (steps_ < kRateAfterSteps || last_ns_ - first_ns_ < kRateAfterNs) return std::nullopt;
  return sum_ / weight_;
}

std::optional<int64_t> ProgressMeter::eta_ms(const Progress& progress) const {
  if (!progress.total) return std::nullopt;
  if (*progress.done >= *progress.total) return 0;
  if (progress.rate.value_or(0) <= 0 || steps_ < kEtaAfterSteps || last_ns_ - first_ns_ < kEtaAfterNs) return std::nullopt;
  const double ms = static_cast<double>(*progress.total - *progress.done) / *progress.rate * 1000;
  return ms <= kEtaMsMax ? std::optional(static_cast<int64_t>(ms)) : std::nullopt;
}

void ProgressMeter::restart(bool earlier_phase, bool may_fall) {
  *this = ProgressMeter();
  earlier_phase_ = earlier_phase;
  may_fall_ = may_fall;
}

bool ProgressMeter::take_numbers(Progress& progress, const Progress& said) {
  const auto total = said.total.value_or(0) > 0 ? said.total : std::nullopt;
  const bool falls = said.done.value_or(0) < progress.done.value_or(0);
  const bool same_total = total == progress.total;
  if (falls && same_total && !may_fall_) return false;
  if (said.done == progress.done && same_total) return true;
  if (falls || earlier_phase_) restart(false, may_fall_ && !falls);
  progress.done = said.done;
  progress.total = total;
  progress.percent.reset();
  if (said.done && total) progress.percent = percent_of(*said.done, *total);
  return true;
}

bool ProgressMeter::merge(Progress& progress, const Progress& said, Time now) {
  const Progress before = progress;
  progress.message = to_utf8(said.message, kMessageBytesMax);
  progress.phase = to_utf8(said.phase, kPhaseBytesMax);
  if (progress.phase != before.phase) {
    restart(true, true);
    progress.rate.reset();
    progress.eta_ms.reset();
  }
  if (take_numbers(progress, said) && progress.done && !earlier_phase_) {
    measure(*progress.done, now.mono_ns);
    progress.rate = rate();
    progress.eta_ms = eta_ms(progress);
  }
  return progress != before;
}

}  // namespace jobcast::engine
