// Members and elements of JSON text, byte for byte.
#include <string>
#include "base/json_slice.h"

#include "tests/cmocka.h"

using namespace jobcast;

static void member_is_cut_out_byte_for_byte(void**) {
  const std::string_view text = R"({"jsonrpc":"2.0", "result" : {"job":{"rev":4294967313,"percent":24.0,"m":"a\"}{"},"created":true}})";
  const auto result = json_member(text, "result");
  assert_true(result.has_value());
  const auto job = json_member(*result, "job");
  assert_true(job == R"({"rev":4294967313,"percent":24.0,"m":"a\"}{"})");
  assert_true(json_member_integer(*job, "rev") == 4294967313u);
  assert_true(json_member(*result, "created") == "true");
}

static void absent_and_broken_give_nothing(void**) {
  for (const char* text :
       {"", "{", "{}", "[]", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"b\":\"\\", "{\"b\":[1,2},\"a\":3}", "{\"b\":,\"a\":3}"})
    assert_false(json_member(text, "a").has_value() && *json_member(text, "a") != "1");
  assert_false(json_member(R"({"b":{"a":1}})", "a").has_value());
}

static void deep_nesting_costs_no_stack(void**) {
  std::string text = "{\"a\":";
  text.append(500'000, '[').append(500'000, ']').append(",\"b\":7}");
  assert_true(json_member_integer(text, "b") == 7u);
}

static void strings_and_integers_are_checked(void**) {
  const std::string_view text = R"({"s":"x","e":"\n","n":-1,"f":1.5,"i":12})";
  assert_true(json_member_string(text, "s") == "x");
  assert_false(json_member_string(text, "e").has_value());
  assert_false(json_member_string(text, "i").has_value());
  assert_false(json_member_integer(text, "n").has_value());
  assert_false(json_member_integer(text, "f").has_value());
  assert_true(json_member_integer(text, "i") == 12u);
}

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(member_is_cut_out_byte_for_byte), cmocka_unit_test(absent_and_broken_give_nothing),
                              cmocka_unit_test(deep_nesting_costs_no_stack), cmocka_unit_test(strings_and_integers_are_checked)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
