// Jobs through a real jobcastd: every method of the control socket, and the life that it promises.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

int start_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  return daemon->start() ? 0 : -1;
}

int stop_daemon(void**) {
  const int status = daemon->stop();
  if (status != 0) fprintf(stderr, "%s", daemon->stderr_text().c_str());
  daemon.reset();
  return status;
}

std::string text(JsonView view) { return std::string(view.string().value_or("(no string)")); }

void a_job_runs_and_keeps_its_result_and_log(void**) {
  const std::string id = daemon->submit("echo", R"(,"meta":{"page":7},"priority":3)");
  const Json done = daemon->until(id, "completed");
  const JsonView job = done.view();
  assert_string_equal(text(job.get("kind")).c_str(), "echo");
  assert_string_equal(text(job.get("owner")).c_str(), "alice");
  assert_string_equal(text(job.get("queue")).c_str(), "default");
  assert_int_equal(*job.get("priority").integer(), 3);
  assert_int_equal(*job.get("attempt").integer(), 1);
  assert_int_equal(*job.get("exit_code").integer(), 0);
  assert_int_equal(*job.get("meta").get("page").integer(), 7);
  assert_int_equal(*job.get("result").get("answer").integer(), 42);
  assert_true(job.get("reason").is_null());
  assert_true(job.get("waiting").is_null());
  assert_string_equal(daemon->result("job.result", with_id(id)).dump().c_str(), R"({"result":{"answer":42}})");
  const Json log = daemon->result("job.log", with_id(id));
  assert_string_equal(text(log.view().get("data")).c_str(), "out\nerr\n");
  assert_int_equal(*log.view().get("next_offset").integer(), 8);
  assert_int_equal(*log.view().get("size").integer(), 8);
  assert_int_equal(*log.view().get("dropped").integer(), 0);
  assert_true(*log.view().get("eof").boolean());
  assert_string_equal(text(daemon->result("job.log", with_id(id, R"(,"offset":-4)")).view().get("data")).c_str(), "err\n");
  assert_string_equal(text(daemon->result("job.log", with_id(id, R"(,"offset":1,"limit":4)")).view().get("data")).c_str(), "ut\ne");
}

void a_job_that_fails_says_why(void**) {
  const Json failed = daemon->until(daemon->submit("fail"), "failed");
  assert_string_equal(text(failed.view().get("reason")).c_str(), "exit");
  assert_int_equal(*failed.view().get("exit_code").integer(), 3);
  assert_string_equal(text(failed.view().get("error")).c_str(), "no good");
  const Json late = daemon->until(daemon->submit("late"), "failed");
  assert_string_equal(text(late.view().get("reason")).c_str(), "timeout");
}

void a_failing_job_is_tried_again_up_to_its_attempts(void**) {
  const Json flaky = daemon->until(daemon->submit("flaky"), "completed");
  assert_int_equal(*flaky.view().get("attempt").integer(), 3);
  const Json failed = daemon->until(daemon->submit("fail", R"(,"max_attempts":4)"), "failed");
  assert_int_equal(*failed.view().get("attempt").integer(), 4);
  assert_int_equal(*failed.view().get("max_attempts").integer(), 4);
  const Error error = daemon->error("job.submit", R"({"kind":"echo","owner":"alice","max_attempts":2})");
  assert_string_equal(error.field.c_str(), "max_attempts");
}

