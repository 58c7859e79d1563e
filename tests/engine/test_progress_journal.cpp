// The progress that was shown last outlives the engine that showed it.
#include "engine/progress_journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/cmocka.h"

namespace {

using namespace jobcast;
using namespace jobcast::engine;

std::string path;

int make_path(void**) {
  char name[] = "/tmp/jobcast-journal-XXXXXX";
  close(mkstemp(name));
  path = name;
  return 0;
}

int remove_path(void**) { return unlink(path.c_str()); }

Job job(uint8_t number, uint64_t fence, uint64_t done = 0) {
  Job out;
  out.id.bytes[0] = number;
  out.fence = fence;
  if (done > 0) {
    out.progress.done = done;
    out.progress.total = 100;
    out.progress.percent = static_cast<double>(done);
  }
  return out;
}

void the_next_engine_finds_what_was_put_last(void**) {
  ProgressJournal journal(path);
  for (uint64_t done = 1; done <= 50; ++done) journal.put(job(1, 7, done));
  journal.put(job(2, 8));
  const ProgressJournal next(path);
  Job lost = job(1, 7, 40);
  next.restore(lost);
  assert_int_equal(*lost.progress.done, 50);
  assert_int_equal(*lost.progress.total, 100);
  assert_true(lost.progress.percent == 50.0);
  Job unknown = job(2, 8);
  next.restore(unknown);
  assert_false(unknown.progress.done.has_value());
}

void a_lost_attempt_ends_with_the_whole_report_that_was_shown_last(void**) {
  Job shown = job(1, 7, 50);
  shown.progress.phase = "verify";
  shown.progress.message = "block 50";
  ProgressJournal(path).put(shown);
  const ProgressJournal next(path);
  Job stored = job(1, 7, 60), other = job(1, 9, 3);  // the store is up to a second behind: 60 was of the phase before
  stored.progress.phase = "write";
  stored.progress.rate = 12.0;
  stored.progress.eta_ms = 40;
  next.restore(stored);
  next.restore(other);
  assert_true(stored.progress == shown.progress);
  assert_int_equal(*other.progress.done, 3);
}

void another_versions_records_are_not_read(void**) {
  std::ofstream(path, std::ios::binary) << std::string(16, '\1') << std::string(1008, '\7');
  const ProgressJournal next(path);
  Job any;
  any.id.bytes.fill(1);
  any.fence = 0x0707070707070707;
  next.restore(any);
  assert_false(any.progress.done.has_value());
}

void places_of_ended_attempts_are_used_again(void**) {
  ProgressJournal journal(path);
  for (uint8_t round = 0; round < 200; ++round) {
    for (uint8_t n = 0; n < 4; ++n) journal.put(job(n, 10U + round, 5));
    for (uint8_t n = 0; n < 4; ++n) journal.drop(job(n, 0).id);
  }
  struct stat info = {};
  assert_int_equal(stat(path.c_str(), &info), 0);
  assert_true(info.st_size <= 512 * 8);
  ProgressJournal next(path);
  Job gone = job(1, 209);
  next.restore(gone);
  assert_false(gone.progress.done.has_value());
}

void what_nobody_waits_for_is_dropped(void**) {
  {
    ProgressJournal journal(path);
    journal.put(job(1, 7, 50));
    journal.put(job(2, 7, 50));
  }
  ProgressJournal(path).drop_all_but({{job(1, 0).id, 7}});
  const ProgressJournal last(path);
  Job kept = job(1, 7), dropped = job(2, 7);
  last.restore(kept);
  last.restore(dropped);
  assert_true(kept.progress.done.has_value());
  assert_false(dropped.progress.done.has_value());
}

void a_strange_file_does_no_harm(void**) {
  std::ofstream(path, std::ios::binary) << std::string(1000, '\xff');
  ProgressJournal journal(path);
  Job any = job(0xff, 7);
  journal.restore(any);
  assert_false(any.progress.done.has_value());
  ProgressJournal nowhere("/nonexistent/file");
  nowhere.put(job(1, 7, 5));
  nowhere.drop(job(1, 7).id);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(the_next_engine_finds_what_was_put_last, make_path, remove_path),
      cmocka_unit_test_setup_teardown(a_lost_attempt_ends_with_the_whole_report_that_was_shown_last, make_path, remove_path),
      cmocka_unit_test_setup_teardown(another_versions_records_are_not_read, make_path, remove_path),
      cmocka_unit_test_setup_teardown(places_of_ended_attempts_are_used_again, make_path, remove_path),
      cmocka_unit_test_setup_teardown(what_nobody_waits_for_is_dropped, make_path, remove_path),
      cmocka_unit_test_setup_teardown(a_strange_file_does_no_harm, make_path, remove_path),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
