// The region seen from both ends in one process: order, wrap, laps, resync, wake-ups, readers that come and go.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>

#include "ipc/membarrier.h"
#include "ipc/region.h"
#include "tests/ipc/region_fixture.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;
using Drained = RegionReader::Drained;

RegionWriter make(RegionOptions options = {}) {
  auto writer = RegionWriter::create(options);
  if (!writer) fail_msg("%s", writer.error().detail.c_str());
  return std::move(*writer);
}

bool readable(int fd) {
  pollfd ready{fd, POLLIN, 0};
  return poll(&ready, 1, 0) == 1;
}

void an_event_arrives_as_it_was_published(void**) {
  auto writer = make();
  auto reader = attach(writer);
  const std::string owner(kOwnerBytesMax, 'o'), snapshot(kSnapshotBytesMax, 's');
  writer.publish({.job = job(7),
                  .rev = (uint64_t{3} << 32) + 9,
                  .state = JobState::failed,
                  .list_changed = true,
                  .owner = owner,
                  .snapshot = snapshot});
  writer.publish({.job = job(8), .rev = 5, .state = JobState::queued, .list_changed = false, .owner = "", .snapshot = ""});
  writer.flush();
  Event event;
  assert_true(reader.next(event) == Drained::more);
  assert_true(event.job == job(7) && event.rev == (uint64_t{3} << 32) + 9 && event.state == JobState::failed && event.list_changed);
  assert_true(event.owner == owner && event.snapshot == snapshot);
  assert_true(reader.next(event) == Drained::more);
  assert_true(event.job == job(8) && event.owner.empty() && event.snapshot.empty() && !event.list_changed);
  assert_true(reader.next(event) == Drained::empty);
}

void every_event_arrives_in_order_across_the_wrap_of_the_ring_and_of_the_position(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 16, .first_position = (uint64_t{1} << 32) - 1000});
  auto reader = attach(writer);
  uint64_t expected = 1;
  for (uint64_t rev = 1; rev <= 20'000; ++rev) {
    publish(writer, static_cast<uint32_t>(rev % 50), rev);
    if (rev % 13 != 0) continue;
    Drained end;
    do
      end = reader.drain([&](const Event& event) {
        assert_true(event.rev == expected++);
        assert_true(proven(event));
      });
    while (end == Drained::more);
    assert_true(end == Drained::empty);
  }
  assert_true(expected > 19'000);
}

void one_drain_hands_out_at_most_sixteen(void**) {
  auto writer = make();
  auto reader = attach(writer);
  for (uint64_t rev = 1; rev <= 40; ++rev) publish(writer, 1, rev);
  int seen = 0;
  assert_true(reader.drain([&](const Event&) { ++seen; }) == Drained::more);
  assert_int_equal(seen, 16);
}

void a_lapped_reader_says_so_and_resyncs_to_the_newest_state_of_every_job(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 64, .first_position = (uint64_t{1} << 32) - 300});
  auto reader = attach(writer);
  for (uint64_t rev = 1; rev <= 3000; ++rev) publish(writer, static_cast<uint32_t>(rev % 50), rev);
  assert_true(reader.drain([](const Event&) { fail(); }) == Drained::lapped);
  std::map<uint64_t, int> seen;
  reader.resync([&](const Event& event) {
    assert_true(proven(event));
    seen[event.rev]++;
  });
  assert_int_equal(seen.size(), 50);
  assert_int_equal(seen.begin()->first, 2951);
  assert_int_equal(seen.rbegin()->first, 3000);
  assert_true(reader.drain([](const Event&) { fail(); }) == Drained::empty);
  publish(writer, 3, 3001);
  assert_true(reader.drain([](const Event& event) { assert_int_equal(event.rev, 3001); }) == Drained::empty);
  assert_int_equal(reader.stats().laps, 1);
}

