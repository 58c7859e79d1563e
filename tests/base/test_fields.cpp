// The reader of fields: what is wrong is refused by name, with the remedy.
#include "base/fields.h"

#include <cstring>

#include "tests/cmocka.h"

namespace {

using jobcast::Fields;
using jobcast::Json;
using jobcast::JsonView;

Json object(const char* text) {
  auto parsed = Json::parse(text);
  if (!parsed) fail_msg("%s: %s", text, parsed.error().detail.c_str());
  return std::move(*parsed);
}

void fault_is(Fields& in, const char* field, const char* detail) {
  const auto done = in.finish();
  assert_false(done.ok());
  assert_int_equal(done.error().code, jobcast::Errc::invalid);
  assert_string_equal(done.error().field.c_str(), field);
  assert_string_equal(done.error().detail.c_str(), detail);
}

void good_members_are_read(void**) {
  const Json json = object(R"({"s":"text","r":"x","c":"red","i":-3,"o":7,"n":0.5,"b":true,"l":["a","b"],"q":{"k":1},"a":[1],"x":null})");
  Fields in(json.view());
  assert_string_equal(in.string("s", "").c_str(), "text");
  assert_string_equal(in.required_string("r").c_str(), "x");
  assert_string_equal(in.choice("c", "blue", {"red", "blue"}).c_str(), "red");
  assert_int_equal(in.integer("i", 0, -5, 5), -3);
  assert_int_equal(in.optional_integer("o", 0, 9).value(), 7);
  assert_true(in.number("n", 0, 0, 1) == 0.5);
  assert_true(in.boolean("b", false));
  assert_int_equal(in.strings("l", 2).size(), 2);
  assert_int_equal(in.object("q").get("k").integer().value(), 1);
  assert_int_equal(in.array("a").size(), 1);
  assert_true(in.any("x").is_null());
  assert_true(in.finish().ok());
}

void absent_and_null_members_give_the_fallback(void**) {
  for (const char* text : {"{}", R"({"s":null,"c":null,"i":null,"o":null,"n":null,"b":null,"l":null,"q":null,"a":null})"}) {
    const Json json = object(text);
    Fields in(json.view());
    assert_string_equal(in.string("s", "fall").c_str(), "fall");
    assert_string_equal(in.choice("c", "blue", {"red", "blue"}).c_str(), "blue");
    assert_int_equal(in.integer("i", 3, 1, 8), 3);
    assert_false(in.optional_integer("o", 1, 8).has_value());
    assert_true(in.number("n", 0.25, 0, 1) == 0.25);
    assert_true(in.boolean("b", true));
    assert_true(in.strings("l", 2).empty());
    assert_false(in.object("q").exists());
    assert_false(in.array("a").exists());
    assert_false(in.has("s"));
    assert_true(in.finish().ok());
  }
}

void wrong_members_are_refused_by_name_and_range(void**) {
  struct Case {
    const char* json;
    void (*read)(Fields&);
    const char* detail;
  };
  const Case cases[] = {
      {R"({"k":5})", [](Fields& in) { (void)in.string("k", ""); }, "k must be a string, not number"},
      {R"({"k":"toolong"})", [](Fields& in) { (void)in.string("k", "", 3); }, "k is 7 bytes; at most 3"},
      {R"({"k":""})", [](Fields& in) { (void)in.required_string("k"); }, "k is required: a non-empty string"},
      {R"({})", [](Fields& in) { (void)in.required_string("k"); }, "k is required: a non-empty string"},
      {R"({"k":"green"})", [](Fields& in) { (void)in.choice("k", "red", {"red", "blue"}); }, "k must be one of red, blue, not \"green\""},
      {R"({"k":9})", [](Fields& in) { (void)in.integer("k", 1, 1, 8); }, "k must be a whole number from 1 to 8, not 9"},
      {R"({"k":1.5})", [](Fields& in) { (void)in.integer("k", 1, 1, 8); }, "k must be a whole number from 1 to 8, not 1.5"},
      {R"({"k":"2"})", [](Fields& in) { (void)in.integer("k", 1, 1, 8); },
       "k must be a whole number from 1 to 8, not \"2\": write 2, without quotes and unit"},
      {R"({"k":1e300})", [](Fields& in) { (void)in.optional_integer("k", -1, 1); }, "k must be a whole number from -1 to 1, not 1e+300"},
      {R"({"k":1.25})", [](Fields& in) { (void)in.number("k", 0, 0, 1); }, "k must be a number from 0 to 1, not 1.25"},
      {R"({"k":true})", [](Fields& in) { (void)in.number("k", 0.5, 0.5, 1); }, "k must be a number from 0.5 to 1, not boolean"},
      {R"({"k":1})", [](Fields& in) { (void)in.boolean("k", false); }, "k must be true or false, not number"},
      {R"({"k":[]})", [](Fields& in) { (void)in.object("k"); }, "k must be an object, not array"},
      {R"({"k":{}})", [](Fields& in) { (void)in.array("k"); }, "k must be an array, not object"},
      {R"({"k":["a","b","c"]})", [](Fields& in) { (void)in.strings("k", 2); }, "k has 3 elements; at most 2"},
      {R"({"k":["a",1]})", [](Fields& in) { (void)in.strings("k", 2, 9); }, "k must hold strings of at most 9 bytes; element 1 is not"},
      {R"({"k":["ab"]})", [](Fields& in) { (void)in.strings("k", 2, 1); }, "k must hold strings of at most 1 bytes; element 0 is not"},
  };
  for (const Case& wrong : cases) {
    const Json json = object(wrong.json);
    Fields in(json.view());
    wrong.read(in);
    fault_is(in, "k", wrong.detail);
  }
}

void what_is_no_object_is_refused_whatever_is_read(void**) {
  const Json list = object("[1,2]");
  Fields in(list.view());
  assert_int_equal(in.integer("n", 3, 1, 8), 3);
  fault_is(in, "", "the document must be an object, not array");
  Fields absent(JsonView(), "queues");
  fault_is(absent, "queues", "queues must be an object, not nothing");
}

void unknown_field_is_refused_with_the_closest_name(void**) {
  const Json json = object(R"({"concurency":2})");
  Fields in(json.view(), "queues.default");
  (void)in.integer("concurrency", 1, 1, 8);
  fault_is(in, "queues.default.concurency", "queues.default.concurency is not known here: did you mean \"concurrency\"?");
  const Json far = object(R"({"Host":2})");
  Fields other(far.view());
  (void)other.has("concurrency");
  fault_is(other, "Host", "Host is not known here");
}

void huge_unknown_name_is_refused_quickly_and_briefly(void**) {
  const Json json = object(("{\"" + std::string(900'000, 'x') + "\":1}").c_str());
  Fields in(json.view());
  (void)in.has("concurrency");
  const auto done = in.finish();
  assert_false(done.ok());
  assert_true(done.error().detail.size() < 200);
  assert_true(done.error().field.size() < 100);
}

void first_fault_wins_and_faults_may_come_from_the_caller(void**) {
  const Json json = object(R"({"n":99,"s":5,"unknown":1})");
  Fields in(json.view(), "top");
  assert_int_equal(in.integer("n", 3, 1, 8), 3);
  assert_string_equal(in.string("s", "x").c_str(), "x");
  (in.fail)("later", "is too late");
  fault_is(in, "top.n", "top.n must be a whole number from 1 to 8, not 99");
  const Json good = object(R"({"cron":"* *"})");
  Fields own(good.view());
  (void)own.string("cron", "");
  (own.fail)("cron", "has 2 fields; five are needed");
  fault_is(own, "cron", "cron has 2 fields; five are needed");
  assert_string_equal(own.path("x").c_str(), "x");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(good_members_are_read),
      cmocka_unit_test(absent_and_null_members_give_the_fallback),
      cmocka_unit_test(wrong_members_are_refused_by_name_and_range),
      cmocka_unit_test(what_is_no_object_is_refused_whatever_is_read),
      cmocka_unit_test(unknown_field_is_refused_with_the_closest_name),
      cmocka_unit_test(huge_unknown_name_is_refused_quickly_and_briefly),
      cmocka_unit_test(first_fault_wins_and_faults_may_come_from_the_caller),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