void what_is_wrong_with_a_submit_is_said_by_name(void**) {
  struct Case {
    const char *params, *field;
  };
  const std::string long_owner = R"({"kind":"echo","owner":")" + std::string(129, 'x') + "\"}";
  const std::string large_args = R"({"kind":"echo","owner":"a","args":{"x":")" + std::string(65536, 'x') + "\"}}";
  const std::string large_meta = R"({"kind":"echo","owner":"a","meta":{"x":")" + std::string(1024, 'x') + "\"}}";
  for (const Case& one :
       {Case{R"({"owner":"a"})", "kind"}, Case{R"({"kind":"echo"})", "owner"}, Case{R"({"kind":"","owner":"a"})", "kind"},
        Case{R"({"kind":"nope","owner":"a"})", "kind"}, Case{R"({"kind":"echo","owner":"a\u0007"})", "owner"},
        Case{long_owner.c_str(), "owner"}, Case{large_args.c_str(), "args"}, Case{large_meta.c_str(), "meta"},
        Case{R"({"kind":"echo","owner":"a","args":[1]})", "args"}, Case{R"({"kind":"echo","owner":"a","queue":"nope"})", "queue"},
        Case{R"({"kind":"echo","owner":"a","priority":101})", "priority"}, Case{R"({"kind":"wait","owner":"a"})", "args.file"},
        Case{R"({"kind":"wait","owner":"a","args":{"file":{}}})", "args.file"},
        Case{R"({"kind":"echo","owner":"a","run_at_ms":-1})", "run_at_ms"},
        Case{R"({"kind":"echo","owner":"a","max_attempts":0})", "max_attempts"},
        Case{R"({"kind":"echo","owner":"a","prioritty":1})", "prioritty"}}) {
    const Error error = daemon->error("job.submit", one.params);
    if (error.code != Errc::invalid || error.field != one.field)
      fail_msg("%s: %s %s (%s)", one.params, name(error.code), error.field.c_str(), error.detail.c_str());
  }
}

void wrong_parameters_of_the_other_methods_are_refused(void**) {
  for (const auto& [method, params] : {std::pair{"job.get", "{}"},
                                       {"job.get", R"({"job_id":"x"})"},
                                       {"job.get", R"({"job_id":7})"},
                                       {"job.list", R"({"limit":0})"},
                                       {"job.list", R"({"limit":201})"},
                                       {"job.list", R"({"states":["done"]})"},
                                       {"job.list", R"({"cursor":"7"})"},
                                       {"job.list", R"({"owner":""})"},
                                       {"job.get", R"({"job_id":"0192f0c1-0000-7000-8000-000000000000","owner":""})"},
                                       {"job.cancel", R"({"id":"x"})"},
                                       {"job.log", R"({"job_id":"0192f0c1-0000-7000-8000-000000000000","limit":0})"},
                                       {"queue.list", R"({"x":1})"},
                                       {"engine.stats", R"({"x":1})"},
                                       {"attach", R"({"x":1})"}}) {
    const Error error = daemon->error(method, params);
    if (error.code != Errc::invalid) fail_msg("%s %s: %s", method, params, name(error.code));
  }
}

void an_absent_job_is_not_found(void**) {
  for (const char* method : {"job.get", "job.cancel", "job.retry", "job.log", "job.result"})
    assert_int_equal(static_cast<int>(daemon->error(method, R"({"job_id":"0192f0c1-0000-7000-8000-000000000000"})").code),
                     static_cast<int>(Errc::not_found));
}

void another_owners_job_looks_absent_running_or_over(void**) {
  const std::string over = daemon->submit("echo"), running = daemon->submit("wait", daemon->gate("other"));
  daemon->until(over, "completed");
  daemon->until(running, "running");
  for (const std::string& id : {over, running})
    for (const char* method : {"job.get", "job.cancel", "job.retry", "job.log", "job.result"}) {
      const Error theirs = daemon->error(method, with_id(id, R"(,"owner":"mallory")"));
      const Error absent = daemon->error(method, R"({"job_id":"0192f0c1-0000-7000-8000-000000000000","owner":"mallory"})");
      assert_int_equal(static_cast<int>(theirs.code), static_cast<int>(Errc::not_found));
      assert_string_equal(theirs.detail.c_str(), absent.detail.c_str());
      assert_string_equal(theirs.field.c_str(), absent.field.c_str());
    }
  assert_string_equal(text(daemon->result("job.get", with_id(over, R"(,"owner":"alice")")).view().get("job").get("state")).c_str(),
                      "completed");
  assert_string_equal(daemon->state(running).c_str(), "running");
  daemon->touch("other");
  daemon->until(running, "completed");
}