void a_second_resync_reads_only_what_changed(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 64});
  auto reader = attach(writer);
  for (uint32_t number = 0; number < 40; ++number) publish(writer, number, number + 1);
  int seen = 0;
  const auto count = [&](const Event&) { ++seen; };
  reader.resync(count);
  assert_int_equal(seen, 40);
  publish(writer, 5, 100);
  seen = 0;
  reader.resync(count);
  assert_int_equal(seen, 1);
}

void a_second_resync_names_the_jobs_that_did_not_change_and_knows_a_full_table(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 16});
  auto reader = attach(writer);
  for (uint32_t number = 0; number < 15; ++number) publish(writer, number, number + 1);
  reader.resync([](const Event&) {}, [](const JobId&) { fail(); });
  assert_false(reader.table_is_full());
  publish(writer, 15, 16, JobState::completed);
  publish(writer, 16, 17);  // job 15 came and went
  int changed = 0, same = 0;
  reader.resync([&](const Event& event) { changed += event.job == job(16); },
                [&](const JobId& id) {
                  ++same;
                  assert_true(id < job(15));
                });
  assert_int_equal(changed, 1);
  assert_int_equal(same, 15);
  assert_true(reader.table_is_full());
}

void an_armed_reader_is_rung_once_for_a_batch(void**) {
  for (const bool membarrier : {false, true}) {
    if (membarrier && !membarrier_offered()) continue;
    auto writer = make();
    auto reader = attach(writer, membarrier);
    assert_true(reader.arm());
    assert_false(readable(reader.doorbell_fd()));
    for (uint64_t rev = 1; rev <= 5; ++rev) put(writer, 1, rev);
    writer.flush();
    writer.flush();
    publish(writer, 1, 6);
    assert_true(readable(reader.doorbell_fd()));
    assert_int_equal(writer.stats().doorbells, 1);
    assert_true(reader.clear_doorbell());
    assert_false(readable(reader.doorbell_fd()));
    assert_false(reader.arm());  // something is there
    assert_true(reader.drain([](const Event&) {}) == Drained::empty);
    assert_true(reader.arm());
  }
}

void a_batch_shows_every_event_on_the_ring_and_the_last_of_each_job_in_its_slot(void**) {
  auto writer = make();
  auto reader = attach(writer), late = attach(writer);
  for (uint64_t rev = 1; rev <= 6; ++rev) put(writer, static_cast<uint32_t>(rev % 2), rev);
  uint64_t expected = 1;
  assert_true(reader.drain([&](const Event& event) { assert_true(event.rev == expected++ && proven(event)); }) == Drained::empty);
  assert_int_equal(expected, 3);  // the first of each job: its slot shows it as well
  assert_true(reader.arm());
  writer.flush();
  assert_true(reader.drain([&](const Event& event) { assert_true(event.rev == expected++ && proven(event)); }) == Drained::empty);
  assert_int_equal(expected, 7);
  uint64_t sum = 0;
  late.resync([&](const Event& event) { sum += event.rev * proven(event); });
  assert_int_equal(sum, 5 + 6);
}

void a_batch_that_grows_too_long_is_shown_before_its_flush(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 16});
  auto reader = attach(writer);
  uint64_t put_last = 0, seen = 0;
  const auto note = [&](const Event& event) {
    assert_true(proven(event));
    seen = std::max(seen, event.rev);
  };
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 500; ++i, ++put_last) put(writer, static_cast<uint32_t>(put_last % 7), put_last + 1);
    Drained end;
    do {
      end = reader.drain(note);
      if (end == Drained::lapped) reader.resync(note);
    } while (end != Drained::empty);
    assert_in_range(seen, put_last - 100, put_last);  // far less than a ring is held back
  }
  writer.flush();
  reader.resync(note);
  assert_int_equal(seen, put_last);
}

