// What ws clients say: taken, refused, and answered.
#include "lws-plugin/messages.h"

#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

Message parse(const std::string& text) { return parse_message(text, 96 << 10); }

std::string fault(const std::string& text) {
  const Message message = parse(text);
  assert_true(message.fault.has_value());
  return message.fault->field;
}

void every_request_is_read_with_its_fields(void**) {
  const std::string id = job(3).text();
  const Message subscribe =
      parse(R"({"event":"subscribe_job","data":{"job_id":")" + id + R"(","rev":4294967313,"min_interval_ms":250},"id":7})");
  assert_false(subscribe.fault.has_value());
  assert_int_equal(subscribe.request, Request::subscribe_job);
  assert_true(subscribe.job == job(3));
  assert_int_equal(subscribe.rev, 4294967313);
  assert_int_equal(subscribe.min_interval_ms, 250);
  assert_string_equal(subscribe.id.c_str(), "7");
  assert_int_equal(parse(R"({"event":"unsubscribe_job","data":{"job_id":")" + id + "\"}}").request, Request::unsubscribe_job);
  assert_int_equal(parse(R"({"event":"cancel_job","data":{"job_id":")" + id + "\"}}").request, Request::cancel_job);
  assert_int_equal(parse(R"({"event":"ping"})").request, Request::ping);
  assert_int_equal(parse(R"({"event":"ping","data":{},"id":null})").request, Request::ping);
  const Message authenticate = parse(R"({"event":"authenticate","data":{"token":"a.b.c","rev":5}})");
  assert_string_equal(authenticate.token.c_str(), "a.b.c");
  assert_int_equal(authenticate.rev, 5);
  const Message submit = parse(R"({"event":"submit_job","data":{"kind":"k"},"id":"a\"b"})");
  assert_false(submit.fault.has_value());
  assert_string_equal(submit.id.c_str(), R"("a\"b")");
  assert_true(submit.body.view().get("data").get("kind").string() == "k");
}

void a_fault_names_its_field_and_keeps_the_id(void**) {
  assert_string_equal(fault("").c_str(), "");
  assert_string_equal(fault("[]").c_str(), "");
  assert_string_equal(fault("{}").c_str(), "event");
  assert_string_equal(fault(R"({"event":7})").c_str(), "event");
  assert_string_equal(fault(R"({"event":"subscribe"})").c_str(), "event");
  assert_string_equal(fault(R"({"event":"ping","data":[]})").c_str(), "data");
  assert_string_equal(fault(R"({"event":"ping","data":{"x":1}})").c_str(), "x");
  assert_string_equal(fault(R"({"event":"ping","idd":1})").c_str(), "idd");
  assert_string_equal(fault(R"({"event":"ping","id":1.5})").c_str(), "id");
  assert_string_equal(fault(R"({"event":"ping","id":{}})").c_str(), "id");
  assert_string_equal(fault(R"({"event":"ping","id":")" + std::string(65, 'x') + "\"}").c_str(), "id");
  assert_string_equal(fault(R"({"event":"authenticate"})").c_str(), "token");
  assert_string_equal(fault(R"({"event":"subscribe_job","data":{"job_id":"7"}})").c_str(), "job_id");
  assert_string_equal(fault(R"({"event":"subscribe_job","data":)" + job_data(1, R"(,"rev":-1)") + "}").c_str(), "rev");
  assert_string_equal(fault(R"({"event":"subscribe_job","data":)" + job_data(1, R"(,"rev":1.5)") + "}").c_str(), "rev");
  assert_string_equal(fault(R"({"event":"subscribe_job","data":)" + job_data(1, R"(,"min_interval_ms":3600001)") + "}").c_str(),
                      "min_interval_ms");
  const Message message = parse(R"({"event":"subscribe_job","data":{},"id":"seven"})");
  assert_true(message.fault.has_value());
  assert_string_equal(message.id.c_str(), "\"seven\"");
  assert_int_equal(message.request, Request::subscribe_job);
}