void the_list_is_newest_first_filtered_and_paged(void**) {
  std::vector<std::string> ids;
  for (int i = 0; i < 7; ++i) ids.push_back(daemon->submit("echo", i % 2 ? R"(,"queue":"one")" : ""));
  for (const auto& id : ids) daemon->until(id, "completed");
  const std::string running = daemon->submit("wait", daemon->gate("list"));
  daemon->until(running, "running");
  ids.push_back(running);

  std::vector<std::string> listed;
  std::string cursor;
  do {
    const Json page =
        daemon->result("job.list", R"({"owner":"alice","limit":3)" + (cursor.empty() ? "}" : R"(,"cursor":")" + cursor + "\"}"));
    for (JsonView job = page.view().get("jobs").first(); job.exists(); job = job.next()) listed.push_back(text(job.get("job_id")));
    cursor = page.view().get("next_cursor").string().value_or("");
  } while (!cursor.empty());
  assert_true(std::is_sorted(listed.rbegin(), listed.rend()));
  assert_true(listed.size() >= ids.size());
  assert_true(std::equal(ids.rbegin(), ids.rend(), listed.begin()));
  assert_int_equal(std::set<std::string>(listed.begin(), listed.end()).size(), listed.size());

  const Json one = daemon->result("job.list", R"({"queue":"one","states":["completed"],"kind":"echo"})");
  assert_int_equal(one.view().get("jobs").size(), 3);
  const Json alive = daemon->result("job.list", R"({"states":["running","queued"]})");
  assert_int_equal(alive.view().get("jobs").size(), 1);
  assert_string_equal(daemon->result("job.list", R"({"owner":"bob"})").dump().c_str(), R"({"jobs":[],"next_cursor":null})");
  daemon->touch("list");
  daemon->until(running, "completed");
}

void a_waiting_job_is_cancelled_at_once(void**) {
  const std::string first = daemon->submit("wait", daemon->gate("cancel") + R"(,"queue":"one")");
  const std::string waiting = daemon->submit("wait", daemon->gate("cancel") + R"(,"queue":"one")");
  daemon->until(first, "running");
  const Json queued = daemon->job(waiting);
  assert_string_equal(text(queued.view().get("waiting").get("why")).c_str(), "queue_full");
  assert_int_equal(*queued.view().get("waiting").get("position").integer(), 1);
  const std::string answer = daemon->raw("job.cancel", with_id(waiting, R"(,"by":"bob")"));
  const auto done = Json::parse(answer);
  const JsonView job = done->view().get("job");
  assert_string_equal(text(job.get("state")).c_str(), "cancelled");
  assert_string_equal(text(job.get("reason")).c_str(), "user");
  assert_string_equal(text(job.get("cancel").get("by")).c_str(), "bob");
  assert_string_equal(daemon->raw("job.cancel", with_id(waiting)).c_str(),
                      answer.c_str());  // cancelling twice is no error and changes nothing
  daemon->touch("cancel");
  daemon->until(first, "completed");
}

void a_running_job_is_cancelled_by_the_ladder(void**) {
  const std::string id = daemon->submit("wait", daemon->gate("never"));
  daemon->until(id, "running");
  const Json asked = daemon->result("job.cancel", with_id(id, R"(,"owner":"alice","by":"alice")"));
  assert_false(asked.view().get("job").get("cancel").is_null());
  const Json done = daemon->until(id, "cancelled");
  assert_string_equal(text(done.view().get("reason")).c_str(), "user");
  assert_true(*done.view().get("rev").integer() > *asked.view().get("job").get("rev").integer());
}

void a_completed_job_stays_completed(void**) {
  const std::string id = daemon->submit("echo");
  const Json done = daemon->until(id, "completed");
  const Json cancelled = daemon->result("job.cancel", with_id(id));
  assert_string_equal(cancelled.view().get("job").dump().c_str(), done.dump().c_str());
  assert_int_equal(static_cast<int>(daemon->error("job.retry", with_id(id)).code), static_cast<int>(Errc::invalid));
}

