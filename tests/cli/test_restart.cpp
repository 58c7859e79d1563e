// When a part of the demo is started again, and when it is given up.
#include "engine/cli/engine_link.h"
#include "engine/cli/restart_policy.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast::cli;

void a_part_that_was_up_is_started_again_at_once_for_ever(void**) {
  RestartPolicy policy;
  int64_t now = 0;
  for (int death = 0; death < 100; ++death) {
    policy.ready(now);
    now += RestartPolicy::kGoodAfterMs;
    assert_int_equal(policy.died(now).value(), 0);
  }
}

void a_part_that_does_not_stay_up_waits_longer_each_time_and_is_given_up(void**) {
  RestartPolicy policy;
  const int64_t delays[] = {0, 200, 400, 800, 1600};
  for (const int64_t delay : delays) {
    policy.ready(1000);
    assert_int_equal(policy.died(1000 + RestartPolicy::kGoodAfterMs - 1).value(), delay);
  }
  assert_false(policy.died(2000).has_value());
}

void a_part_that_never_was_ready_counts_too(void**) {
  RestartPolicy policy;
  for (int death = 0; death < RestartPolicy::kFailuresMax; ++death) assert_true(policy.died(1'000'000 * death).has_value());
  assert_false(policy.died(1'000'000'000).has_value());
}

void an_engine_that_went_away_is_tried_until_the_patience_is_over(void**) {
  Reconnection reconnection(60'000);
  reconnection.lost(5000);
  assert_int_equal(reconnection.due_ms(), 5000);
  int64_t now = 5000;
  const int64_t delays[] = {100, 200, 400, 800, 1600, 2000, 2000};
  for (const int64_t delay : delays) {
    reconnection.failed(now);
    assert_int_equal(reconnection.due_ms(), now + delay);
    now = reconnection.due_ms();
    assert_false(reconnection.over(now));
  }
  assert_true(reconnection.over(65'000));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_part_that_was_up_is_started_again_at_once_for_ever),
      cmocka_unit_test(a_part_that_does_not_stay_up_waits_longer_each_time_and_is_given_up),
      cmocka_unit_test(a_part_that_never_was_ready_counts_too),
      cmocka_unit_test(an_engine_that_went_away_is_tried_until_the_patience_is_over),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
