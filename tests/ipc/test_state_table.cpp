// Which slot a job gets, and when it loses it.
#include <map>
#include <string>

#include "tests/ipc/region_fixture.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::map<JobId, uint64_t> table(RegionWriter& writer) {
  uint32_t id = 0;
  auto reader = attach(writer, false, &id);
  std::map<JobId, uint64_t> jobs;
  reader.resync([&](const Event& event) {
    assert_true(proven(event));
    assert_true(jobs.emplace(event.job, event.rev).second);
  });
  writer.remove_reader(id);
  return jobs;
}

void the_job_terminal_longest_gives_its_slot_away(void**) {
  auto writer = RegionWriter::create({.slots = 16}).value();
  uint64_t rev = 0;
  for (uint32_t number = 0; number < 16; ++number) publish(writer, number, ++rev);
  publish(writer, 5, ++rev, JobState::completed);
  publish(writer, 3, ++rev, JobState::failed);
  publish(writer, 5, ++rev, JobState::completed);  // a later event of a finished job does not make it younger
  publish(writer, 100, ++rev);
  auto jobs = table(writer);
  assert_int_equal(jobs.size(), 16);
  assert_int_equal(jobs.count(job(5)), 0);
  assert_int_equal(jobs.count(job(3)), 1);
  publish(writer, 101, ++rev);
  jobs = table(writer);
  assert_int_equal(jobs.count(job(3)), 0);
  assert_int_equal(jobs.count(job(100)) + jobs.count(job(101)), 2);
}

void with_every_job_active_an_event_goes_to_the_ring_alone(void**) {
  auto writer = RegionWriter::create({.slots = 16}).value();
  auto reader = attach(writer);
  for (uint32_t number = 0; number < 17; ++number) publish(writer, number, number + 1);
  assert_int_equal(table(writer).size(), 16);
  assert_int_equal(writer.stats().slots_used, 16);
  int seen = 0;
  while (reader.drain([&](const Event&) { ++seen; }) == RegionReader::Drained::more) {
  }
  assert_int_equal(seen, 17);
}

void a_job_that_is_retried_by_hand_keeps_its_slot_and_is_no_longer_given_away(void**) {
  auto writer = RegionWriter::create({.slots = 16}).value();
  uint64_t rev = 0;
  for (uint32_t number = 0; number < 16; ++number) publish(writer, number, ++rev);
  publish(writer, 1, ++rev, JobState::failed);
  publish(writer, 1, ++rev, JobState::queued);
  publish(writer, 200, ++rev);
  assert_int_equal(table(writer).count(job(1)), 1);
  assert_int_equal(table(writer).count(job(200)), 0);
}

void a_thousand_short_jobs_pass_through_sixteen_slots(void**) {
  auto writer = RegionWriter::create({.slots = 16}).value();
  uint64_t rev = 0;
  for (uint32_t number = 0; number < 1000; ++number) {
    publish(writer, number, ++rev);
    publish(writer, number, ++rev, JobState::completed);
  }
  const auto jobs = table(writer);
  assert_int_equal(jobs.size(), 16);
  for (uint32_t number = 984; number < 1000; ++number) assert_int_equal(jobs.count(job(number)), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_job_terminal_longest_gives_its_slot_away),
      cmocka_unit_test(with_every_job_active_an_event_goes_to_the_ring_alone),
      cmocka_unit_test(a_job_that_is_retried_by_hand_keeps_its_slot_and_is_no_longer_given_away),
      cmocka_unit_test(a_thousand_short_jobs_pass_through_sixteen_slots),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
