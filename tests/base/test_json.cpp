// JSON in and out, and the reader of fields: what must be refused is refused, by name.
#include <cstring>
#include "base/fields.h"
#include "base/id.h"
#include "base/json.h"

#include "tests/cmocka.h"

namespace {

using jobcast::Fields;
using jobcast::Json;

void refused(const char* text) {
  if (Json::parse(text)) fail_msg("accepted: %s", text);
}

void bad_json_is_refused(void**) {
  for (const char* text : {"", "{", "{} x", "{\"a\":1,\"a\":2}", "{\"a\":{\"b\":1,\"b\":2}}", "\"a\\u0000b\"", "\"\x01\"", "\"\xff\"",
                           "\"\xed\xa0\x80\"", "[1,]", "9007199254740993"})
    refused(text);
  refused((std::string(40, '[') + std::string(40, ']')).c_str());
  assert_false(Json::parse("[1]", {.bytes_max = 2}).ok());
}

void text_survives_a_round_trip(void**) {
  const char* text = R"({"a":[1,2.5,-3,1e+300,0.1234567890123456,true,null,"ü\n\"\\"],"b":{"c":9007199254740991}})";
  auto parsed = Json::parse(text);
  assert_true(parsed.ok());
  assert_string_equal(parsed->dump().c_str(), text);
  assert_int_equal(parsed->view().get("b").get("c").integer().value(), 9007199254740991);
  assert_false(parsed->view().get("A").exists());
}

void a_revision_is_written_exactly(void**) {
  Json object = Json::object();
  object.set("rev", (uint64_t{1} << 52) + 17);
  assert_string_equal(object.dump().c_str(), "{\"rev\":4503599627370513}");
}

void unknown_field_is_refused_with_the_closest_name(void**) {
  auto parsed = Json::parse(R"({"concurency":2})");
  Fields in(parsed->view(), "queues.default");
  (void)in.integer("concurrency", 1, 1, 8);
  auto done = in.finish();
  assert_false(done.ok());
  assert_string_equal(done.error().field.c_str(), "queues.default.concurency");
  assert_non_null(strstr(done.error().detail.c_str(), "did you mean \"concurrency\""));
}

void fields_keep_the_first_fault_and_their_fallbacks(void**) {
  auto parsed = Json::parse(R"({"n":99,"s":5})");
  Fields in(parsed->view());
  assert_int_equal(in.integer("n", 3, 1, 8), 3);
  assert_string_equal(in.string("s", "x").c_str(), "x");
  auto done = in.finish();
  assert_string_equal(done.error().detail.c_str(), "n must be a whole number from 1 to 8");
}

void job_ids_grow_and_survive_a_round_trip(void**) {
  jobcast::JobIdSource source;
  auto last = source.next(1'700'000'000'000);
  for (int i = 0; i < 20'000; ++i) {
    const auto id = source.next(1'700'000'000'000 + i / 5000);
    assert_true(last < id);
    assert_true(jobcast::JobId::parse(id.text()) == id);
    last = id;
  }
  for (const char* bad : {"", "0192f0c1", "0192f0c1-0000-7000-8000-00000000000g", "0192f0c1x0000-7000-8000-000000000000"})
    assert_false(jobcast::JobId::parse(bad).has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(bad_json_is_refused),
      cmocka_unit_test(text_survives_a_round_trip),
      cmocka_unit_test(a_revision_is_written_exactly),
      cmocka_unit_test(unknown_field_is_refused_with_the_closest_name),
      cmocka_unit_test(fields_keep_the_first_fault_and_their_fallbacks),
      cmocka_unit_test(job_ids_grow_and_survive_a_round_trip),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
