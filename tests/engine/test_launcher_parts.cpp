// The launcher's pure parts: ladder, log, lines, the judgement of an end, and where the control group is.
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "base/log.h"
#include "engine/attempt_outcome.h"
#include "engine/cancel_ladder.h"
#include "engine/cgroup.h"
#include "engine/job_output.h"
#include "tests/engine/launcher_fixture.h"

namespace {

using namespace jobcast::engine;
using namespace jobcast::engine::test;
using Rung = CancelLadder::Rung;

void a_cancel_goes_from_asking_to_term_to_kill(void**) {
  CancelLadder ladder(1000, 5000);
  assert_false(ladder.tick(0));
  assert_true(ladder.cancel(100, true));
  assert_int_equal(ladder.rung(), Rung::asked);
  assert_false(ladder.cancel(200, true));
  assert_false(ladder.tick(1099));
  assert_true(ladder.tick(1100));
  assert_int_equal(ladder.rung(), Rung::terminating);
  assert_false(ladder.acknowledge(1200));
  assert_false(ladder.tick(6099));
  assert_true(ladder.tick(6100));
  assert_int_equal(ladder.rung(), Rung::killing);
  assert_false(ladder.tick(1'000'000));
  assert_int_equal(ladder.reason(), Reason::user);
}

void who_acknowledged_gets_the_grace_before_term(void**) {
  CancelLadder ladder(1000, 5000);
  assert_false(ladder.acknowledge(0));  // nobody asked
  ladder.cancel(0, true);
  assert_true(ladder.acknowledge(900));
  assert_false(ladder.tick(1000));
  assert_true(ladder.tick(5900));
  assert_int_equal(ladder.rung(), Rung::terminating);
}

void who_cannot_hear_gets_term_at_once_and_so_does_a_timeout(void**) {
  CancelLadder deaf(1000, 5000), late(1000, 5000);
  assert_true(deaf.cancel(0, false));
  assert_int_equal(deaf.rung(), Rung::terminating);
  assert_false(deaf.time_out(1));
  assert_int_equal(deaf.reason(), Reason::user);
  assert_true(late.time_out(0));
  assert_int_equal(late.rung(), Rung::terminating);
  assert_false(late.cancel(1, true));
  assert_int_equal(late.reason(), Reason::timeout);
}

void lines_end_at_cr_and_lf_and_are_capped(void**) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) { lines.emplace_back(line); };
  splitter.feed("one\r\ntw", take);
  splitter.feed("o\rthree\n\n\n" + std::string(5000, 'x') + "\nfive", take);
  splitter.finish(take);
  splitter.finish(take);
  const std::vector<std::string> wanted{"one", "two", "three", std::string(LineSplitter::kLineBytesMax, 'x'), "five"};
  assert_true(lines == wanted);
}

constexpr int64_t kSecond = 1'000'000'000;

void the_log_keeps_its_size(void**) {
  TempDir dir;
  CappedLog log;
  const std::string path = dir.path + "/log",
                    full = "\n[jobcast: close to log_bytes_max: the end of what follows is written when the attempt is over]\n";
  log.open(path, 10, 1000, 0);
  log.write("12345678", 0);
  log.write("90", 0);
  log.write("abc", 0);
  assert_string_equal(contents(path).c_str(), ("12345" + full).c_str());  // whoever follows it sees why nothing comes
  log.write("def", 0);
  log.close();
  assert_string_equal(contents(path).c_str(), ("12345" + full + "\n[jobcast: 6 bytes dropped]\nbcdef").c_str());
  assert_int_equal(log.dropped(), 6);
  assert_int_equal(CappedLog::dropped_of(path), 6);  // and so does the next engine
  log.open(path, 10, 1000, 0);
  assert_int_equal(CappedLog::dropped_of(path), 0);
}

void a_flood_leaves_a_marked_gap_and_the_log_goes_on(void**) {
  TempDir dir;
  CappedLog log;
  log.open(dir.path + "/log", 40, 8, 0);
  log.write("12345678abc", 0);
  log.write("def", 0);
  assert_int_equal(log.dropped(), 0);
  log.write("now", 1 * kSecond);  // what was held back comes first, and the rate is counted for it too
  assert_string_equal(contents(dir.path + "/log").c_str(), "12345678abcdefno");
  log.write(std::string(30, 'x') + "!", 1 * kSecond);
  log.close();
  assert_int_equal(log.dropped(), 12);
  const std::string text = contents(dir.path + "/log");
  assert_true(text.starts_with("12345678abcdefno") && text.ends_with("\n[jobcast: 12 bytes dropped]\n" + std::string(19, 'x') + "!"));
}

void a_log_that_cannot_be_opened_drops_everything(void**) {
  TempDir dir;
  CappedLog log;
  jobcast::log::set_level(jobcast::log::Level::error);
  log.open(dir.path + "/absent/log", 10, 1000, 0);
  jobcast::log::set_level(jobcast::log::Level::notice);
  log.write("1234", 0);
  log.close();
  assert_int_equal(log.dropped(), 4);
}

