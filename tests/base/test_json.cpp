// JSON in and out: what must be refused is refused, what is accepted comes out as it went in.
#include "base/json.h"

#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>

#include "tests/cmocka.h"

namespace {

using jobcast::Errc;
using jobcast::Json;
using jobcast::JsonView;

void refused(std::string_view text) {
  if (Json::parse(text)) fail_msg("accepted: %s", std::string(text).c_str());
}

void refused(std::string_view text, const char* detail) {
  const auto parsed = Json::parse(text);
  if (parsed) fail_msg("accepted: %s", std::string(text).c_str());
  assert_int_equal(parsed.error().code, Errc::invalid);
  assert_string_equal(parsed.error().detail.c_str(), detail);
}

void text_that_is_not_json_is_refused(void**) {
  // clang-format off
  for (const char* text : {"", " ", "{", "}", "{} x", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{'a':1}", "[1 2]", "nul", "True", "NaN",
                           "Infinity", "\"", "\"a", "\"a\\", "\"\\", "\"\\x41\"", "\"\\u12g4\"", "\"\\u12\"", "\"\\u", "\"\\ud800\"", "\"\\udc00\"",
                           "\"\\ud800\\u0041\"", "// c\n1", "[1]]", "\v1", "\f[]", "\x01{}", "{}\x02", "\xef\xbb\xbf{}"})
    // clang-format on
    refused(text);
}

void loose_numbers_are_refused(void**) {
  for (const char* number :
       {"01", "-01", "00", "1.", "-", "-.5", ".5", "+1", "1e", "1e+", "1.e5", "--1", "1-2", "0x10", "1e5.5", "1.2.3", "1e999", "-1e999"}) {
    refused(number);
    refused("{\"a\":[" + std::string(number) + "]}");
  }
  for (const char* number : {"0", "-0", "10", "-1", "0.5", "1.50", "1e5", "1E+5", "1e-5", "-0.0e0", "1e-999", "[1,-2]"})
    if (auto parsed = Json::parse(number); !parsed) fail_msg("%s: %s", number, parsed.error().detail.c_str());
}

void whole_numbers_beyond_a_doubles_reach_are_refused(void**) {
  refused("[9007199254740993]",
          "whole number beyond 2^53 at byte 1: numbers are exact up to there only; in args or meta, write it as a string");
  refused("-9007199254740993");
  refused("123456789012345678901234567890");
  assert_int_equal(Json::parse("9007199254740992")->view().integer().value(), int64_t{1} << 53);
  assert_int_equal(Json::parse("-9007199254740992")->view().integer().value(), -(int64_t{1} << 53));
}

void bytes_that_must_not_be_in_a_string_are_refused(void**) {
  refused("\"\x01\"", "raw control character in a JSON string at byte 1: escape it");
  refused("\"a\nb\"");
  refused("\"a\\u0000b\"", "\\u0000 in a JSON string at byte 2");
  refused(std::string_view("\"a\0b\"", 5));
  refused("\"\xff\"", "JSON is not valid UTF-8 without NUL");
  refused("\"\xed\xa0\x80\"");
  assert_string_equal(Json::parse(R"("\\u0000")")->view().string()->data(), "\\u0000");  // a backslash, then plain text
}

void duplicate_keys_are_refused_even_when_escaped(void**) {
  refused(R"({"a":1,"a":2})", "duplicate key \"a\"");
  refused(R"({"a":{"b":1,"b":2}})", "duplicate key \"b\"");
  refused(R"([{"a":1,"\u0061":2}])", "duplicate key \"a\"");
  assert_true(Json::parse(R"({"a":1,"A":2})").ok());
}

void size_and_depth_are_bounded(void**) {
  assert_false(Json::parse("[1]", {.bytes_max = 2}).ok());
  assert_true(Json::parse("[1]", {.bytes_max = 3}).ok());
  assert_true(Json::parse(std::string(32, '[') + std::string(32, ']')).ok());
  refused(std::string(33, '[') + std::string(33, ']'), "JSON nests deeper than 32");
  refused(std::string(100'000, '['));
  assert_true(Json::parse(R"(["[[[["])", {.depth_max = 1}).ok());
}

void text_survives_a_round_trip(void**) {
  for (const char* text : {R"({"a":[1,2.5,-3,1e+300,0.1234567890123456,true,null,"ü\n\"\\"],"b":{"c":9007199254740991}})", "[]", "{}",
                           "false", R"("")", R"("\u0001\u001f\t\r🂡")"}) {
    auto parsed = Json::parse(text);
    assert_true(parsed.ok());
    assert_string_equal(parsed->dump().c_str(), text);
  }
  assert_string_equal(Json::parse(" { \"a\" :\t[ 1 ,\r\n2 ] } ")->dump().c_str(), R"({"a":[1,2]})");
  assert_string_equal(Json::parse(R"("\/\b\f\u00e9\ud83c\udca1")")->dump().c_str(), R"("/\u0008\u000cé🂡")");
}

void every_double_is_written_so_that_it_reads_back_the_same(void**) {
  std::mt19937_64 random(7);
  const auto round_trip = [](double value) {
    Json json = Json::array();
    json.push(std::move(Json::object().set("n", value)));
    const std::string text = json.dump();
    const auto back = Json::parse(text);
    if (!back) fail_msg("%s: %s", text.c_str(), back.error().detail.c_str());
    assert_true(back->view().at(0).get("n").number().value() == value);
  };
  for (const double value : {0.0, -0.0, 0.1, 1.0 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740992.0,
                             9007199254740994.0, 1e15, 1e17, 123456.789, -1e21})
    round_trip(value);
  for (int i = 0; i < 100'000; ++i) {
    const auto value = std::bit_cast<double>(random());
    if (std::isfinite(value)) round_trip(value);
  }
}

void numbers_are_written_as_people_expect(void**) {
  Json json = Json::object();
  json.set("rev", (uint64_t{1} << 52) + 17).set("max", int64_t{1} << 53).set("u", 5U).set("i", -6).set("half", 0.5).set("whole", 3.0);
  json.set("nan", std::nan("")).set("inf", HUGE_VAL);
  assert_string_equal(json.dump().c_str(),
                      R"({"rev":4503599627370513,"max":9007199254740992,"u":5,"i":-6,"half":0.5,"whole":3,"nan":null,"inf":null})");
}

void builders_put_every_kind_of_value(void**) {
  Json list = Json::array();
  list.push("a").push(Json()).push_raw("{\"raw\":1}").push(Json::array());
  Json json = Json::object();
  json.set("sv", std::string_view("x")).set("s", std::string("y\n")).set("c", "z").set("t", true).set("n", nullptr);
  json.set("absent", Json()).set("list", std::move(list)).set_raw("raw", "[1, 2]");
  assert_string_equal(json.dump().c_str(),
                      R"({"sv":"x","s":"y\n","c":"z","t":true,"n":null,"absent":null,"list":["a",null,{"raw":1},[]],"raw":[1, 2]})");
}

void views_answer_by_type_and_never_by_accident(void**) {
  const auto parsed = Json::parse(R"({"s":"t","n":1.5,"i":3,"b":false,"z":null,"a":[10,20],"o":{"k":1}})");
  const JsonView view = parsed->view();
  struct Known {
    const char* key;
    const char* type;
  };
  for (const Known& known : {Known{"s", "string"},
                             {"n", "number"},
                             {"i", "number"},
                             {"b", "boolean"},
                             {"z", "null"},
                             {"a", "array"},
                             {"o", "object"},
                             {"S", "nothing"}}) {
    const JsonView member = view.get(known.key);
    const std::string type = known.type;
    assert_string_equal(member.type_name(), known.type);
    assert_int_equal(member.exists(), type != "nothing");
    assert_int_equal(member.string().has_value(), type == "string");
    assert_int_equal(member.number().has_value(), type == "number");
    assert_int_equal(member.integer().has_value(), std::string(known.key) == "i");
    assert_int_equal(member.boolean().has_value(), type == "boolean");
    assert_int_equal(member.is_null(), type == "null");
    assert_int_equal(member.is_array(), type == "array");
    assert_int_equal(member.is_object(), type == "object");
    assert_int_equal(member.size(), type == "array" ? 2 : type == "object" ? 1 : 0);
    assert_string_equal(std::string(member.key()).c_str(), type == "nothing" ? "" : known.key);
  }
  assert_int_equal(view.get("a").at(1).integer().value(), 20);
  assert_false(view.get("a").at(2).exists());
  assert_false(view.at(0).exists());
  assert_false(view.get("a").get("x").exists());
  assert_string_equal(view.get("o").dump().c_str(), R"({"k":1})");
  assert_string_equal(JsonView().dump().c_str(), "");
  int members = 0;
  for (JsonView member = view.first(); member.exists(); member = member.next()) ++members;
  assert_int_equal(members, 7);
}

// A file of its own for each test, gone after it.
struct File {
  std::string path = "/tmp/jobcast-test-json-XXXXXX";
  explicit File(std::string_view text) {
    close(mkstemp(path.data()));
    std::ofstream(path) << text;
  }
  ~File() { unlink(path.c_str()); }
};

void read_file_takes_exactly_its_limit(void**) {
  const File file(std::string(70'000, 'x'));
  assert_int_equal(jobcast::read_file(file.path, 70'000)->size(), 70'000);
  assert_int_equal(jobcast::read_file(file.path, 69'999).error().code, Errc::invalid);
  assert_int_equal(jobcast::read_file("/dev/null", 0)->size(), 0);
  assert_int_equal(jobcast::read_all(-1, 10).error().code, Errc::internal);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(text_that_is_not_json_is_refused),
      cmocka_unit_test(loose_numbers_are_refused),
      cmocka_unit_test(whole_numbers_beyond_a_doubles_reach_are_refused),
      cmocka_unit_test(bytes_that_must_not_be_in_a_string_are_refused),
      cmocka_unit_test(duplicate_keys_are_refused_even_when_escaped),
      cmocka_unit_test(size_and_depth_are_bounded),
      cmocka_unit_test(text_survives_a_round_trip),
      cmocka_unit_test(every_double_is_written_so_that_it_reads_back_the_same),
      cmocka_unit_test(numbers_are_written_as_people_expect),
      cmocka_unit_test(builders_put_every_kind_of_value),
      cmocka_unit_test(views_answer_by_type_and_never_by_accident),
      cmocka_unit_test(read_file_takes_exactly_its_limit),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
