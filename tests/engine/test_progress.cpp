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

Progress said_in(std::string phase, uint64_t done, uint64_t total) {
  Progress raw = said(done, total);
  raw.phase = std::move(phase);
  return raw;
}

void a_lower_done_of_the_same_phase_and_total_is_no_news(void**) {
  ProgressMeter meter;
  Progress seen;
  assert_true(meter.merge(seen, said(50, 100), at_ms(0)));
  assert_false(meter.merge(seen, said(40, 100), at_ms(1)));
  assert_int_equal(*seen.done, 50);
  assert_true(*seen.percent == 50.0);
}

void percent_rate_and_eta_are_those_of_the_report_that_is_shown(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said(1, 1), at_ms(0));
  assert_true(*seen.percent == 100.0);
  meter.merge(seen, said(600, 1000), at_ms(3000));  // the worker found more to do
  assert_int_equal(*seen.done, 600);
  assert_int_equal(*seen.total, 1000);
  assert_true(*seen.percent == 60.0);
  meter.merge(seen, said(300, 2000), at_ms(3100));  // a lower one with another total counts anew
  assert_int_equal(*seen.done, 300);
  assert_true(*seen.percent == 15.0);
  assert_false(seen.rate.has_value());
  assert_false(seen.eta_ms.has_value());
}

void a_total_of_zero_makes_it_unknown_again(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said(5, 10), at_ms(0));
  assert_true(meter.merge(seen, said(6, 0), at_ms(3000)));
  assert_int_equal(*seen.done, 6);
  assert_false(seen.total.has_value());
  assert_false(seen.percent.has_value());
  assert_false(seen.eta_ms.has_value());
}

void a_new_phase_counts_anew(void**) {
  ProgressMeter meter;
  Progress seen;
  for (int i = 0; i <= 100; ++i) meter.merge(seen, said_in("write", static_cast<uint64_t>(i), 100), at_ms(i * 100));
  assert_int_equal(*seen.eta_ms, 0);
  // Its first report is still to come: the numbers are the last that were said, and nothing is predicted from them.
  assert_true(meter.merge(seen, said_in("verify", 100, 100), at_ms(10'100)));
  assert_int_equal(*seen.done, 100);
  assert_false(seen.rate.has_value());
  assert_false(seen.eta_ms.has_value());
  meter.merge(seen, said_in("verify", 0, 100), at_ms(20'000));
  assert_int_equal(*seen.done, 0);
  assert_true(*seen.percent == 0.0);
  assert_false(seen.eta_ms.has_value());
  for (int i = 1; i <= 30; ++i) meter.merge(seen, said_in("verify", static_cast<uint64_t>(i), 100), at_ms(20'000 + i * 1000));
  assert_true(std::fabs(*seen.rate - 1) < 0.01);
  assert_true(std::llabs(*seen.eta_ms - 70'000) < 500);
  assert_false(meter.merge(seen, said_in("verify", 29, 100), at_ms(50'001)));
}

void the_last_numbers_of_a_phase_that_come_with_the_next_do_not_hold_it_up(void**) {
  ProgressMeter meter;
  Progress seen;
  meter.merge(seen, said_in("write", 40, 100), at_ms(0));
  meter.merge(seen, said_in("verify", 100, 100), at_ms(50));  // 100 was said before the phase changed, and not seen until then
  meter.merge(seen, said_in("verify", 3, 100), at_ms(100));
  assert_int_equal(*seen.done, 3);
  assert_true(*seen.percent == 3.0);
  assert_false(meter.merge(seen, said_in("verify", 2, 100), at_ms(150)));
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

void phase_and_message_are_cleared_by_nothing_and_bounded(void**) {
  ProgressMeter meter;
  Progress seen, raw = said(3, 10);
  raw.phase = "flop";
  raw.message = std::string(300, 'x') + "\xff";
  assert_true(meter.merge(seen, raw, at_ms(0)));
  assert_int_equal(seen.message.size(), kMessageBytesMax);
  assert_false(meter.merge(seen, raw, at_ms(1)));
  assert_true(meter.merge(seen, said(3, 10), at_ms(2)));
  assert_string_equal(seen.phase.c_str(), "");
  assert_string_equal(seen.message.c_str(), "");
  assert_int_equal(*seen.done, 3);
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
      cmocka_unit_test(a_lower_done_of_the_same_phase_and_total_is_no_news),
      cmocka_unit_test(percent_rate_and_eta_are_those_of_the_report_that_is_shown),
      cmocka_unit_test(a_total_of_zero_makes_it_unknown_again),
      cmocka_unit_test(a_new_phase_counts_anew),
      cmocka_unit_test(the_last_numbers_of_a_phase_that_come_with_the_next_do_not_hold_it_up),
      cmocka_unit_test(one_hundred_percent_is_said_only_when_it_is_reached),
      cmocka_unit_test(without_a_total_there_is_neither_percent_nor_eta),
      cmocka_unit_test(rate_and_eta_are_absent_until_they_mean_something),
      cmocka_unit_test(a_worker_that_only_repeats_itself_has_no_rate),
      cmocka_unit_test(rate_follows_a_change_of_pace_within_seconds),
      cmocka_unit_test(rate_does_not_depend_on_how_often_it_is_told),
      cmocka_unit_test(phase_and_message_are_cleared_by_nothing_and_bounded),
      cmocka_unit_test(counters_at_the_end_of_their_range_do_no_harm),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