void a_failed_job_is_retried_by_hand(void**) {
  const std::string id = daemon->submit("fail");
  const Json failed = daemon->until(id, "failed");
  const Json asked = daemon->result("job.retry", with_id(id, R"(,"owner":"alice")"));
  assert_string_equal(text(asked.view().get("job").get("state")).c_str(), "queued");
  assert_true(*asked.view().get("job").get("rev").integer() > *failed.view().get("rev").integer());
  const Json again = daemon->until(id, "failed");
  assert_int_equal(*again.view().get("attempt").integer(), 2);
  assert_int_equal(static_cast<int>(daemon->error("job.result", with_id(id)).code), static_cast<int>(Errc::not_found));
}

void a_job_in_backoff_is_retried_at_once(void**) {
  const std::string id = daemon->submit("later");
  const Json waiting = daemon->until(id, "retrying");
  assert_string_equal(text(waiting.view().get("waiting").get("why")).c_str(), "backoff");
  (void)daemon->result("job.retry", with_id(id));
  assert_int_equal(*daemon->until(id, "failed").view().get("attempt").integer(), 2);
}

void a_scheduled_job_starts_when_its_time_has_come(void**) {
  const int64_t at = now().unix_ms + 300;
  const std::string id = daemon->submit("echo", R"(,"run_at_ms":)" + std::to_string(at));
  const Json scheduled = daemon->job(id);
  assert_string_equal(text(scheduled.view().get("state")).c_str(), "scheduled");
  assert_string_equal(text(scheduled.view().get("waiting").get("why")).c_str(), "run_at");
  const Json done = daemon->until(id, "completed");
  assert_true(text(done.view().get("started_at")) >= iso8601(at));
  const std::string far = daemon->submit("echo", R"(,"run_at_ms":)" + std::to_string(at + 3'600'000));
  assert_string_equal(text(daemon->result("job.cancel", with_id(far)).view().get("job").get("state")).c_str(), "cancelled");
}

void the_same_idempotency_key_answers_the_same_job(void**) {
  const std::string params = R"({"kind":"echo","owner":"alice","idempotency_key":"k1"})";
  const Json first = daemon->result("job.submit", params);
  assert_true(*first.view().get("created").boolean());
  const std::string id = text(first.view().get("job").get("job_id"));
  for (int i = 0; i < 2; ++i) {
    const Json again = daemon->result("job.submit", params);
    assert_false(*again.view().get("created").boolean());
    assert_string_equal(text(again.view().get("job").get("job_id")).c_str(), id.c_str());
    daemon->until(id, "completed");
  }
  const Error other = daemon->error("job.submit", R"({"kind":"echo","owner":"alice","idempotency_key":"k1","args":{"x":1}})");
  assert_string_equal(other.field.c_str(), "idempotency_key");
  assert_true(*daemon->result("job.submit", R"({"kind":"echo","owner":"bob","idempotency_key":"k1"})").view().get("created").boolean());
}

void a_unique_key_answers_the_job_that_is_not_over(void**) {
  const std::string params = R"({"kind":"wait","owner":"alice","unique_key":"u","args":{"file":")" + daemon->file("unique") + "\"}}";
  const Json first = daemon->result("job.submit", params), second = daemon->result("job.submit", params);
  const std::string id = text(first.view().get("job").get("job_id"));
  assert_string_equal(text(second.view().get("job").get("job_id")).c_str(), id.c_str());
  assert_false(*second.view().get("created").boolean());
  (void)daemon->result("job.cancel", with_id(id));
  daemon->until(id, "cancelled");
  const Json third = daemon->result("job.submit", params);
  assert_true(*third.view().get("created").boolean());
  const Error taken = daemon->error("job.retry", with_id(id));
  assert_int_equal(static_cast<int>(taken.code), static_cast<int>(Errc::invalid));
  daemon->touch("unique");
  daemon->until(text(third.view().get("job").get("job_id")), "completed");
  (void)daemon->result("job.retry", with_id(id));
  daemon->until(id, "completed");
}

