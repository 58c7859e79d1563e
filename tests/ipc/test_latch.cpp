// The worker latch from both ends: the real worker library in a forked child, and a hostile one by hand.
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>

#include "base/clock.h"
#include "ipc/latch.h"
#include "jobcast/layout.h"
#include "jobcast/worker.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;

struct Worker {
  WorkerLatch latch;
  Fd args, result;
  pid_t pid = -1;
};

void set_fd(const char* name, int fd) { setenv(name, std::to_string(fd).c_str(), 1); }

// Runs `work` in a child that was given what jobcastd gives a job process.
Worker start(const std::function<int()>& work, const char* args = "{}") {
  Worker worker{WorkerLatch::create().value(), Fd(memfd_create("args", 0)), Fd(memfd_create("result", 0))};
  assert_int_equal(write(worker.args.get(), args, strlen(args)), strlen(args));
  auto ends = worker.latch.take_child_ends();
  worker.pid = fork();
  if (worker.pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    set_fd("JOBCAST_LATCH_FD", ends.latch.get());
    set_fd("JOBCAST_DOORBELL_FD", ends.doorbell.get());
    set_fd("JOBCAST_ARGS_FD", worker.args.get());
    set_fd("JOBCAST_RESULT_FD", worker.result.get());
    setenv("JOBCAST_THREADS", "3", 1);
    if (jobcast_worker_open() != JOBCAST_OK) _exit(99);
    _exit(work());
  }
  return worker;
}

