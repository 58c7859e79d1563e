// Log lines: one write each, values that cannot break out of their place, levels and sinks.
#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "base/handle.h"
#include "base/json.h"
#include "tests/cmocka.h"

namespace {

namespace log = jobcast::log;

std::mutex lock;
std::vector<std::pair<log::Level, std::string>> lines;

void keep(void*, log::Level level, std::string_view line) {
  const std::lock_guard held(lock);
  lines.emplace_back(level, line);
}

int with_sink(void**) {
  lines.clear();
  log::set_sink(keep);
  log::set_level(log::Level::notice);
  return 0;
}

int without_sink(void**) {
  log::set_sink(nullptr);
  return 0;
}

void line_is(const char* expected) {
  assert_int_equal(lines.size(), 1);
  assert_string_equal(lines[0].second.c_str(), expected);
  lines.clear();
}

void plain_values_stay_plain(void**) {
  log::notice("job_started",
              {{"job", "0192"}, {"pid", 42}, {"age_ms", int64_t{-5}}, {"path", "/run/x.sock"}, {"name", std::string("zoë")}});
  line_is("event=job_started job=0192 pid=42 age_ms=-5 path=/run/x.sock name=zoë");
}

void values_that_could_break_the_line_are_quoted(void**) {
  log::notice("e", {{"a", ""}, {"b", "two words"}, {"c", "x=y"}, {"d", "say \"hi\""}, {"e", "back\\slash"}});
  line_is(R"(event=e a="" b="two words" c="x=y" d="say \"hi\"" e="back\\slash")");
  log::notice("e", {{"a", "line\nlevel=error event=forged"}, {"b", std::string_view("\0\r\t\x1b[31m\x7f", 9)}});
  line_is(R"(event=e a="line\x0alevel=error event=forged" b="\x00\x0d\x09\x1b[31m\x7f")");
  log::notice("two words");
  line_is(R"(event="two words")");
}

void bytes_that_are_not_utf8_are_escaped(void**) {
  log::notice("e", {{"a", "\xff\x9b!"}, {"b", "caf\xc3"}});
  line_is(R"(event=e a="\xff\x9b!" b="caf\xc3")");
}

void null_text_is_an_empty_value(void**) {
  const char* none = nullptr;
  log::notice("e", {{"a", none}});
  line_is("event=e a=\"\"");
}

void each_function_has_its_level_and_levels_above_are_dropped(void**) {
  const auto all = [] {
    log::error("error");
    log::warning("warning");
    log::notice("notice");
    log::info("info");
    log::debug("debug");
  };
  for (int level = 0; level <= 4; ++level) {
    lines.clear();
    log::set_level(static_cast<log::Level>(level));
    all();
    assert_int_equal(lines.size(), level + 1);
    for (int i = 0; i <= level; ++i) assert_int_equal(lines[static_cast<size_t>(i)].first, i);
    for (int i = 0; i <= 4; ++i) assert_int_equal(log::enabled(static_cast<log::Level>(i)), i <= level);
  }
}

void without_a_sink_a_line_with_its_time_goes_to_standard_error(void**) {
  log::set_sink(nullptr);
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  const jobcast::Fd out(ends[0]);
  jobcast::Fd in(ends[1]);
  const jobcast::Fd saved(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  dup2(in.get(), STDERR_FILENO);
  log::warning("disk_full", {{"path", "/var/lib"}});
  dup2(saved.get(), STDERR_FILENO);
  in.reset();
  const std::string text = *jobcast::read_all(out.get(), 4096);
  assert_true(text.size() > 24);
  assert_string_equal(text.substr(24).c_str(), " level=warning event=disk_full path=/var/lib\n");
  std::string form = text.substr(0, 24);
  for (char& c : form)
    if (c >= '0' && c <= '9') c = '0';
  assert_string_equal(form.c_str(), "0000-00-00T00:00:00.000Z");
}

void lines_of_many_threads_all_arrive(void**) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        for (int i = 0; i < 500; ++i) {
          log::notice("e", {{"t", t}, {"i", i}});
          log::set_level(i % 2 ? log::Level::notice : log::Level::debug);
        }
      });
  }
  assert_int_equal(lines.size(), 2000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(plain_values_stay_plain, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(values_that_could_break_the_line_are_quoted, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(bytes_that_are_not_utf8_are_escaped, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(null_text_is_an_empty_value, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(each_function_has_its_level_and_levels_above_are_dropped, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(without_a_sink_a_line_with_its_time_goes_to_standard_error, with_sink, without_sink),
      cmocka_unit_test_setup_teardown(lines_of_many_threads_all_arrive, with_sink, without_sink),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