void a_log_that_the_disk_takes_late_says_what_is_missing(void**) {
  TempDir dir;
  CappedLog log;
  jobcast::log::set_level(jobcast::log::Level::error);
  log.open(dir.path + "/late/log", 1 << 20, 1 << 20, 0);
  jobcast::log::set_level(jobcast::log::Level::notice);
  log.write(std::string(70'000, 'a'), 0);
  assert_int_equal(mkdir((dir.path + "/late").c_str(), 0700), 0);
  log.write("!", kSecond);
  assert_string_equal(contents(dir.path + "/late/log").c_str(),
                      ("\n[jobcast: 4464 bytes dropped]\n" + std::string(65'536, 'a') + "!").c_str());
}

void what_a_full_disk_did_not_take_of_a_log_follows_once_there_is_room(void**) {
  TempDir dir;
  CappedLog log;
  rlimit limit{};
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  signal(SIGXFSZ, SIG_IGN);
  log.open(dir.path + "/log", 1 << 20, 1 << 20, 0);
  const rlimit three{3, limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &three), 0);
  log.write("abcdef", 0);
  log.write("ghi", 0);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  log.close();
  assert_string_equal(contents(dir.path + "/log").c_str(), "abcdefghi");
  assert_int_equal(log.dropped(), 0);
}

Outcome judge(const Ending& ending) {
  KindConfig kind;
  kind.timeout_ms = 50;
  return outcome_of(ending, kind);
}

void out_of_memory_is_told_only_where_it_is_proven(void**) {
  Ending ending;
  ending.signal = SIGKILL;
  assert_int_equal(judge(ending).reason, Reason::signal);
  ending.out_of_memory = true;
  assert_int_equal(judge(ending).reason, Reason::oom);
  ending.rung = Rung::killing;  // it was our own KILL
  assert_int_equal(judge(ending).reason, Reason::signal);
  ending.signal = SIGSEGV;
  assert_int_equal(judge(ending).reason, Reason::signal);
}

void zero_after_term_is_no_completion(void**) {
  Ending ending;
  assert_true(judge(ending).success);
  ending.rung = Rung::asked;
  assert_true(judge(ending).success);
  ending.rung = Rung::terminating;
  assert_false(judge(ending).success);
  ending.asked_because = Reason::timeout;
  assert_int_equal(judge(ending).reason, Reason::timeout);
  assert_string_equal(judge(ending).error.c_str(), "ran longer than timeout_ms (50 ms)");
}

void the_error_is_one_clean_bounded_line(void**) {
  Ending ending;
  ending.exit_code = 1;
  ending.last_line = "\x1b[31mbad\xff\t" + std::string(2000, 'x');
  const Outcome outcome = judge(ending);
  assert_true(outcome.error.size() <= 512);
  assert_int_equal(outcome.error.rfind(" [31mbad\xEF\xBF\xBD xxx", 0), 0);
}

void the_engines_control_group_is_found_below_the_cgroup2_mount(void**) {
  const std::string mounts =
      "24 1 0:21 / /sys rw - sysfs sysfs rw\n"
      "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
  const auto at = [](const std::string& mountinfo, const std::string& membership) { return Cgroup::own_directory(mountinfo, membership); };
  assert_string_equal(at(mounts, "0::/system.slice/jobcastd.service\n").c_str(), "/sys/fs/cgroup/system.slice/jobcastd.service");
  assert_string_equal(at(mounts, "4:memory:/a\n0::/\n").c_str(), "/sys/fs/cgroup");
  assert_string_equal(at(mounts, "4:memory:/a\n").c_str(), "");
  assert_string_equal(at("24 1 0:21 / /sys rw - sysfs sysfs rw\n", "0::/\n").c_str(), "");
  const std::string inside = "31 24 0:27 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";  // a part of the tree is mounted
  assert_string_equal(at(inside, "0::/docker/1\n").c_str(), "/sys/fs/cgroup");
  assert_string_equal(at(inside, "0::/docker/1/job\n").c_str(), "/sys/fs/cgroup/job");
  assert_string_equal(at(inside, "0::/docker/12\n").c_str(), "");
}

void the_kernels_count_of_oom_kills_is_read(void**) {
  TempDir dir;
  assert_false(oom_kills(dir.path).has_value());
  std::ofstream(dir.path + "/memory.events") << "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n";
  assert_int_equal(oom_kills(dir.path).value(), 2);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_cancel_goes_from_asking_to_term_to_kill),
      cmocka_unit_test(who_acknowledged_gets_the_grace_before_term),
      cmocka_unit_test(who_cannot_hear_gets_term_at_once_and_so_does_a_timeout),
      cmocka_unit_test(lines_end_at_cr_and_lf_and_are_capped),
      cmocka_unit_test(the_log_keeps_its_size),
      cmocka_unit_test(a_flood_leaves_a_marked_gap_and_the_log_goes_on),
      cmocka_unit_test(a_log_that_cannot_be_opened_drops_everything),
      cmocka_unit_test(a_log_that_the_disk_takes_late_says_what_is_missing),
      cmocka_unit_test(what_a_full_disk_did_not_take_of_a_log_follows_once_there_is_room),
      cmocka_unit_test(out_of_memory_is_told_only_where_it_is_proven),
      cmocka_unit_test(zero_after_term_is_no_completion),
      cmocka_unit_test(the_error_is_one_clean_bounded_line),
      cmocka_unit_test(the_engines_control_group_is_found_below_the_cgroup2_mount),
      cmocka_unit_test(the_kernels_count_of_oom_kills_is_read),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
