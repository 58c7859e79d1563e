// The writer dies at every single instruction of a publish, the worker at every one of a report: ptrace steps the real code, and between
// two steps a reader looks at what a dead writer would have left behind. Old or new, whole, slot never behind ring: nothing else may show.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "ipc/latch.h"
#include "jobcast/ring.h"
#include "jobcast/worker.h"
#include "tests/ipc/region_fixture.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

// Runs `act` in a child, one instruction at a time, with `look` after each. Returns how many there were.
int step_through(const std::function<void()>& act, const std::function<void()>& look) {
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(98);
    raise(SIGSTOP);
    act();
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0, steps = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (!WIFSTOPPED(status)) {
    print_message("ptrace is not permitted here\n");
    skip();
  }
  for (;; ++steps) {
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, nullptr, nullptr), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status));
    if (WSTOPSIG(status) == SIGSTOP) break;
    look();
  }
  kill(pid, SIGKILL);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return steps;
}

struct Seen {
  uint64_t ring = 0, slot = 0;  // revs: the first on the ring, the job's slot's
  uint32_t shown = 0;           // records on the ring
  uint32_t slots = 0;
};

class Region {
 public:
  explicit Region(const RegionOptions& options) : writer(RegionWriter::create(options).value()) {
    auto grant = writer.add_reader();
    const auto bytes = static_cast<size_t>(lseek(grant->region.get(), 0, SEEK_END));
    void* map = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, grant->region.get(), 0);
    assert_int_equal(jobcast_lane_open(&lane, map, bytes), JOBCAST_OK);
  }
  // What a reader that stands where `lane` does would find now; the lane itself stays.
  Seen look(const JobId& id) {
    Seen seen;
    jobcast_event event{};
    jobcast_lane from_here = lane;
    uint32_t filled = 0;
    const auto status = jobcast_lane_read(&from_here, buffer.data(), static_cast<uint32_t>(buffer.size() * 8), 16, &filled);
    assert_true(status == JOBCAST_LANE_EMPTY || status == JOBCAST_LANE_RECORD);
    if (status == JOBCAST_LANE_RECORD) {
      assert_int_not_equal(jobcast_record_decode(buffer.data(), filled, lane.slots, &event), 0);
      check(event);
      seen.ring = event.rev;
      for (uint32_t at = 0; at < filled; ++seen.shown)
        at += jobcast_record_decode(reinterpret_cast<const char*>(buffer.data()) + at, filled - at, lane.slots, &event);
    }
    for (uint32_t slot = 0; slot < lane.slots; ++slot) {
      const auto slot_status = jobcast_slot_read(&lane, slot, buffer.data(), &event);
      assert_true(slot_status == JOBCAST_LANE_EMPTY || slot_status == JOBCAST_LANE_RECORD);
      if (slot_status == JOBCAST_LANE_EMPTY) continue;
      check(event);
      seen.slots++;
      if (memcmp(event.job_id, id.bytes.data(), 16) == 0) seen.slot = event.rev;
    }
    return seen;
  }
  void catch_up() { jobcast_lane_resync(&lane); }

  RegionWriter writer;
  jobcast_lane lane{};

 private:
  static void check(const jobcast_event& event) {
    Event copy;
    memcpy(copy.job.bytes.data(), event.job_id, 16);
    copy.rev = event.rev;
    copy.snapshot = {event.snapshot, event.snapshot_bytes};
    assert_true(proven(copy));
  }
  std::vector<uint64_t> buffer = std::vector<uint64_t>(4096);
};

// Publishes rev `next` of `number`, whose slot shows `before` (0: none), and looks between all instructions.
void die_everywhere(Region& region, uint32_t number, uint64_t before, uint64_t next) {
  region.catch_up();
  bool old_seen = false, between_seen = false, new_seen = false;
  const uint32_t slots = region.look(job(number)).slots;
  step_through([&] { publish(region.writer, number, next); },
               [&] {
                 const Seen seen = region.look(job(number));
                 assert_true(seen.slot == before || seen.slot == next);
                 assert_true(seen.ring == 0 || seen.ring == next);
                 if (seen.ring == next) assert_true(seen.slot == next);
                 assert_true(seen.slots == slots || (before == 0 && seen.slots == slots + 1));
                 old_seen = old_seen || (seen.ring == 0 && seen.slot == before);
                 between_seen = between_seen || (seen.ring == 0 && seen.slot == next);
                 new_seen = new_seen || seen.ring == next;
               });
  assert_true(old_seen && between_seen && new_seen);
}

void a_death_in_the_first_publish_leaves_nothing_or_the_event(void**) {
  Region region({.ring_bytes = 65536, .slots = 16});
  die_everywhere(region, 1, 0, 1);
}

void a_death_in_a_later_publish_leaves_the_old_state_or_the_new_one(void**) {
  Region region({.ring_bytes = 65536, .slots = 16});
  for (uint64_t rev = 1; rev <= 4; ++rev) publish(region.writer, 1, rev);
  die_everywhere(region, 1, 4, 5);
}

void a_death_while_padding_the_ring_s_end_is_no_different(void**) {
  Region region({.ring_bytes = 65536, .slots = 16, .first_position = 1023});
  die_everywhere(region, 1, 0, 1);
}

void a_death_while_the_position_wraps_is_no_different(void**) {
  Region region({.ring_bytes = 65536, .slots = 16, .first_position = (uint64_t{1} << 32) - 1});
  die_everywhere(region, 1, 0, 1);
}

