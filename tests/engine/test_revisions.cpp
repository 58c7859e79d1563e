// Revs: publish order is rev order, whatever waits for the disk.
#include "engine/revisions.h"

#include "tests/cmocka.h"

namespace {

using jobcast::engine::Revisions;

void revs_are_boot_and_counter(void**) {
  Revisions revisions(3);
  assert_int_equal(*revisions.next(), (uint64_t{3} << 32) + 1);
  assert_int_equal(*revisions.next(), (uint64_t{3} << 32) + 2);
  assert_int_equal(revisions.boot(), 3);
}

void progress_is_published_below_a_change_that_waits_for_the_disk(void**) {
  Revisions revisions(1);
  const uint64_t before = *revisions.next();
  const uint64_t waiting = revisions.reserve();
  uint64_t last = before;
  for (uint64_t i = 0; i < Revisions::kGap; ++i) {
    const auto rev = revisions.next();
    assert_true(rev && *rev > last && *rev < waiting);
    last = *rev;
  }
  assert_false(revisions.next().has_value());  // the gap is used up: what comes now must come after the change
  revisions.settle(waiting);
  assert_true(*revisions.next() > waiting);
}

void several_changes_are_settled_in_their_order(void**) {
  Revisions revisions(1);
  const uint64_t first = revisions.reserve(), second = revisions.reserve();
  assert_true(*revisions.next() < first);
  revisions.settle(first);
  const auto between = revisions.next();
  assert_true(*between > first && *between < second);
  revisions.settle(second);
  assert_true(*revisions.next() > second);
  assert_true(revisions.reserve() > second);
}

void a_new_boot_continues_above_what_is_under_way(void**) {
  Revisions revisions(1);
  uint64_t last = *revisions.next();
  const uint64_t old = revisions.reserve();
  revisions.set_boot(2);
  const uint64_t young = revisions.reserve();
  assert_int_equal(young >> 32, 2);
  for (const uint64_t change : {old, young}) {
    for (int i = 0; i < 3; ++i) {
      const auto rev = revisions.next();
      assert_true(rev && *rev > last && *rev < change);
      last = *rev;
    }
    revisions.settle(change);
    last = change;
  }
  assert_true(*revisions.next() > young);
}

void a_further_boot_is_wanted_long_before_the_counter_ends(void**) {
  Revisions revisions(7);
  assert_false(revisions.wants_boot());
  while (!revisions.wants_boot()) revisions.settle(revisions.reserve());
  const uint64_t rev = *revisions.next();
  assert_int_equal(rev >> 32, 7);
  assert_true(static_cast<uint32_t>(rev) < UINT32_MAX / 2 + 1024);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(revs_are_boot_and_counter),
      cmocka_unit_test(progress_is_published_below_a_change_that_waits_for_the_disk),
      cmocka_unit_test(several_changes_are_settled_in_their_order),
      cmocka_unit_test(a_new_boot_continues_above_what_is_under_way),
      cmocka_unit_test(a_further_boot_is_wanted_long_before_the_counter_ends),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
