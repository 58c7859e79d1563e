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

template <class T, class U>
bool assign(T& target, U value) {
  if (target == value) return false;
  target = std::move(value);
  return true;
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

bool ProgressMeter::merge(Progress& progress, const Progress& raw, Time now) {
  bool changed = false;
  if (raw.done && (!progress.done || *raw.done > *progress.done)) changed |= assign(progress.done, raw.done);
  if (raw.total) changed |= assign(progress.total, raw.total);
  if (!raw.phase.empty()) changed |= assign(progress.phase, to_utf8(raw.phase, kPhaseBytesMax));
  if (!raw.message.empty()) changed |= assign(progress.message, to_utf8(raw.message, kMessageBytesMax));
  if (!progress.done) return changed;

  measure(*progress.done, now.mono_ns);
  changed |= assign(progress.rate, rate());
  std::optional<int64_t> eta_ms;
  if (progress.total && *progress.total > 0) {
    changed |= assign(progress.percent, std::optional(std::max(progress.percent.value_or(0), percent_of(*progress.done, *progress.total))));
    if (*progress.done >= *progress.total) {
      eta_ms = 0;
    } else if (progress.rate && *progress.rate > 0 && steps_ >= kEtaAfterSteps && last_ns_ - first_ns_ >= kEtaAfterNs) {
      const double ms = static_cast<double>(*progress.total - *progress.done) / *progress.rate * 1000;
      if (ms <= kEtaMsMax) eta_ms = static_cast<int64_t>(ms);
    }
  }
  changed |= assign(progress.eta_ms, eta_ms);
  return changed;
}

}  // namespace jobcast::engine