void a_queue_runs_as_many_as_it_says_and_higher_priorities_first(void**) {
  Watcher watcher(*daemon);
  const std::string first = daemon->submit("wait", daemon->gate("order") + R"(,"queue":"one")");
  const std::string low = daemon->submit("echo", R"(,"queue":"one","priority":-5)");
  const std::string high = daemon->submit("echo", R"(,"queue":"one","priority":9)");
  const std::string middle = daemon->submit("echo", R"(,"queue":"one")");
  daemon->until(first, "running");
  const Json queues = daemon->result("queue.list", "{}");
  JsonView one;
  for (JsonView queue = queues.view().get("queues").first(); queue.exists(); queue = queue.next())
    if (queue.get("name").string() == "one") one = queue;
  assert_int_equal(*one.get("running").integer(), 1);
  assert_int_equal(*one.get("queued").integer(), 3);
  assert_int_equal(*one.get("concurrency").integer(), 1);
  daemon->touch("order");
  watcher.until(low, JobState::completed);
  std::vector<std::string> order;
  unsigned running = 0;
  for (const Seen& seen : watcher.seen()) {
    if (seen.state == JobState::running && (order.empty() || order.back() != seen.job)) {
      order.push_back(seen.job);
      assert_int_equal(++running, 1);
    }
    if (is_terminal(seen.state)) --running;
  }
  assert_true((order == std::vector{first, high, middle, low}));
}

void a_full_queue_refuses(void**) {
  std::vector<std::string> ids;
  const auto keyed = [](int i) { return daemon->gate("full") + R"(,"queue":"tiny","idempotency_key":"full)" + std::to_string(i) + R"(")"; };
  for (int i = 0; i < 3; ++i) {
    ids.push_back(daemon->submit("wait", keyed(i)));
    if (i == 0) daemon->until(ids[0], "running");
  }
  // Whoever repeats a submit hears of the job that it made, however full the queue is since.
  for (size_t i = 0; i < 3; ++i) assert_string_equal(daemon->submit("wait", keyed(static_cast<int>(i))).c_str(), ids[i].c_str());
  const Error full = daemon->error("job.submit", R"({"kind":"wait","owner":"alice","queue":"tiny","args":{"file":"x"}})");
  assert_int_equal(static_cast<int>(full.code), static_cast<int>(Errc::full));
  daemon->touch("full");
  for (const auto& id : ids) daemon->until(id, "completed");
}

void the_place_in_the_queue_is_kept_true(void**) {
  const std::string first = daemon->submit("wait", daemon->gate("place1") + R"(,"queue":"one")");
  const std::string second = daemon->submit("wait", daemon->gate("place2") + R"(,"queue":"one")");
  const std::string third = daemon->submit("wait", daemon->gate("place2") + R"(,"queue":"one")");
  assert_int_equal(*daemon->job(third).view().get("waiting").get("position").integer(), 2);
  daemon->touch("place1");
  until("the third is the next", [&] { return daemon->job(third).view().get("waiting").get("position").integer() == 1; });
  daemon->touch("place2");
  daemon->until(third, "completed");
}

void a_reader_sees_every_change_in_order_with_the_bytes_of_the_answers(void**) {
  Watcher watcher(*daemon);
  const std::string id = daemon->submit("percent", daemon->gate("percent"));
  until("progress", [&] { return daemon->job(id).view().get("progress").get("percent").number().value_or(0) > 0; });
  const std::string get = daemon->raw("job.get", with_id(id));
  daemon->touch("percent");
  watcher.until(id, JobState::completed);
  const std::string end = daemon->raw("job.get", with_id(id)), list = daemon->raw("job.list", R"({"limit":1})");

  uint64_t last = 0;
  double percent = 0;
  unsigned completed = 0;
  std::vector<JobState> states;
  bool same_bytes = false;
  for (const Seen& seen : watcher.seen()) {
    assert_true(seen.rev > last);  // over all jobs
    last = seen.rev;
    if (seen.job != id) continue;
    assert_string_equal(seen.owner.c_str(), "alice");
    const auto snapshot = Json::parse(seen.snapshot);
    assert_int_equal(*snapshot->view().get("rev").integer(), seen.rev);
    const double now_at = snapshot->view().get("progress").get("percent").number().value_or(0);
    assert_true(now_at >= percent);
    percent = now_at;
    if (states.empty() || states.back() != seen.state) states.push_back(seen.state);
    completed += seen.state == JobState::completed;
    same_bytes |= R"({"job":)" + seen.snapshot + "}" == get;
  }
  assert_true((states == std::vector{JobState::queued, JobState::running, JobState::completed}));
  assert_int_equal(completed, 1);
  assert_true(same_bytes);
  const std::string& last_bytes = watcher.seen().back().snapshot;
  assert_string_equal((R"({"job":)" + last_bytes + "}").c_str(), end.c_str());
  assert_non_null(strstr(list.c_str(), (R"({"jobs":[)" + last_bytes).c_str()));
  bool in_table = false;
  for (const Seen& slot : watcher.table()) in_table |= slot.snapshot == last_bytes;
  assert_true(in_table);
}