void a_job_that_comes_back_in_the_batch_that_gave_its_slot_away_stands_in_one_slot_only(void**) {
  auto writer = make({.ring_bytes = 65536, .slots = 16});
  auto late = attach(writer);
  for (uint32_t number = 0; number < 16; ++number)
    publish(writer, number, number + 1, number < 2 ? JobState::completed : JobState::running);
  put(writer, 0, 20, JobState::completed);
  put(writer, 100, 21);  // takes the slot of job 0, which this batch has written
  put(writer, 0, 22);    // is back, in the slot of job 1
  std::map<JobId, uint64_t> table;
  const auto note = [&](const Event& event) { assert_true(proven(event) && table.emplace(event.job, event.rev).second); };
  late.resync(note);
  assert_int_equal(table[job(0)], 22);
  assert_int_equal(table[job(100)], 21);
}

// Sizes up to the largest, jobs that end, take each other's slots, or have none: what a reader that comes between any two records finds.
void no_slot_is_behind_the_ring_whatever_a_batch_holds(void**) {
  std::mt19937_64 random(20261123);
  auto writer = make({.ring_bytes = 65536, .slots = 16, .first_position = (uint64_t{1} << 32) - 5000});
  auto follower = attach(writer), late = attach(writer);
  const auto text = [](const JobId& id, uint64_t rev) { return proof(id, rev, rev % 3 == 0 ? rev * 7919 % 4097 : rev % 97); };
  const auto whole = [&](const Event& event) { return event.snapshot == text(event.job, event.rev); };
  std::map<JobId, uint64_t> shown, newest;
  uint64_t expected = 1, between = 0;
  for (uint64_t rev = 1; rev <= 20'000; ++rev) {
    const JobId id = job(static_cast<uint32_t>(random() % (rev / 4000 % 2 ? 24 : 8)));
    const std::string snapshot = text(id, rev);
    writer.publish({.job = id,
                    .rev = rev,
                    .state = random() % 4 ? JobState::running : JobState::completed,
                    .list_changed = false,
                    .owner = "alice",
                    .snapshot = snapshot});
    newest[id] = rev;
    const bool flushed = random() % 20 == 0;
    if (flushed) writer.flush();
    Drained end;
    do
      end = follower.drain([&](const Event& event) {
        assert_true(event.rev == expected++ && whole(event));
        shown[event.job] = event.rev;
      });
    while (end == Drained::more);
    assert_true(end == Drained::empty);
    assert_true(!flushed || expected == rev + 1);
    between += expected != rev + 1;

    std::map<JobId, uint64_t> table;
    late.begin_resync();
    Event event;
    for (uint32_t slot = 0; slot < late.slots(); ++slot) {
      if (!late.read_slot(slot, event)) continue;
      assert_true(whole(event));
      assert_true(table.emplace(event.job, event.rev).second);
    }
    for (const auto& [known, seen] : shown) {
      const auto found = table.find(known);
      if (found == table.end())
        assert_int_equal(table.size(), 16);  // given to another, or never had one
      else
        assert_in_range(found->second, seen, newest[known]);
    }
  }
  assert_true(between > 1000);
}

void events_still_in_the_batch_forbid_sleeping(void**) {
  auto writer = make();
  auto reader = attach(writer);
  put(writer, 1, 1);
  publish(writer, 1, 2);
  Event event;
  assert_true(reader.next(event) == Drained::more);
  assert_false(reader.arm());
  assert_true(reader.next(event) == Drained::more);
  assert_true(reader.arm());
}

void readers_come_and_go_and_each_hears_everything_from_its_own_start(void**) {
  auto writer = make({.readers_max = 2});
  uint32_t id = 0;
  auto first = attach(writer);
  publish(writer, 1, 1);
  {
    auto second = attach(writer, false, &id);
    assert_true(writer.add_reader().error().code == Errc::full);
    publish(writer, 1, 2);
    assert_true(second.drain([](const Event& event) { assert_int_equal(event.rev, 2); }) == Drained::empty);
    writer.remove_reader(id);
    assert_false(second.clear_doorbell());  // end of file: no longer attached
  }
  auto third = attach(writer);
  int from_table = 0;
  third.resync([&](const Event& event) { from_table += event.rev == 2; });
  assert_int_equal(from_table, 1);
  int seen = 0;
  assert_true(first.drain([&](const Event&) { ++seen; }) == Drained::empty);
  assert_int_equal(seen, 2);
  assert_int_equal(writer.stats().readers, 2);
}