void hostile_json_is_refused(void**) {
  for (const std::string text :
       {R"({"event":"ping","event":"ping"})", R"({"event":"ping"} x)", "{\"event\":\"pi\xffng\"}", R"({"event":"ping\u0000"})",
        R"({"EVENT":"ping"})", R"({"event":"ping","id":123456789012345678901234567890})"})
    assert_true(parse(text).fault.has_value());
  assert_true(parse("{\"event\":\"ping\",\"data\":" + std::string(40, '[') + std::string(40, ']') + "}").fault.has_value());
  assert_true(parse_message("{\"event\":\"ping\",\"id\":\"" + std::string(200, 'x') + "\"}", 100).fault.has_value());
}

std::string params_of(const std::string& data) {
  const auto parsed = Json::parse(data);
  Identity who;
  who.user = "al\"ice";
  auto params = submit_params(parsed->view(), who);
  return params ? *params : "! " + params.error().field;
}

void submit_params_are_the_engines_with_the_owner_put_in(void**) {
  assert_string_equal(params_of(R"({"kind":"k"})").c_str(), R"({"owner":"al\"ice","kind":"k"})");
  const auto all = Json::parse(params_of(R"({"kind":"k","args":{"a":[1,{"b":null}]},"queue":"q","priority":-3,"run_at_ms":1700000000000,
      "max_attempts":2,"unique_key":"u","idempotency_key":"i","meta":{"m":"x"}})"));
  assert_true(all.ok());
  assert_int_equal(all->view().size(), 10);
  assert_string_equal(all->view().get("args").dump().c_str(), R"({"a":[1,{"b":null}]})");
  assert_int_equal(*all->view().get("priority").integer(), -3);
}

void submit_params_refuse_what_is_not_the_users_to_say(void**) {
  assert_string_equal(params_of("{}").c_str(), "! kind");
  assert_string_equal(params_of(R"({"kind":"k","owner":"bob"})").c_str(), "! owner");
  assert_string_equal(params_of(R"({"kind":"k","argv":["sh"]})").c_str(), "! argv");
  assert_string_equal(params_of(R"({"kind":"k","args":[]})").c_str(), "! args");
  assert_string_equal(params_of(R"({"kind":"k","priority":101})").c_str(), "! priority");
  assert_string_equal(params_of(R"({"kind":"k","run_at_ms":253402300800000})").c_str(), "! run_at_ms");  // as the engine
  assert_string_equal(params_of(R"({"kind":"k","max_attempts":0})").c_str(), "! max_attempts");
  assert_string_equal(params_of(R"({"kind":")" + std::string(129, 'k') + "\"}").c_str(), "! kind");
}

void the_header_is_the_idempotency_key_and_a_second_one_is_refused(void**) {
  Identity who;
  who.user = "alice";
  const auto plain = Json::parse(R"({"kind":"k"})"), keyed = Json::parse(R"({"kind":"k","idempotency_key":"other"})");
  assert_string_equal(submit_params(plain->view(), who, "order-66")->c_str(),
                      R"({"owner":"alice","kind":"k","idempotency_key":"order-66"})");
  assert_false(submit_params(keyed->view(), who, "order-66").ok());
  const auto empty = submit_params(plain->view(), who, "");  // an empty one is not the same as none
  assert_int_equal(empty.error().code, Errc::invalid);
  assert_string_equal(empty.error().field.c_str(), "Idempotency-Key");
  const auto inside = Json::parse(R"({"kind":"k","idempotency_key":""})");
  assert_string_equal(submit_params(inside->view(), who).error().field.c_str(), "idempotency_key");
}

void cancel_params_name_the_owner_unless_an_admin_asks(void**) {
  Identity who;
  who.user = "alice";
  assert_string_equal(cancel_params(job(1), who).c_str(),
                      ("{\"job_id\":\"" + job(1).text() + R"(","owner":"alice","by":"alice"})").c_str());
  who.admin = true;
  assert_string_equal(cancel_params(job(1), who).c_str(), ("{\"job_id\":\"" + job(1).text() + R"(","by":"alice"})").c_str());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_request_is_read_with_its_fields),
      cmocka_unit_test(a_fault_names_its_field_and_keeps_the_id),
      cmocka_unit_test(hostile_json_is_refused),
      cmocka_unit_test(submit_params_are_the_engines_with_the_owner_put_in),
      cmocka_unit_test(submit_params_refuse_what_is_not_the_users_to_say),
      cmocka_unit_test(the_header_is_the_idempotency_key_and_a_second_one_is_refused),
      cmocka_unit_test(cancel_params_name_the_owner_unless_an_admin_asks),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
