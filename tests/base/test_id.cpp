// Job ids: UUIDv7 that grow, and randomness in hexadecimal.
#include "base/id.h"

#include <unordered_set>

#include "tests/cmocka.h"

namespace {

using jobcast::JobId;
using jobcast::JobIdSource;

void job_ids_grow_and_survive_a_round_trip(void**) {
  JobIdSource source;
  auto last = source.next(1'700'000'000'000);
  for (int i = 0; i < 20'000; ++i) {
    const auto id = source.next(1'700'000'000'000 + i / 5000);
    assert_true(last < id);
    assert_true(JobId::parse(id.text()) == id);
    last = id;
  }
}

void job_ids_grow_when_the_clock_goes_back(void**) {
  JobIdSource source;
  const auto first = source.next(1'700'000'000'000);
  const auto second = source.next(1'600'000'000'000);
  assert_true(first < second);
  assert_true(second < source.next(1'700'000'000'001));
}

void job_id_carries_time_version_and_variant(void**) {
  JobIdSource source;
  const std::string text = source.next(0x0192f0c1abcd).text();
  assert_int_equal(text.size(), 36);
  assert_string_equal(text.substr(0, 15).c_str(), "0192f0c1-abcd-7");
  assert_true(std::string("89ab").find(text[19]) != std::string::npos);
}

void text_that_is_no_uuid_is_refused(void**) {
  const std::string good = "0192f0c1-0000-7000-8000-00000000000a";
  assert_true(JobId::parse(good).has_value());
  assert_true(JobId::parse("0192F0C1-0000-7000-8000-00000000000A") == JobId::parse(good));
  for (const std::string& bad : {std::string(), std::string("0192f0c1"), good.substr(1), good + "0", " " + good.substr(1)})
    assert_false(JobId::parse(bad).has_value());
  for (size_t i = 0; i < good.size(); ++i)
    for (const char wrong : {'g', '-', ' ', '\0', ':'}) {
      std::string bad = good;
      if (bad[i] == wrong) continue;
      bad[i] = wrong;
      assert_false(JobId::parse(bad).has_value());
    }
}

void equal_ids_hash_equally_and_different_ones_do_not_collide_here(void**) {
  JobIdSource source;
  std::unordered_set<JobId> ids;
  for (int i = 0; i < 5000; ++i) ids.insert(source.next(1'700'000'000'000));
  assert_int_equal(ids.size(), 5000);
  const JobId id = *ids.begin();
  assert_true(ids.contains(*JobId::parse(id.text())));
}

void random_hex_has_two_digits_a_byte_and_does_not_repeat(void**) {
  assert_int_equal(jobcast::random_hex(0).size(), 0);
  const std::string hex = jobcast::random_hex(300);
  assert_int_equal(hex.size(), 600);
  assert_true(hex.find_first_not_of("0123456789abcdef") == std::string::npos);
  assert_true(jobcast::random_hex(16) != jobcast::random_hex(16));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(job_ids_grow_and_survive_a_round_trip),
      cmocka_unit_test(job_ids_grow_when_the_clock_goes_back),
      cmocka_unit_test(job_id_carries_time_version_and_variant),
      cmocka_unit_test(text_that_is_no_uuid_is_refused),
      cmocka_unit_test(equal_ids_hash_equally_and_different_ones_do_not_collide_here),
      cmocka_unit_test(random_hex_has_two_digits_a_byte_and_does_not_repeat),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
