// UTF-8: judged, cut and made of whatever bytes came.
#include "base/text.h"

#include "base/json.h"
#include "tests/cmocka.h"

namespace {

void tricky_utf8_is_judged_rightly(void**) {
  // clang-format off
  for (const char* good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xef\xbb\xbf", "z\xc3\xb6z"})
    assert_true(jobcast::is_utf8(good));
  for (const char* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xc2\xc2", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe1\x80",
                          "\xe1\x80\x41", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf1\x80\x80", "\xf1\x80\x80\x41",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "ok\xe2\x82"})
    // clang-format on
    if (jobcast::is_utf8(bad)) fail_msg("took %02x…", static_cast<unsigned char>(bad[0]));
  assert_false(jobcast::is_utf8(std::string_view("a\0b", 3)));
  // By its definition: every scalar value encoded plainly is good, a surrogate and a cut one are not.
  for (unsigned code = 1; code <= 0xffff; ++code) {
    std::string text;
    if (code < 0x80) {
      text = {static_cast<char>(code)};
    } else if (code < 0x800) {
      text = {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
    } else {
      text = {static_cast<char>(0xe0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3f)), static_cast<char>(0x80 | (code & 0x3f))};
    }
    assert_int_equal(jobcast::is_utf8(text), code < 0xd800 || code > 0xdfff);
    if (text.size() > 1) assert_false(jobcast::is_utf8(std::string_view(text).substr(0, text.size() - 1)));
  }
}

void what_a_stranger_wrote_is_made_printable(void**) {
  assert_string_equal(jobcast::printable("As").c_str(), "As");
  assert_string_equal(jobcast::printable("a\nb\x1b\x7f").c_str(), "a?b??");
  assert_string_equal(jobcast::printable("\xff!").c_str(), "\uFFFD!");
  assert_string_equal(jobcast::printable("zoë", 9).c_str(), "zoë");
  assert_string_equal(jobcast::printable("zoë!", 3).c_str(), "zo...");
  assert_string_equal(jobcast::printable("abcdef", 3).c_str(), "abc...");
  assert_string_equal(jobcast::printable("ab🂡", 5).c_str(), "ab...");
  assert_string_equal(jobcast::printable("ab🂡", 6).c_str(), "ab🂡");
  assert_true(jobcast::is_utf8(jobcast::printable(std::string(1000, '\x80'))));
}

void length_of_a_character_is_0_where_there_is_none(void**) {
  const std::string_view text("aö€🂡\xc3\0", 12);
  assert_int_equal(jobcast::utf8_length(text, 0), 1);
  assert_int_equal(jobcast::utf8_length(text, 1), 2);
  assert_int_equal(jobcast::utf8_length(text, 2), 0);
  assert_int_equal(jobcast::utf8_length(text, 3), 3);
  assert_int_equal(jobcast::utf8_length(text, 6), 4);
  assert_int_equal(jobcast::utf8_length(text, 10), 0);
  assert_int_equal(jobcast::utf8_length(text, 11), 0);
  assert_int_equal(jobcast::utf8_length(text, 12), 0);
}

void any_bytes_become_text_within_the_limit(void**) {
  assert_string_equal(jobcast::to_utf8("plain ö").c_str(), "plain ö");
  assert_string_equal(jobcast::to_utf8("a\xff\xc3z").c_str(), "a\uFFFD\uFFFDz");
  assert_string_equal(jobcast::to_utf8("a\xff", 3).c_str(), "a");
  assert_string_equal(jobcast::to_utf8(std::string_view("a\0b", 3)).c_str(), "a\uFFFDb");
  for (size_t bytes_max = 0; bytes_max < 12; ++bytes_max) {
    const std::string text = jobcast::to_utf8("ö\x80🂡\xe2\x82", bytes_max);
    assert_true(text.size() <= bytes_max);
    assert_true(jobcast::is_utf8(text));
  }
}

}  // namespace

static void paths_of_the_server_are_left_out(void**) {
  const auto is = [](const char* text, const char* expected) { assert_string_equal(jobcast::without_paths(text).c_str(), expected); };
  is("/var/lib/jobcast/jobs.db: no space is left on its disk", "a file of the server: no space is left on its disk");
  is("cannot open '/etc/jobcast/key' (/run/x/y).", "cannot open 'a file of the server' (a file of the server).");
  is("units/s, and/or, 1/2/3, /", "units/s, and/or, 1/2/3, /");
  is("https://app.example/path and //", "https://app.example/path and //");
  is("", "");
}

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(paths_of_the_server_are_left_out),        cmocka_unit_test(tricky_utf8_is_judged_rightly),
      cmocka_unit_test(what_a_stranger_wrote_is_made_printable), cmocka_unit_test(length_of_a_character_is_0_where_there_is_none),
      cmocka_unit_test(any_bytes_become_text_within_the_limit),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