void one_attachment_a_connection(void**) {
  assert_true(daemon->client().attach().ok());
  const auto again = daemon->client().attach();
  assert_int_equal(static_cast<int>(again.error().code), static_cast<int>(Errc::invalid));
  const auto readers = [&] { return *daemon->result("engine.stats", "{}").view().get("lane").get("readers").integer(); };
  assert_int_equal(readers(), 1);
  daemon->disconnect();
  until("the reader's place is free again", [&] { return readers() == 0; });
}

void a_process_has_half_of_the_readers_places_and_no_more(void**) {
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 8; ++i) watchers.push_back(std::make_unique<Watcher>(*daemon));
  const auto refused = daemon->client().attach();
  assert_int_equal(static_cast<int>(refused.error().code), static_cast<int>(Errc::full));
  watchers.clear();
  until("the places are free again", [&] { return daemon->client().attach().ok() || (daemon->disconnect(), false); });
  daemon->disconnect();
}

void the_stats_add_up(void**) {
  const Json before = daemon->result("engine.stats", "{}");
  daemon->until(daemon->submit("echo"), "completed");
  const Json after = daemon->result("engine.stats", "{}");
  const auto of = [](const Json& stats, const char* group, const char* key) { return *stats.view().get(group).get(key).integer(); };
  assert_int_equal(of(after, "totals", "completed"), of(before, "totals", "completed") + 1);
  assert_int_equal(of(after, "totals", "submitted"), of(before, "totals", "submitted") + 1);
  assert_int_equal(of(after, "jobs", "completed"), of(before, "jobs", "completed") + 1);
  assert_int_equal(of(after, "jobs", "running"), 0);
  assert_true(of(after, "lane", "records") >= of(before, "lane", "records") + 3);
  assert_true(of(after, "store", "commits") > of(before, "store", "commits"));
  assert_int_equal(*after.view().get("pid").integer(), daemon->pid());
  assert_int_equal(*after.view().get("boot").integer(), 1);
  Watcher watcher(*daemon);
  char epoch[17];
  snprintf(epoch, sizeof epoch, "%016llx", static_cast<unsigned long long>(watcher.epoch()));
  assert_string_equal(text(after.view().get("epoch")).c_str(), epoch);
}

// Names in a shape such as `{job_id, states?: [string], limit?: 1–200 (50)}`: what stands behind `{` or `,`.
std::vector<std::string> names_in(std::string_view shape) {
  std::vector<std::string> out;
  for (size_t at = 0; at < shape.size(); ++at) {
    if (shape[at] != '{' && shape[at] != ',') continue;
    const size_t start = shape.find_first_not_of(" \n", at + 1);
    const size_t end = start == std::string_view::npos ? start : shape.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", start);
    if (end != std::string_view::npos && end > start) out.emplace_back(shape.substr(start, end - start));
  }
  return out;
}