void the_death_of_the_writer_is_an_end_of_file_and_its_last_events_stay_readable(void**) {
  auto writer = std::make_unique<RegionWriter>(make());
  auto reader = attach(*writer);
  publish(*writer, 1, 1);
  writer.reset();
  assert_true(readable(reader.doorbell_fd()));
  assert_false(reader.clear_doorbell());
  int seen = 0;
  assert_true(reader.drain([&](const Event& event) { seen += proven(event); }) == Drained::empty);
  assert_int_equal(seen, 1);
}

void a_reader_that_never_clears_its_doorbell_cannot_stop_the_writer(void**) {
  auto writer = make();
  auto reader = attach(writer);
  for (uint64_t rev = 1; rev <= 5000; ++rev) {  // far more than a socket holds
    (void)reader.arm();
    publish(writer, 1, rev);
    while (reader.drain([](const Event&) {}) == Drained::more) {
    }
  }
  assert_true(reader.clear_doorbell());
}

void an_idle_region_is_not_backed_by_memory(void**) {
  auto writer = make({.ring_bytes = 64 << 20, .slots = 65'536});
  auto reader = attach(writer);
  reader.resync([](const Event&) { fail(); });
  auto grant = writer.add_reader();
  struct stat status;
  assert_int_equal(fstat(grant->region.get(), &status), 0);
  assert_true(status.st_size > 500 << 20);
  assert_true(status.st_blocks * 512 < 512 * 1024);  // header and the sequences that the resync looked at
}

void a_reader_cannot_write_the_region_nor_resize_it(void**) {
  auto writer = make();
  auto grant = writer.add_reader();
  assert_true(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, grant->region.get(), 0) == MAP_FAILED);
  assert_int_not_equal(pwrite(grant->region.get(), "x", 1, 0), 1);
  assert_int_equal(ftruncate(grant->region.get(), 4096), -1);
  assert_int_equal(ftruncate(grant->block.get(), 0), -1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_event_arrives_as_it_was_published),
      cmocka_unit_test(every_event_arrives_in_order_across_the_wrap_of_the_ring_and_of_the_position),
      cmocka_unit_test(one_drain_hands_out_at_most_sixteen),
      cmocka_unit_test(a_lapped_reader_says_so_and_resyncs_to_the_newest_state_of_every_job),
      cmocka_unit_test(a_second_resync_reads_only_what_changed),
      cmocka_unit_test(a_second_resync_names_the_jobs_that_did_not_change_and_knows_a_full_table),
      cmocka_unit_test(an_armed_reader_is_rung_once_for_a_batch),
      cmocka_unit_test(a_batch_shows_every_event_on_the_ring_and_the_last_of_each_job_in_its_slot),
      cmocka_unit_test(a_batch_that_grows_too_long_is_shown_before_its_flush),
      cmocka_unit_test(a_job_that_comes_back_in_the_batch_that_gave_its_slot_away_stands_in_one_slot_only),
      cmocka_unit_test(no_slot_is_behind_the_ring_whatever_a_batch_holds),
      cmocka_unit_test(events_still_in_the_batch_forbid_sleeping),
      cmocka_unit_test(readers_come_and_go_and_each_hears_everything_from_its_own_start),
      cmocka_unit_test(the_death_of_the_writer_is_an_end_of_file_and_its_last_events_stay_readable),
      cmocka_unit_test(a_reader_that_never_clears_its_doorbell_cannot_stop_the_writer),
      cmocka_unit_test(an_idle_region_is_not_backed_by_memory),
      cmocka_unit_test(a_reader_cannot_write_the_region_nor_resize_it),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
