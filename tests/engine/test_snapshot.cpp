// The snapshot's bytes: the keys of DESIGN §3 in their order, 4 KiB at most, one line.
#include "engine/snapshot.h"

#include <string>
#include <vector>

#include "base/json.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast::engine;
using jobcast::JobState;
using jobcast::Json;

Job sample() {
  Job job;
  job.id = *jobcast::JobId::parse("0192f0c1-0000-7000-8000-000000000001");
  job.kind = "plo-equity";
  job.owner = "alice";
  job.queue = "default";
  job.state = JobState::running;
  job.rev = 4294967313;
  job.attempt = 1;
  job.created_ms = 1795440000123;
  job.started_ms = 1795440001000;
  job.progress = {1200, 5000, 24.0, 400.1, 9500, "flop", "half\nway"};
  return job;
}

// Checks what holds for every snapshot, and gives it parsed.
Json checked(const std::string& text) {
  if (text.size() > jobcast::kSnapshotBytesMax) fail_msg("%zu bytes", text.size());
  assert_true(text.find('\n') == std::string::npos && text.find('\r') == std::string::npos);
  auto parsed = Json::parse(text);
  if (!parsed) fail_msg("%s: %s", parsed.error().detail.c_str(), text.c_str());
  return std::move(parsed).value();
}

void snapshot_has_the_keys_and_the_order_of_the_design(void**) {
  const std::string text = encode_snapshot(sample(), std::nullopt);
  checked(text);
  assert_string_equal(
      text.c_str(),
      R"({"job_id":"0192f0c1-0000-7000-8000-000000000001","kind":"plo-equity","state":"running","rev":4294967313,"owner":"alice",)"
      R"("queue":"default","priority":0,"attempt":1,"max_attempts":1,"created_at":"2026-11-23T13:20:00.123Z",)"
      R"("started_at":"2026-11-23T13:20:01.000Z","finished_at":null,)"
      R"("progress":{"done":1200,"total":5000,"percent":24.0,"rate":400.1,"eta_ms":9500,"phase":"flop","message":"half\nway"},)"
      R"("cancel":null,"reason":null,"exit_code":null,"error":null,"result":null,"waiting":null,"meta":{}})");
}

void unknown_values_are_null(void**) {
  Job job = sample();
  job.progress = {};
  job.started_ms.reset();
  const Json parsed = checked(encode_snapshot(job, std::nullopt));
  for (const char* key : {"done", "total", "percent", "rate", "eta_ms", "phase", "message"})
    assert_true(parsed.view().get("progress").get(key).is_null());
  assert_true(parsed.view().get("started_at").is_null());
}

void a_waiting_job_says_why_and_until_when(void**) {
  Job job = sample();
  job.state = JobState::retrying;
  job.run_at_ms = 1795440009000;
  Json parsed = checked(encode_snapshot(job, Scheduler::Waiting{"backoff", std::nullopt}));
  assert_string_equal(parsed.view().get("waiting").dump().c_str(),
                      R"({"why":"backoff","position":null,"until":"2026-11-23T13:20:09.000Z"})");
  job.state = JobState::queued;
  parsed = checked(encode_snapshot(job, Scheduler::Waiting{"queue_full", 3}));
  assert_string_equal(parsed.view().get("waiting").dump().c_str(), R"({"why":"queue_full","position":3,"until":null})");
}

void a_cancel_tells_who_asked_and_when(void**) {
  Job job = sample();
  job.cancel = CancelRequest{1795440002000, "alice", 1795440002500};
  const Json parsed = checked(encode_snapshot(job, std::nullopt));
  assert_string_equal(parsed.view().get("cancel").dump().c_str(),
                      R"({"requested_at":"2026-11-23T13:20:02.000Z","acknowledged_at":"2026-11-23T13:20:02.500Z","by":"alice"})");
}

void a_result_is_carried_as_long_as_it_fits(void**) {
  Job job = sample();
  job.state = JobState::completed;
  const auto with_result = [&](size_t bytes) {
    job.result_json = "\"" + std::string(bytes - 2, 'r') + "\"";
    job.result_bytes = bytes;
    return encode_snapshot(job, std::nullopt);
  };
  const size_t around = with_result(10).size() - 10;
  const size_t largest = jobcast::kSnapshotBytesMax - around;
  assert_int_equal(checked(with_result(largest)).view().get("result").string()->size(), largest - 2);
  const Json parsed = checked(with_result(largest + 1));
  assert_true(parsed.view().get("result").is_null());
  assert_true(parsed.view().get("result_url").string() == "jobs/0192f0c1-0000-7000-8000-000000000001/result");
}