int finish(Worker& worker) {
  int status = 0;
  assert_int_equal(waitpid(worker.pid, &status, 0), worker.pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// False after the end of file.
bool wait_for_bell(WorkerLatch& latch) {
  pollfd ready{latch.doorbell_fd(), POLLIN, 0};
  assert_int_equal(poll(&ready, 1, 20'000), 1);
  return latch.clear_doorbell();
}

void outside_jobcastd_every_call_does_nothing(void**) {
  assert_int_equal(jobcast_worker_open(), JOBCAST_NOT_FOUND);
  jobcast_progress(1, 2);
  jobcast_phase("x");
  assert_int_equal(jobcast_cancel_requested(), 0);
  assert_null(jobcast_worker_args(nullptr));
  assert_int_equal(jobcast_worker_result("1", 1), JOBCAST_NOT_FOUND);
  assert_true(jobcast_worker_threads() >= 1);
}

void the_first_report_rings_and_the_last_one_is_kept_after_the_worker_died(void**) {
  auto worker = start([] {
    jobcast_phase("flop");
    jobcast_message("counting");
    for (uint64_t i = 1; i <= 1000; ++i) jobcast_progress(i, uint64_t{1} << 40);
    return 0;
  });
  wait_for_bell(worker.latch);
  assert_int_equal(finish(worker), 0);
  WorkerReport last;
  uint32_t reports = 0;
  while (auto report = worker.latch.sample()) {
    last = *report;
    reports += report->reports;
  }
  assert_int_equal(last.done, 1000);
  assert_true(last.total == uint64_t{1} << 40);
  assert_int_equal(reports, 1000);
  assert_string_equal(last.phase.c_str(), "flop");
  assert_string_equal(last.message.c_str(), "counting");
}

void a_report_is_never_torn_nor_older_than_the_one_before(void**) {
  auto worker = start([] {
    for (uint64_t i = 1; !jobcast_cancel_requested(); ++i) {
      const uint64_t value = i << 21 | (i & 0x1fffff);  // both halves tell the same, within 2^53
      jobcast_progress(value, value + 1);
    }
    return 7;
  });
  uint64_t last = 0;
  const int64_t until_ms = now().mono_ms() + 500;  // where both share one processor, news comes once a time slice
  for (int seen = 0; seen < 20'000 && (seen < 50 || now().mono_ms() < until_ms);) {
    const auto report = worker.latch.sample();
    if (!report) continue;
    ++seen;
    assert_true(report->total == report->done + 1);
    assert_true((report->done >> 21 & 0x1fffff) == (report->done & 0x1fffff));
    assert_true(report->done > last);
    last = report->done;
  }
  worker.latch.request_cancel();
  while (!worker.latch.cancel_acknowledged()) wait_for_bell(worker.latch);
  assert_int_equal(finish(worker), 7);
}

void an_armed_engine_that_sleeps_is_always_woken(void**) {
  auto worker = start([] {
    for (uint64_t i = 1; !jobcast_cancel_requested(); ++i) jobcast_progress(i, 0);
    return 0;
  });
  const int64_t until_ms = now().mono_ms() + 500;
  for (int i = 0; i < 2000 && (i < 50 || now().mono_ms() < until_ms); ++i) {
    while (worker.latch.sample()) {
    }
    if (worker.latch.arm()) assert_true(wait_for_bell(worker.latch));
  }
  worker.latch.request_cancel();
  assert_int_equal(finish(worker), 0);
  while (wait_for_bell(worker.latch)) {
  }
}

void args_result_and_threads_travel(void**) {
  auto worker = start(
      [] {
        size_t length = 0;
        const char* args = jobcast_worker_args(&length);
        if (std::string(args, length) != R"({"hands":["AsAh"]})" || jobcast_worker_threads() != 3) return 1;
        if (jobcast_worker_result("{\"first\":1}", 11) != JOBCAST_OK) return 2;
        if (jobcast_worker_result("[2]", 3) != JOBCAST_OK) return 3;
        return jobcast_worker_result(args, JOBCAST_RESULT_BYTES_MAX + 1) == JOBCAST_FULL ? 0 : 4;
      },
      R"({"hands":["AsAh"]})");
  assert_int_equal(finish(worker), 0);
  char result[16] = {};
  assert_true(pread(worker.result.get(), result, sizeof result - 1, 0) > 0);
  assert_string_equal(result, "[2]");
}

void text_is_cut_between_characters(void**) {
  auto worker = start([] {
    jobcast_phase((std::string(62, 'a') + "ü").c_str());
    jobcast_message((std::string(253, 'b') + "é" + "c").c_str());
    return 0;
  });
  assert_int_equal(finish(worker), 0);
  const auto report = worker.latch.sample();
  assert_string_equal(report->phase.c_str(), std::string(62, 'a').c_str());
  assert_string_equal(report->message.c_str(), (std::string(253, 'b') + "é").c_str());
}

void what_is_cleared_is_empty_again(void**) {
  auto worker = start([] {
    jobcast_phase("flop");
    jobcast_message("counting");
    jobcast_progress(5, 10);
    jobcast_phase(nullptr);
    jobcast_message(nullptr);
    jobcast_progress(6, 0);
    return 0;
  });
  assert_int_equal(finish(worker), 0);
  const auto report = worker.latch.sample();
  assert_string_equal(report->phase.c_str(), "");
  assert_string_equal(report->message.c_str(), "");
  assert_int_equal(report->done, 6);
  assert_int_equal(report->total, 0);
}

// The worker numbers its phases and says that number in each: whatever is sampled, the numbers belong to the phase beside them, or to the
// one before while the phase has no report yet.
void numbers_and_text_of_a_sample_are_of_one_moment(void**) {
  auto worker = start([] {
    const int64_t end_ns = now().mono_ns + 400'000'000;
    for (uint64_t phase = 1; now().mono_ns < end_ns; ++phase) {
      jobcast_phase(std::to_string(phase).c_str());
      for (int i = 0; i < 3; ++i) {
        jobcast_progress(phase, 1'000'000);
        for (const int64_t until = now().mono_ns + 300; now().mono_ns < until;) {
        }
      }
    }
    return 0;
  });
  int samples = 0;
  while (waitpid(worker.pid, nullptr, WNOHANG) == 0) {
    const auto report = worker.latch.sample();
    if (!report || report->phase.empty()) continue;
    const uint64_t phase = std::stoull(report->phase);
    if (report->done != phase && report->done + 1 != phase)
      fail_msg("sample %d: %llu beside phase %s", samples, static_cast<unsigned long long>(report->done), report->phase.c_str());
    ++samples;
  }
  assert_true(samples > 0);
}

void a_hostile_worker_gets_clean_text_and_exact_numbers_at_most(void**) {
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  auto* page = static_cast<jobcast_latch*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ends.latch.get(), 0));
  memset(page->text[1].phase, 0xff, sizeof page->text[1].phase);  // no NUL anywhere, no UTF-8
  memcpy(page->text[1].message, "a\x1b[2J\nb\xc3\xa9\xc3", 10);
  page->text_sequence = 1;
  memset(page->report, 0xff, sizeof page->report);
  page->latest = 0xffffffff;
  page->newest[1] = 0xffffffff;
  const auto report = latch.sample();
  assert_true(report->done == (uint64_t{1} << 53) - 1 && report->total == report->done);
  assert_string_equal(report->phase.c_str(), std::string(63, '?').c_str());
  assert_string_equal(report->message.c_str(), "a [2J b\xc3\xa9?");
  munmap(page, 4096);
}

void a_scribbler_over_the_page_causes_neither_crash_nor_hang(void**) {
  std::mt19937_64 random(2);
  auto latch = WorkerLatch::create().value();
  auto ends = latch.take_child_ends();
  auto* page = static_cast<unsigned char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ends.latch.get(), 0));
  for (int round = 0; round < 20'000; ++round) {
    for (int i = 0; i < 30; ++i) page[random() % 1200] = static_cast<unsigned char>(random());
    if (auto report = latch.sample()) assert_true(report->phase.size() <= 63 && report->message.size() <= 255);
    (void)latch.arm();
    (void)latch.cancel_acknowledged();
  }
  assert_int_equal(ftruncate(ends.latch.get(), 0), -1);  // nor can it pull the page away
  munmap(page, 4096);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(outside_jobcastd_every_call_does_nothing),
      cmocka_unit_test(the_first_report_rings_and_the_last_one_is_kept_after_the_worker_died),
      cmocka_unit_test(a_report_is_never_torn_nor_older_than_the_one_before),
      cmocka_unit_test(an_armed_engine_that_sleeps_is_always_woken),
      cmocka_unit_test(args_result_and_threads_travel),
      cmocka_unit_test(text_is_cut_between_characters),
      cmocka_unit_test(what_is_cleared_is_empty_again),
      cmocka_unit_test(numbers_and_text_of_a_sample_are_of_one_moment),
      cmocka_unit_test(a_hostile_worker_gets_clean_text_and_exact_numbers_at_most),
      cmocka_unit_test(a_scribbler_over_the_page_causes_neither_crash_nor_hang),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
