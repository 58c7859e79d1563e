// What a job looks like on a terminal of a given width at a given moment, and how numbers and times are written.
#include <clocale>
#include <cstring>

#include "engine/cli/bar.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;
using namespace jobcast::cli;

constexpr Look kAscii{.terminal = true, .colour = false, .utf8 = false, .columns = 80};
constexpr Look kUtf8{.terminal = true, .colour = false, .utf8 = true, .columns = 80};

std::string snapshot(const char* state, const char* more) {
  return std::string(R"({"job_id":"0192f0c1-0000-7000-8000-00007c6d5e4f","kind":"plo-equity","state":")") + state +
         R"(","rev":4294967313,"owner":"alice","queue":"default","priority":0,"attempt":1,"max_attempts":3,)" +
         R"("created_at":"2026-11-23T13:20:00.000Z","started_at":"2026-11-23T13:20:01.000Z",)" + more + "}";
}

JobView job(const char* state, const char* more) {
  auto read = read_job(snapshot(state, more));
  if (!read) fail_msg("%s", read.error().detail.c_str());
  return *read;
}

constexpr int64_t kNow = 1795440010000;  // 2026-11-23T13:20:10Z
JobView half_way() {
  return job("running",
             R"("progress":{"done":1200,"total":5000,"percent":24.0,"rate":400.1,"eta_ms":9500,"phase":"flop","message":"board 3"})");
}
std::string line(const JobView& view, Look look, Moment at = {.unix_ms = kNow, .seen_ms = kNow}) {
  return bar_line(view, label_of(view, false, look.utf8), look, at);
}

void a_running_job_shows_bar_rate_and_eta(void**) {
  assert_string_equal(line(half_way(), kAscii).c_str(), "> plo-equity  [####---------------]  24.0%   400/s  ETA  0:10  flop - board 3");
  assert_string_equal(line(half_way(), kUtf8).c_str(), "▸ plo-equity  ▕████▌              ▏  24.0%   400/s  ETA  0:10  flop · board 3");
  Look wide = kAscii;
  wide.columns = 100;
  assert_non_null(strstr(line(half_way(), wide).c_str(), "ETA  0:10  1.20k/5.00k  flop"));
}

void a_phase_that_comes_does_not_move_the_bar(void**) {
  const std::string without = line(job("running", R"("progress":{"percent":24.0,"rate":400.1,"eta_ms":9500})"), kAscii);
  assert_int_equal(line(half_way(), kAscii).find(']'), without.find(']'));
}

void every_width_is_kept(void**) {
  const JobView views[] = {
      half_way(), job("running", R"("progress":{"done":"18446744073709551615","phase":"日本語日本語日本語","message":"ü"})"),
      job("failed", R"("finished_at":"2026-11-23T13:20:04.200Z","reason":"exit","exit_code":3,"error":"no such card 日本語")"),
      job("queued", R"("waiting":{"why":"queue_full","position":17})")};
  for (const JobView& view : views)
    for (const bool utf8 : {false, true})
      for (int columns = 2; columns < 200; ++columns) {
        const std::string text = line(view, {.terminal = true, .colour = false, .utf8 = utf8, .columns = columns});
        if (width_of(text) > columns - 1) fail_msg("%d columns: %s", columns, text.c_str());
        assert_null(strchr(text.c_str(), '\n'));
      }
}

void colours_change_no_width(void**) {
  Look look = kUtf8;
  look.colour = true;
  const std::string coloured = line(half_way(), look);
  assert_non_null(strstr(coloured.c_str(), "\x1b["));
  std::string bare;
  for (size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b')
      i = coloured.find('m', i);
    else
      bare += coloured[i];
  }
  assert_string_equal(bare.c_str(), line(half_way(), kUtf8).c_str());
}

