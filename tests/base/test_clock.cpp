// Time as people see it and as loops measure it.
#include "base/clock.h"

#include <cstdlib>
#include <ctime>

#include "tests/cmocka.h"

namespace {

void iso8601_is_utc_with_milliseconds(void**) {
  assert_string_equal(jobcast::iso8601(0).c_str(), "1970-01-01T00:00:00.000Z");
  assert_string_equal(jobcast::iso8601(7).c_str(), "1970-01-01T00:00:00.007Z");
  assert_string_equal(jobcast::iso8601(951'782'400'999).c_str(), "2000-02-29T00:00:00.999Z");
  assert_string_equal(jobcast::iso8601(2'147'483'648'000).c_str(), "2038-01-19T03:14:08.000Z");
  assert_string_equal(jobcast::iso8601(253'402'300'799'999).c_str(), "9999-12-31T23:59:59.999Z");
  assert_string_equal(jobcast::iso8601(INT64_MAX).c_str(), "9999-12-31T23:59:59.999Z");
  assert_string_equal(jobcast::iso8601(INT64_MIN).c_str(), "1970-01-01T00:00:00.000Z");
}

void iso8601_ignores_the_local_time_zone(void**) {
  setenv("TZ", "Asia/Kathmandu", 1);
  tzset();
  assert_string_equal(jobcast::iso8601(1'795'440'000'123).c_str(), "2026-11-23T13:20:00.123Z");
  unsetenv("TZ");
  tzset();
}

void now_never_runs_backwards_and_knows_the_date(void**) {
  const int64_t date_ms = int64_t{time(nullptr)} * 1000;
  jobcast::Time last = jobcast::now();
  assert_true(last.unix_ms >= date_ms - 2000 && last.unix_ms <= date_ms + 60'000);
  for (int i = 0; i < 100'000; ++i) {
    const jobcast::Time next = jobcast::now();
    assert_true(next.mono_ns >= last.mono_ns);
    last = next;
  }
}

void milliseconds_are_the_nanoseconds_cut(void**) { assert_int_equal((jobcast::Time{.mono_ns = 1'999'999}).mono_ms(), 1); }

}  // namespace

static void clock_before_the_build_counts_as_not_set(void**) {
  const jobcast::Time now = jobcast::now();
  assert_true(jobcast::built_unix_ms() > 1'700'000'000'000);
  assert_true(now.wall_set);
  assert_true(now.unix_ms >= jobcast::built_unix_ms());
  assert_true(jobcast::since_boot_ms() >= now.mono_ms());
}

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(clock_before_the_build_counts_as_not_set), cmocka_unit_test(iso8601_is_utc_with_milliseconds),
      cmocka_unit_test(iso8601_ignores_the_local_time_zone),      cmocka_unit_test(now_never_runs_backwards_and_knows_the_date),
      cmocka_unit_test(milliseconds_are_the_nanoseconds_cut),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
