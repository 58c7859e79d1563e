// Progress as people see it: never falls, never guesses.
#include "engine/progress.h"

#include <cmath>
#include <string>

#include "tests/cmocka.h"

namespace {

using namespace jobcast::engine;

jobcast::Time at_ms(int64_t ms) { return {ms * 1'000'000 + 1, ms}; }

Progress said(std::optional<uint64_t> done, std::optional<uint64_t> total = std::nullopt) {
  Progress raw;
  raw.done = done;
  raw.total = total;
  return raw;
}

void progress_never_falls_within_an_attempt(void**) {
  ProgressMeter meter;
  Progress seen;
  assert_true(meter.merge(seen, said(50, 100), at_ms(0)));
  assert_false(meter.merge(seen, said(40, 100), at_ms(1)));
  assert_int_equal(*seen.done, 50);
  assert_true(meter.merge(seen, said(51, 1000), at_ms(2)));  // the worker found more to do
  assert_true(*seen.percent == 50.0);
  assert_int_equal(*seen.total, 1000);
}

void one_hundred_percent_is_said_only_when_it_is_reached(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said(99'999, 100'000), at_ms(0));
  assert_true(*seen.percent == 99.9);
  meter.merge(seen, said(100'001, 100'000), at_ms(1));
  assert_true(*seen.percent == 100.0);
  assert_int_equal(*seen.eta_ms, 0);
}

void without_a_total_there_is_neither_percent_nor_eta(void**) {
  ProgressMeter meter;
  Progress seen;
  for (int i = 0; i < 100; ++i) meter.merge(seen, said(static_cast<uint64_t>(i) * 10), at_ms(i * 100));
  assert_false(seen.percent.has_value());
  assert_false(seen.eta_ms.has_value());
  assert_true(std::fabs(*seen.rate - 100) < 0.01);
  meter.merge(seen, said(std::nullopt, 0), at_ms(20'000));
  assert_false(seen.percent.has_value());
}

void rate_and_eta_are_absent_until_they_mean_something(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said(0, 10'000), at_ms(0));
  assert_false(seen.rate.has_value());
  meter.merge(seen, said(40, 10'000), at_ms(400));
  assert_false(seen.rate.has_value());
  meter.merge(seen, said(50, 10'000), at_ms(500));
  assert_true(std::fabs(*seen.rate - 100) < 0.01);
  assert_false(seen.eta_ms.has_value());
  meter.merge(seen, said(200, 10'000), at_ms(2000));
  assert_true(std::llabs(*seen.eta_ms - 98'000) < 50);
}

void a_worker_that_only_repeats_itself_has_no_rate(void**) {
  ProgressMeter meter;
  Progress seen;
  for (int i = 0; i < 50; ++i) meter.merge(seen, said(5, 10), at_ms(i * 100));
  assert_false(seen.rate.has_value());
  assert_false(seen.eta_ms.has_value());
}

void rate_follows_a_change_of_pace_within_seconds(void**) {
  ProgressMeter meter;
  Progress seen;
  uint64_t done = 0;
  int64_t ms = 0;
  for (; ms <= 30'000; ms += 50) meter.merge(seen, said(done += 50, 1'000'000), at_ms(ms));
  assert_true(std::fabs(*seen.rate - 1000) < 1);
  for (; ms <= 50'000; ms += 50) meter.merge(seen, said(done += 5, 1'000'000), at_ms(ms));
  assert_true(*seen.rate > 99 && *seen.rate < 120);
}

void rate_does_not_depend_on_how_often_it_is_told(void**) {
  ProgressMeter often, seldom;
  Progress a, b;
  for (int64_t ms = 0; ms <= 20'000; ++ms) {
    often.merge(a, said(static_cast<uint64_t>(ms) * 3, 1'000'000), at_ms(ms));
    if (ms % 2000 == 0) seldom.merge(b, said(static_cast<uint64_t>(ms) * 3, 1'000'000), at_ms(ms));
  }
  assert_true(std::fabs(*a.rate - 3000) < 1);
  assert_true(std::fabs(*b.rate - 3000) < 1);
}

void phase_and_message_stay_until_replaced_and_are_bounded(void**) {
  ProgressMeter meter;
  Progress seen, raw;
  raw.phase = "flop";
  raw.message = std::string(300, 'x') + "\xff";
  assert_true(meter.merge(seen, raw, at_ms(0)));
  assert_int_equal(seen.message.size(), kMessageBytesMax);
  assert_false(seen.done.has_value());
  assert_false(meter.merge(seen, Progress{}, at_ms(1)));
  assert_string_equal(seen.phase.c_str(), "flop");
}

void counters_at_the_end_of_their_range_do_no_harm(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said(0, UINT64_MAX), at_ms(0));
  for (int i = 1; i < 10; ++i) meter.merge(seen, said(UINT64_MAX - 10 + static_cast<uint64_t>(i), UINT64_MAX), at_ms(i * 1000));
  assert_true(*seen.percent <= 100.0);
  assert_true(std::isfinite(*seen.rate));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(progress_never_falls_within_an_attempt),
      cmocka_unit_test(one_hundred_percent_is_said_only_when_it_is_reached),
      cmocka_unit_test(without_a_total_there_is_neither_percent_nor_eta),
      cmocka_unit_test(rate_and_eta_are_absent_until_they_mean_something),
      cmocka_unit_test(a_worker_that_only_repeats_itself_has_no_rate),
      cmocka_unit_test(rate_follows_a_change_of_pace_within_seconds),
      cmocka_unit_test(rate_does_not_depend_on_how_often_it_is_told),
      cmocka_unit_test(phase_and_message_stay_until_replaced_and_are_bounded),
      cmocka_unit_test(counters_at_the_end_of_their_range_do_no_harm),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