void the_eta_counts_down_between_snapshots(void**) {
  assert_non_null(strstr(line(half_way(), kAscii, {.unix_ms = kNow + 4000, .seen_ms = kNow}).c_str(), "ETA  0:06"));
  assert_non_null(strstr(line(half_way(), kAscii, {.unix_ms = kNow + 60'000, .seen_ms = kNow}).c_str(), "ETA  0:00"));
}

void unknown_values_are_not_guessed(void**) {
  const std::string text =
      line(job("running", R"("progress":{"done":1200,"total":null,"percent":null,"rate":null,"eta_ms":null})"), kAscii);
  assert_non_null(strstr(text.c_str(), "ETA  -:--"));
  assert_non_null(strstr(text.c_str(), "-/s"));
  assert_null(strchr(text.c_str(), '%'));
}

void a_stale_job_says_that_the_engine_is_away(void**) {
  const Moment at{.unix_ms = kNow, .seen_ms = kNow, .stale = true};
  assert_non_null(strstr(line(half_way(), kAscii, at).c_str(), "engine away"));
  assert_non_null(strstr(line(job("queued", R"("waiting":null)"), kAscii, at).c_str(), "engine away"));
}

void a_hundred_percent_is_said_of_what_is_done_only(void**) {
  const std::string text = line(job("running", R"("progress":{"done":9999,"total":10000,"percent":99.99})"), kAscii);
  assert_non_null(strstr(text.c_str(), " 99.9%"));
  assert_string_equal(bar(0.999999, 12, kAscii).c_str(), "[#########-]");
  assert_string_equal(bar(1.0, 12, kAscii).c_str(), "[##########]");
}

void bars_grow_by_eighths(void**) {
  assert_string_equal(bar(0.5, 6, kUtf8).c_str(), "▕██  ▏");
  assert_string_equal(bar(0.53125, 6, kUtf8).c_str(), "▕██▏ ▏");
  assert_string_equal(bar(1, 6, kUtf8).c_str(), "▕████▏");
  for (int i = 0; i <= 1000; ++i) assert_int_equal(width_of(bar(i / 1000.0, 23, kUtf8)), 23);
  for (int64_t tick = 0; tick < 100; ++tick) assert_int_equal(width_of(roaming_bar(tick, 23, kUtf8)), 23);
}

void an_ended_job_says_how(void**) {
  assert_string_equal(line(job("completed", R"("finished_at":"2026-11-23T13:20:13.300Z","exit_code":0)"), kUtf8).c_str(),
                      "✓ plo-equity  completed in 12 s");
  assert_string_equal(
      line(job("failed", R"("finished_at":"2026-11-23T13:20:04.200Z","reason":"exit","exit_code":3,"error":"no such card: Xx")"), kAscii)
          .c_str(),
      "! plo-equity  failed after 3.2 s: exit code 3: no such card: Xx");
  assert_string_equal(line(job("failed", R"("finished_at":"2026-11-23T13:20:04.200Z","reason":"signal","exit_code":139)"), kAscii).c_str(),
                      "! plo-equity  failed after 3.2 s: signal 11");
  assert_string_equal(line(job("cancelled", R"("finished_at":"2026-11-23T13:20:04.200Z","reason":"user")"), kAscii).c_str(),
                      "x plo-equity  cancelled after 3.2 s");
}

void a_waiting_job_says_why(void**) {
  assert_string_equal(line(job("queued", R"("waiting":{"why":"queue_full","position":3})"), kAscii).c_str(),
                      "- plo-equity  queued, place 3, waiting for a place in queue default");
  assert_non_null(strstr(line(job("queued", R"("waiting":{"why":"paused","position":null})"), kAscii).c_str(), "queue default is paused"));
}

// A job's name or message must not steer the terminal.
void outside_text_cannot_steer_the_terminal(void**) {
  const std::string text =
      line(job("running", R"("progress":{"done":1,"total":2,"percent":50,"phase":"a\u001b[2Jb\u009bc\u202ed\u0007","message":"x\ny"})"),
           {.terminal = true, .colour = false, .utf8 = true, .columns = 200});
  assert_non_null(strstr(text.c_str(), "a?[2Jb?c?d?"));
  for (const char c : text) assert_true(static_cast<unsigned char>(c) >= 0x20);
  assert_string_equal(printable("grün\n\tok\r", false, true).c_str(), "gr?n\n\tok?");
  assert_string_equal(printable("a\xff\xc3", true).c_str(), "a??");
}

void a_file_gets_words(void**) {
  const JobView view = half_way();
  assert_string_equal(plain_line(view, "plo-equity", kAscii, {.unix_ms = kNow, .seen_ms = kNow}).c_str(),
                      "plo-equity running 24.0% 1.20k/5.00k 400/s ETA 9.5 s flop - board 3");
}

void durations_and_amounts_are_short(void**) {
  const std::pair<int64_t, const char*> durations[] = {{0, "0.0 s"},           {-5, "0.0 s"},           {9999, "9.9 s"},
                                                       {10'000, "10 s"},       {59'999, "59 s"},        {187'000, "3:07"},
                                                       {3'723'000, "1:02:03"}, {356'400'000, "4 d 3 h"}};
  for (const auto& [ms, text] : durations) assert_string_equal(duration(ms).c_str(), text);
  const std::pair<double, const char*> amounts[] = {
      {0, "0"},           {0.25, "0.2"},         {7, "7"},          {42.7, "43"}, {999, "999"}, {1000, "1.00k"}, {12'345, "12.3k"},
      {999'600, "1.00M"}, {123'456'789, "123M"}, {1.8e19, "18.0E"}, {-1, "?"}};
  for (const auto& [value, text] : amounts) assert_string_equal(amount(value).c_str(), text);
}

void times_and_spans_are_read(void**) {
  assert_int_equal(parse_time("2026-11-23T13:20:10Z").value(), kNow);
  assert_int_equal(parse_time("2026-11-23 14:20:10.5+01:00").value(), kNow + 500);
  for (const char* bad : {"", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-23T13:20:10", "2026-11-23T13:20:10.Z",
                          "2026-11-23T13:20:10+1:00", "now"})
    assert_false(parse_time(bad).has_value());
  assert_int_equal(parse_span("90").value(), 90'000);
  assert_int_equal(parse_span("15m").value(), 900'000);
  assert_int_equal(parse_span("1d").value(), 86'400'000);
  assert_int_equal(parse_span("366000d").value(), INT64_C(366000) * 86'400'000);
  for (const char* bad : {"", "m", "-5s", "5w", "5 m", "1.5h", "999999999d", "366001d", "9223372036854775807", "99999999999999999999s"})
    assert_false(parse_span(bad).has_value());
}

void a_table_is_cut_at_the_edge(void**) {
  Look look = kAscii;
  look.columns = 12;
  assert_string_equal(table({"ID", "NAME"}, {{"1", "short"}, {"22", "a long name"}}, look).c_str(), "ID  NAME\n1   short\n22  a long ~\n");
}

void a_column_without_room_for_its_name_is_left_out(void**) {
  Look look = kAscii;
  look.columns = 9;
  const auto of = [&] { return table({"ID", "NAME", "AGE"}, {{"1", "short", "5 s"}, {"22", "long", "12 s"}}, look); };
  assert_string_equal(of().c_str(), "ID  NAME\n1   short\n22  long\n");
  look.columns = 14;
  assert_string_equal(of().c_str(), "ID  NAME   AGE\n1   short  5 s\n22  long   12~\n");
}

}  // namespace

int main() {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_running_job_shows_bar_rate_and_eta),
      cmocka_unit_test(a_phase_that_comes_does_not_move_the_bar),
      cmocka_unit_test(every_width_is_kept),
      cmocka_unit_test(colours_change_no_width),
      cmocka_unit_test(the_eta_counts_down_between_snapshots),
      cmocka_unit_test(unknown_values_are_not_guessed),
      cmocka_unit_test(a_stale_job_says_that_the_engine_is_away),
      cmocka_unit_test(a_hundred_percent_is_said_of_what_is_done_only),
      cmocka_unit_test(bars_grow_by_eighths),
      cmocka_unit_test(an_ended_job_says_how),
      cmocka_unit_test(a_waiting_job_says_why),
      cmocka_unit_test(outside_text_cannot_steer_the_terminal),
      cmocka_unit_test(a_file_gets_words),
      cmocka_unit_test(durations_and_amounts_are_short),
      cmocka_unit_test(times_and_spans_are_read),
      cmocka_unit_test(a_table_is_cut_at_the_edge),
      cmocka_unit_test(a_column_without_room_for_its_name_is_left_out),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