void a_death_while_a_slot_changes_its_job_leaves_the_old_job_or_the_new_one(void**) {
  Region region({.ring_bytes = 65536, .slots = 16});
  for (uint32_t number = 0; number < 16; ++number)
    publish(region.writer, number, number + 1, number == 3 ? JobState::completed : JobState::running);
  region.catch_up();
  step_through([&] { publish(region.writer, 100, 200); },
               [&] {
                 const uint64_t old_rev = region.look(job(3)).slot;
                 const Seen seen = region.look(job(100));
                 assert_int_equal(seen.slots, 16);
                 assert_true((old_rev == 4 && seen.slot == 0) || (old_rev == 0 && seen.slot == 200));
                 if (seen.ring) assert_int_equal(seen.slot, 200);
               });
}

void a_death_in_a_batch_leaves_no_slot_behind_the_ring(void**) {
  Region region({.ring_bytes = 65536, .slots = 16});
  publish(region.writer, 1, 1);
  publish(region.writer, 2, 2);
  region.catch_up();
  bool between = false, all = false;
  step_through(
      [&] {
        put(region.writer, 1, 3);
        put(region.writer, 2, 4);
        put(region.writer, 1, 5);
        region.writer.flush();
      },
      [&] {
        const Seen one = region.look(job(1)), two = region.look(job(2));
        assert_true(one.slot == 1 || one.slot == 3 || one.slot == 5);
        assert_true(two.slot == 2 || two.slot == 4);
        assert_true(one.shown <= 3);
        if (one.shown >= 1) assert_true(one.slot >= 3);
        if (one.shown >= 2) assert_true(two.slot == 4);
        if (one.shown >= 3) assert_true(one.slot == 5);
        between = between || (one.slot == 5 && one.shown == 2);
        all = all || one.shown == 3;
      });
  assert_true(between && all);
}

void a_death_between_publish_and_doorbell_wakes_the_sleeper_by_its_end_of_file(void**) {
  auto writer = std::make_unique<RegionWriter>(RegionWriter::create({}).value());
  auto reader = attach(*writer);
  assert_true(reader.arm());
  put(*writer, 1, 1);  // never flushed
  writer.reset();
  pollfd ready{reader.doorbell_fd(), POLLIN, 0};
  assert_int_equal(poll(&ready, 1, 0), 1);
  assert_false(reader.clear_doorbell());
  int seen = 0;
  assert_true(reader.drain([&](const Event&) { ++seen; }) == RegionReader::Drained::empty);
  assert_int_equal(seen, 1);
}

void a_death_while_ringing_leaves_the_event_the_bell_or_both(void**) {
  for (const bool membarrier : {false, true}) {
    auto writer = RegionWriter::create({}).value();
    auto reader = attach(writer, membarrier);
    assert_true(reader.arm());
    put(writer, 1, 1);
    bool rung = false;
    step_through([&] { writer.flush(); },
                 [&] {
                   pollfd ready{reader.doorbell_fd(), POLLIN, 0};
                   rung = rung || poll(&ready, 1, 0) == 1;
                 });
    assert_true(rung);
  }
}

void a_worker_s_death_leaves_the_last_whole_report(void**) {
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  Fd args(memfd_create("args", 0));
  setenv("JOBCAST_LATCH_FD", std::to_string(ends.latch.get()).c_str(), 1);
  setenv("JOBCAST_DOORBELL_FD", std::to_string(ends.doorbell.get()).c_str(), 1);
  setenv("JOBCAST_ARGS_FD", std::to_string(args.get()).c_str(), 1);
  assert_int_equal(jobcast_worker_open(), JOBCAST_OK);
  uint64_t done = 0;
  std::string phase;
  const int steps = step_through(
      [&] {
        for (uint64_t i = 1; i <= 12; ++i) {
          jobcast_progress(i << 20 | i, (i << 20 | i) + 1);
          if (i % 4 == 0) jobcast_phase(i % 8 ? "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" : "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        }
      },
      [&] {
        const auto report = latch.sample();
        if (!report) return;
        assert_true(report->done >= done);
        if (report->done) assert_true(report->done >> 20 == (report->done & 0xfffff) && report->total == report->done + 1);
        done = report->done;
        phase = report->phase;
        for (const char c : phase) assert_int_equal(c, phase[0]);
        assert_true(phase.empty() || phase.size() == (phase[0] == 'a' ? 42 : 41));
      });
  assert_true(steps > 100);
  assert_true(done == (12u << 20 | 12u));
  assert_int_equal(phase.size(), 42);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_death_in_the_first_publish_leaves_nothing_or_the_event),
      cmocka_unit_test(a_death_in_a_later_publish_leaves_the_old_state_or_the_new_one),
      cmocka_unit_test(a_death_while_padding_the_ring_s_end_is_no_different),
      cmocka_unit_test(a_death_while_the_position_wraps_is_no_different),
      cmocka_unit_test(a_death_while_a_slot_changes_its_job_leaves_the_old_job_or_the_new_one),
      cmocka_unit_test(a_death_in_a_batch_leaves_no_slot_behind_the_ring),
      cmocka_unit_test(a_death_between_publish_and_doorbell_wakes_the_sleeper_by_its_end_of_file),
      cmocka_unit_test(a_death_while_ringing_leaves_the_event_the_bell_or_both),
      cmocka_unit_test(a_worker_s_death_leaves_the_last_whole_report),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