void a_result_that_was_left_out_is_pointed_at(void**) {
  Job job = sample();
  job.result_bytes = 100'000;
  assert_true(checked(encode_snapshot(job, std::nullopt)).view().get("result_url").exists());
}

void line_breaks_between_tokens_of_a_result_become_blanks(void**) {
  Job job = sample();
  job.result_json = "{\r\n \"a\": 1\n}";
  job.result_bytes = job.result_json.size();
  assert_int_equal(checked(encode_snapshot(job, std::nullopt)).view().get("result").get("a").integer().value(), 1);
}

void numbers_beyond_2_to_the_53_are_strings(void**) {
  Job job = sample();
  job.progress.done = (uint64_t{1} << 53) + 1;
  job.progress.total = uint64_t{1} << 53;
  const Json parsed = checked(encode_snapshot(job, std::nullopt));
  assert_true(parsed.view().get("progress").get("done").string() == "9007199254740993");
  assert_int_equal(parsed.view().get("progress").get("total").integer().value(), int64_t{1} << 53);
}

std::string repeated(std::string_view unit, size_t bytes) {
  std::string out;
  while (out.size() + unit.size() <= bytes) out += unit;
  return out;
}

void every_field_at_its_limit_still_fits(void**) {
  for (const std::string_view unit : {"\x01", "\"", "\n", "ü", "€", "😀", "a"}) {
    Job job = sample();
    job.kind = job.queue = std::string(64, 'k');
    job.owner = repeated("\"", 128);
    job.state = JobState::cancelled;
    job.rev = (uint64_t{1} << 53) - 1;
    job.priority = -100;
    job.attempt = job.max_attempts = 2'000'000'000;
    job.finished_ms = job.created_ms;
    job.progress = {UINT64_MAX, UINT64_MAX, 99.9, 1e17, 2'592'000'000, repeated(unit, kPhaseBytesMax), repeated(unit, kMessageBytesMax)};
    job.cancel = CancelRequest{job.created_ms, repeated(unit, 128), job.created_ms};
    job.reason = Reason::dependency_failed;
    job.exit_code = INT32_MIN;
    job.error = repeated(unit, kErrorBytesMax);
    job.result_json = "\"" + std::string(100'000, 'r') + "\"";
    job.result_bytes = job.result_json.size();
    job.meta_json = "{\"m\":\"" + std::string(kMetaBytesMax - 8, 'm') + "\"}";
    const Json parsed = checked(encode_snapshot(job, Scheduler::Waiting{"dependency_failed", 1000}));
    const auto error = parsed.view().get("error").string().value();
    assert_true(error == job.error || error.ends_with("…"));
  }
}

void an_ordinary_error_and_message_are_carried_whole(void**) {
  Job job = sample();
  job.error = std::string(kErrorBytesMax, 'e');
  job.progress.message = std::string(kMessageBytesMax, 'm');
  const Json parsed = checked(encode_snapshot(job, std::nullopt));
  assert_true(parsed.view().get("error").string() == job.error);
  assert_true(parsed.view().get("progress").get("message").string() == job.progress.message);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(snapshot_has_the_keys_and_the_order_of_the_design),
      cmocka_unit_test(unknown_values_are_null),
      cmocka_unit_test(a_waiting_job_says_why_and_until_when),
      cmocka_unit_test(a_cancel_tells_who_asked_and_when),
      cmocka_unit_test(a_result_is_carried_as_long_as_it_fits),
      cmocka_unit_test(a_result_that_was_left_out_is_pointed_at),
      cmocka_unit_test(line_breaks_between_tokens_of_a_result_become_blanks),
      cmocka_unit_test(numbers_beyond_2_to_the_53_are_strings),
      cmocka_unit_test(every_field_at_its_limit_still_fits),
      cmocka_unit_test(an_ordinary_error_and_message_are_carried_whole),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