// docs/control-protocol.md, held against the running engine.
void the_document_names_every_parameter_and_every_figure(void**) {
  const char* const source = getenv("JOBCAST_SOURCE");
  const auto document = read_file(std::string(source ? source : ".") + "/docs/control-protocol.md", 1 << 20);
  assert_true(document.ok());
  unsigned methods = 0;
  for (size_t at = document->find("\n### "); at != std::string::npos; at = document->find("\n### ", at + 1), ++methods) {
    const size_t name_at = at + 5, line = document->find('\n', name_at);
    const std::string method = document->substr(name_at, line - name_at), shape = document->substr(line, document->find("→", line) - line);
    for (const std::string& parameter : names_in(shape)) {
      std::string params = "{\"" + parameter + "\":null";  // known, as if it were not given
      if (shape.find("{job_id") != std::string::npos && parameter != "job_id")
        params += R"(,"job_id":"0192f0c1-0000-7000-8000-000000000000")";
      if (method == "job.submit" && parameter != "kind" && parameter != "owner") params += R"(,"kind":"echo","owner":"reader")";
      const auto answer = daemon->client().call(method, *Json::parse(params + "}"));
      if (!answer && answer.error().detail.find("not known") != std::string::npos)
        fail_msg("%s does not know %s", method.c_str(), parameter.c_str());
    }
  }
  assert_int_equal(methods, 11);

  const size_t start = document->find("{version, pid");
  const auto listed = names_in(std::string_view(*document).substr(start, document->find("}}`", start) + 1 - start));
  const std::set<std::string> documented(listed.begin(), listed.end());
  std::set<std::string> real;
  const Json stats = daemon->result("engine.stats", "{}");
  for (JsonView one = stats.view().first(); one.exists(); one = one.next()) {
    real.emplace(one.key());
    for (JsonView inner = one.first(); inner.exists(); inner = inner.next()) real.emplace(inner.key());
  }
  assert_true(documented == real);
}

void the_socket_and_the_state_are_closed_to_others(void**) {
  struct stat info = {};
  assert_int_equal(stat(daemon->socket().c_str(), &info), 0);
  assert_int_equal(info.st_mode & 07777, 0660);
  assert_int_equal(stat(daemon->file("state").c_str(), &info), 0);
  assert_int_equal(info.st_mode & 07777, 0700);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_job_runs_and_keeps_its_result_and_log),
      cmocka_unit_test(a_job_that_fails_says_why),
      cmocka_unit_test(a_failing_job_is_tried_again_up_to_its_attempts),
      cmocka_unit_test(what_is_wrong_with_a_submit_is_said_by_name),
      cmocka_unit_test(wrong_parameters_of_the_other_methods_are_refused),
      cmocka_unit_test(an_absent_job_is_not_found),
      cmocka_unit_test(another_owners_job_looks_absent_running_or_over),
      cmocka_unit_test(the_list_is_newest_first_filtered_and_paged),
      cmocka_unit_test(a_waiting_job_is_cancelled_at_once),
      cmocka_unit_test(a_running_job_is_cancelled_by_the_ladder),
      cmocka_unit_test(a_completed_job_stays_completed),
      cmocka_unit_test(a_failed_job_is_retried_by_hand),
      cmocka_unit_test(a_job_in_backoff_is_retried_at_once),
      cmocka_unit_test(a_scheduled_job_starts_when_its_time_has_come),
      cmocka_unit_test(the_same_idempotency_key_answers_the_same_job),
      cmocka_unit_test(a_unique_key_answers_the_job_that_is_not_over),
      cmocka_unit_test(a_queue_runs_as_many_as_it_says_and_higher_priorities_first),
      cmocka_unit_test(a_full_queue_refuses),
      cmocka_unit_test(the_place_in_the_queue_is_kept_true),
      cmocka_unit_test(a_reader_sees_every_change_in_order_with_the_bytes_of_the_answers),
      cmocka_unit_test(one_attachment_a_connection),
      cmocka_unit_test(a_process_has_half_of_the_readers_places_and_no_more),
      cmocka_unit_test(the_stats_add_up),
      cmocka_unit_test(the_document_names_every_parameter_and_every_figure),
      cmocka_unit_test(the_socket_and_the_state_are_closed_to_others),
  };
  return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
