// The store as the engine uses it: what was answered is there after reopening, keys are kept, nothing stale gets in.
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>
#include <fstream>
#include <vector>

#include "engine/snapshot.h"
#include "tests/engine/store_fixture.h"

namespace {

std::atomic<int> syncs{0};

}  // namespace

// SQLite's calls to these come here first, so that they can be counted.
extern "C" [[gnu::visibility("default")]] int fsync(int fd) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fsync, fd));
}
extern "C" [[gnu::visibility("default")]] int fdatasync(int fd) {
  ++syncs;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}

namespace {

using namespace jobcast::engine;
using jobcast::Errc;
using jobcast::JobId;
using jobcast::JobState;
using jobcast::Result;
using jobcast::engine::insert;

void same_job(const Job& a, const Job& b) {
  assert_string_equal(encode_snapshot(a, std::nullopt).c_str(), encode_snapshot(b, std::nullopt).c_str());
  assert_string_equal(a.args_json.c_str(), b.args_json.c_str());
  assert_string_equal(a.result_json.c_str(), b.result_json.c_str());
  assert_string_equal(a.unique_key.c_str(), b.unique_key.c_str());
  assert_string_equal(a.idempotency_key.c_str(), b.idempotency_key.c_str());
  assert_int_equal(a.crashes, b.crashes);
  assert_int_equal(a.fence, b.fence);
  assert_int_equal(a.run_at_ms, b.run_at_ms);
}

Job full_job() {
  Job job = new_job();
  job.priority = -7;
  job.rev = 0xffff'fff9;  // of boot 0: nothing was loaded
  job.attempt = 2;
  job.max_attempts = 5;
  job.crashes = 1;
  job.fence = 0xffff'fff8;
  job.run_at_ms = 1234;
  job.state = JobState::running;
  job.started_ms = 1795440000123;
  job.progress = {UINT64_MAX, 10, 99.5, 0.25, 1500, "flop", "half\nway ü"};
  job.cancel = CancelRequest{1795440000124, "bob", 1795440000125};
  job.reason = Reason::timeout;
  job.exit_code = -1;
  job.error = "it broke";
  job.args_json = R"({"hands":["AsAhKsKh"]})";
  job.meta_json = R"({"m":1})";
  job.unique_key = "u";
  job.idempotency_key = "i";
  return job;
}

void every_member_of_a_job_survives_reopening(void**) {
  const Job job = full_job();
  Job bare = new_job();
  {
    auto store = open_store();
    assert_true(insert(*store, job)->created);
    assert_true(insert(*store, bare)->created);
  }
  auto store = open_store();
  const auto loaded = store->load(10);
  assert_int_equal(loaded->live.size(), 2);
  same_job(loaded->live[0], job);
  same_job(loaded->live[1], bare);
  same_job(*get(*store, job.id), job);
}

void every_member_that_may_change_is_updated(void**) {
  auto store = open_store();
  Job job = new_job();
  assert_true(insert(*store, job).ok());
  const Job full = full_job();
  Job changed = full;
  changed.id = job.id;  // what never changes stays as it was inserted
  changed.priority = job.priority;
  changed.created_ms = job.created_ms;
  changed.args_json = job.args_json;
  changed.meta_json = job.meta_json;
  changed.unique_key = changed.idempotency_key = "";
  assert_true(update(*store, changed).ok());
  same_job(*get(*store, job.id), changed);
  assert_int_equal(update(*store, new_job()).error().code, Errc::not_found);
}

void boot_is_counted_up_by_every_load(void**) {
  const uint32_t first = open_store()->load(0)->boot;
  assert_true(first >= 1);
  assert_int_equal(open_store()->load(0)->boot, first + 1);
}

void a_further_boot_is_counted_as_durably(void**) {
  auto store = open_store();
  const uint32_t first = store->load(0)->boot;
  assert_int_equal(*answer_of<uint32_t>(*store, [&](auto done) { store->count_boot(done); }), first + 1);
  store.reset();
  assert_int_equal(open_store()->load(0)->boot, first + 2);
}

void jobs_are_counted_by_state(void**) {
  auto store = open_store();
  for (const JobState state : {JobState::queued, JobState::queued, JobState::failed}) {
    Job job = new_job();
    job.state = state;
    assert_true(insert(*store, job).ok());
  }
  const auto counts = answer_of<std::array<int64_t, 8>>(*store, [&](auto done) { store->count(done); });
  assert_true((*counts == std::array<int64_t, 8>{0, 0, 2, 0, 0, 0, 1, 0}));
}

void the_file_is_its_owners_alone(void**) {
  auto store = open_store();
  assert_true(insert(*store, new_job()).ok());
  for (const char* suffix : {"", "-wal"}) {
    struct stat info = {};
    assert_int_equal(stat((store_path() + suffix).c_str(), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
  }
}

void an_idempotency_key_names_the_job_it_made(void**) {
  auto store = open_store();
  Job first = new_job();
  first.idempotency_key = "k1";
  first.args_json = R"({"a":1})";
  Job again = first;
  again.id = new_job().id;
  // Both wait for the same commit.
  std::optional<Result<Store::Inserted>> made, named;
  store->insert(first, [&](auto result) { made.emplace(std::move(result)); });
  store->insert(again, [&](auto result) { named.emplace(std::move(result)); });
  deliver_until(*store, [&] { return made && named; });
  assert_true((*made)->created);
  assert_false((*named)->created);
  assert_true((*named)->job.id == first.id);

  Job other = again;
  other.args_json = R"({"a":2})";
  const auto refused = insert(*store, other);
  assert_int_equal(refused.error().code, Errc::invalid);
  assert_string_equal(refused.error().field.c_str(), "idempotency_key");
  other = again;
  other.owner = "bob";
  assert_true(insert(*store, other)->created);
  Job over = first;
  over.state = JobState::completed;
  over.finished_ms = 1;
  assert_true(update(*store, over).ok());
  again.id = new_job().id;
  assert_true(insert(*store, again)->job.id == first.id);  // also when it is over
}

void a_unique_key_names_the_job_that_is_not_over(void**) {
  auto store = open_store();
  Job first = new_job();
  first.unique_key = "only";
  assert_true(insert(*store, first)->created);
  Job second = first;
  second.id = new_job().id;
  assert_false(insert(*store, second)->created);
  Job other_kind = second;
  other_kind.kind = "flash";
  other_kind.id = new_job().id;
  assert_true(insert(*store, other_kind)->created);
  first.state = JobState::failed;
  first.finished_ms = 1;
  assert_true(update(*store, first).ok());
  assert_true(insert(*store, second)->created);

  // Retried by hand, the first would live beside the second.
  first.state = JobState::queued;
  first.finished_ms.reset();
  std::optional<Result<void>> refused, neighbour;
  store->update(first, std::nullopt, [&](auto result) { refused.emplace(std::move(result)); });
  other_kind.rev = 77;
  store->update(other_kind, std::nullopt, [&](auto result) { neighbour.emplace(std::move(result)); });
  deliver_until(*store, [&] { return refused && neighbour; });
  assert_int_equal(refused->error().code, Errc::invalid);
  assert_string_equal(refused->error().field.c_str(), "unique_key");
  assert_true(neighbour->ok());  // of the same commit, and not harmed
  assert_int_equal(get(*store, other_kind.id)->rev, 77);
  assert_int_equal(get(*store, first.id)->state, JobState::failed);
}

void the_proof_of_an_attempt_lives_as_long_as_the_attempt(void**) {
  Job job = new_job();
  {
    auto store = open_store();
    assert_true(insert(*store, job).ok());
    job.state = JobState::running;
    job.fence = 5;
    assert_true(update(*store, job, Attempt{job.id, 5, 4711, 99887766, "boot-id", "/sys/fs/cgroup/x"}).ok());
    job.progress.done = 1;
    assert_true(update(*store, job).ok());  // a running job keeps it
  }
  const auto proof_of = [&](const Loaded& loaded) {
    return std::count_if(loaded.attempts.begin(), loaded.attempts.end(), [&](const Attempt& a) { return a.job == job.id; });
  };
  {
    auto store = open_store();
    const auto loaded = store->load(0);
    assert_int_equal(proof_of(*loaded), 1);
    const Attempt& proof = loaded->attempts.back();
    assert_int_equal(proof.fence, 5);
    assert_int_equal(proof.pid, 4711);
    assert_int_equal(proof.start_ticks, 99887766);
    assert_string_equal(proof.boot_id.c_str(), "boot-id");
    assert_string_equal(proof.cgroup.c_str(), "/sys/fs/cgroup/x");
    job.state = JobState::retrying;
    assert_true(update(*store, job).ok());
  }
  assert_int_equal(proof_of(*open_store()->load(0)), 0);
}

void progress_of_a_job_that_is_over_or_of_a_stale_attempt_changes_nothing(void**) {
  auto store = open_store();
  Job job = new_job();
  job.state = JobState::running;
  job.fence = 5;
  assert_true(insert(*store, job).ok());
  Job report = job;
  report.progress = {50, 100, 50.0, std::nullopt, std::nullopt, "flop", ""};
  report.rev = 12;
  store->update_progress(report);
  same_job(*get(*store, job.id), report);
  Job stale = report;
  stale.fence = 4;
  stale.progress.done = 99;
  store->update_progress(stale);
  same_job(*get(*store, job.id), report);
  job.state = JobState::completed;
  job.finished_ms = 1;
  assert_true(update(*store, job).ok());
  store->update_progress(report);
  same_job(*get(*store, job.id), job);
}

void a_large_result_is_read_only_where_it_is_asked_for(void**) {
  Job small = new_job(), large = new_job();
  {
    auto store = open_store();
    for (Job* job : {&small, &large}) {
      assert_true(insert(*store, *job).ok());
      job->state = JobState::completed;
      job->finished_ms = INT64_MAX - 1;
      job->result_json = "\"" + std::string(job == &small ? 10 : 300'000, 'r') + "\"";
      job->result_bytes = job->result_json.size();
      assert_true(update(*store, *job).ok());
    }
  }
  auto store = open_store();
  const auto loaded = store->load(2);
  for (const Job& each : loaded->finished) {
    const bool is_small = each.id == small.id;
    assert_int_equal(each.result_json.size(), is_small ? 12 : 0);
    assert_int_equal(each.result_bytes, is_small ? 12 : 300'002);
    assert_true(update(*store, each).ok());  // what was left out stays
  }
  same_job(*get(*store, large.id), large);
}

void a_list_is_newest_first_filtered_and_continued(void**) {
  auto store = open_store();
  std::vector<Job> jobs;
  for (int i = 0; i < 6; ++i) {
    Job job = new_job("lister");
    job.kind = i % 2 ? "odd" : "even";
    job.queue = i < 3 ? "low" : "high";
    job.state = i == 5 ? JobState::running : JobState::queued;
    job.args_json = R"({"large":true})";
    assert_true(insert(*store, job).ok());
    jobs.push_back(job);
  }
  const auto listed = [&](ListFilter filter) {
    std::string out;
    const auto found = answer_of<std::vector<Job>>(*store, [&](auto done) { store->list(filter, done); });
    for (const Job& job : *found)
      for (size_t i = 0; i < jobs.size(); ++i)
        if (jobs[i].id == job.id) out += static_cast<char>('0' + i);
    return out;
  };
  ListFilter filter;
  filter.owner = "lister";
  assert_string_equal(listed(filter).c_str(), "543210");
  filter.limit = 2;
  assert_string_equal(listed(filter).c_str(), "54");
  filter.before = jobs[4].id;
  assert_string_equal(listed(filter).c_str(), "32");
  filter = {.owner = "lister", .kind = "odd", .queue = "", .states = {}, .before = {}};
  assert_string_equal(listed(filter).c_str(), "531");
  filter.queue = "high";
  assert_string_equal(listed(filter).c_str(), "53");
  filter.states = {JobState::running, JobState::failed};
  assert_string_equal(listed(filter).c_str(), "5");
  filter = {.owner = "nobody", .kind = "", .queue = "", .states = {}, .before = {}};
  assert_string_equal(listed(filter).c_str(), "");
  filter = {.owner = "", .kind = "even", .queue = "low", .states = {}, .before = {}};
  assert_string_equal(listed(filter).c_str(), "20");
}

std::vector<JobId> retain(Store& store, int64_t count_max, int64_t before_ms) {
  return *answer_of<std::vector<JobId>>(store, [&](auto done) { store.retain({.count_max = count_max, .now = {0, before_ms}}, done); });
}

void retention_takes_the_oldest_finished_jobs_by_count_and_by_age(void**) {
  auto store = open_store();
  std::vector<Job> jobs;
  for (int i = 0; i < 5; ++i) {
    Job job = new_job();
    job.state = i == 4 ? JobState::queued : JobState::cancelled;
    if (i < 4) job.finished_ms = 1000 + 100 * i;
    job.args_json = R"({"a":1})";
    job.idempotency_key = "retained" + std::to_string(i);
    assert_true(insert(*store, job).ok());
    jobs.push_back(job);
  }
  assert_true(retain(*store, 4, 1000).empty());
  assert_true(retain(*store, 3, 0) == std::vector{jobs[0].id});
  assert_true(retain(*store, 3, 1150) == std::vector{jobs[1].id});
  assert_int_equal(get(*store, jobs[1].id).error().code, Errc::not_found);
  assert_true(retain(*store, 0, 0).size() == 2);
  assert_true(get(*store, jobs[4].id).ok());  // what is not over is never taken
  Job again = new_job();
  again.idempotency_key = "retained0";
  assert_true(insert(*store, again)->created);
}

void answers_come_in_the_order_of_the_calls_and_share_commits(void**) {
  auto store = open_store();
  constexpr int kCalls = 3000;
  const auto before = store->stats();
  std::vector<int> order;
  for (int i = 0; i < kCalls; ++i) {
    if (i % 3 == 2)
      store->list({}, [&, i](auto) { order.push_back(i); });
    else
      store->insert(new_job(), [&, i](auto result) {
        assert_true(result.ok());
        order.push_back(i);
      });
  }
  deliver_until(*store, [&] { return order.size() == kCalls; });
  assert_true(std::is_sorted(order.begin(), order.end()));
  const auto after = store->stats();
  assert_int_equal(after.rows - before.rows, kCalls * 2 / 3);
  assert_in_range(after.commits - before.commits, 1, kCalls / 10);
  assert_int_equal(store->queue_length(), 0);
}

void every_commit_reaches_the_disk_before_its_answer(void**) {
  auto store = open_store();
  for (int i = 1; i <= 5; ++i) {
    const int before = syncs;
    assert_true(insert(*store, new_job()).ok());
    assert_true(syncs > before);
  }
}

void too_many_calls_are_refused_but_never_an_update(void**) {
  auto store = open_store();
  Job job;
  for (int i = 0; i < 20; ++i) assert_true(insert(*store, job = new_job()).ok());  // so that a list takes longer than asking for it
  size_t good = 0, full = 0;
  std::optional<Result<void>> updated;
  constexpr size_t kCalls = Store::kQueueMax * 4;
  for (size_t i = 0; i < kCalls; ++i) {
    if (i == kCalls - 1) store->update(job, std::nullopt, [&](auto result) { updated.emplace(std::move(result)); });
    store->list({}, [&](auto result) { ++(result.ok() ? good : full); });
    assert_true(store->queue_length() <= Store::kQueueMax + 1);
  }
  deliver_until(*store, [&] { return good + full == kCalls && updated; });
  assert_true(updated->ok());
  assert_true(good > 0);
  assert_true(full > 0);
}

void a_call_from_within_an_answer_is_answered_too(void**) {
  auto store = open_store();
  const Job job = new_job();
  bool found = false;
  store->insert(job, [&](auto) { store->get(job.id, [&](auto result) { found = result.ok(); }); });
  deliver_until(*store, [&] { return found; });
}

void closing_commits_what_is_queued(void**) {
  const Job job = new_job();
  {
    auto store = open_store();
    for (int i = 0; i < 100; ++i) store->insert(new_job(), [](auto) { fail(); });
    store->insert(job, [](auto) { fail(); });
  }
  auto store = open_store();
  assert_true(get(*store, job.id).ok());
}

void a_write_that_fails_is_answered_and_the_next_one_works(void**) {
  auto store = open_store();
  Job before = new_job(), lost = new_job(), after = new_job();
  assert_true(insert(*store, before).ok());
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit none{0, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &none);  // as if the disk had no room
  const auto failed = insert(*store, lost);
  setrlimit(RLIMIT_FSIZE, &limit);
  assert_false(failed.ok());
  assert_true(failed.error().code == Errc::full || failed.error().code == Errc::internal);
  assert_non_null(strstr(failed.error().detail.c_str(), store_path().c_str()));
  assert_true(insert(*store, after).ok());
  assert_true(get(*store, before.id).ok());
  assert_int_equal(get(*store, lost.id).error().code, Errc::not_found);
}

}  // namespace

void retention_deletes_nothing_by_age_that_was_done_before_the_clock_was_set(void**) {
  constexpr int64_t kWeek = 7LL * 86'400'000, kSet = 1'900'000'000'000;
  auto store = open_store();
  std::vector<Job> jobs;
  for (int64_t finished : {5000, 6000}) {  // in 1970, as the machine believed
    Job job = new_job();
    job.state = JobState::completed;
    job.finished_ms = finished;
    assert_true(insert(*store, job).ok());
    jobs.push_back(job);
  }
  const auto retained = [&](int64_t unix_ms, bool wall_set, bool clock_was_set = false, int64_t count_max = 10) {
    const Store::Retention by{count_max, kWeek, {0, unix_ms, wall_set}, clock_was_set};
    return *answer_of<std::vector<JobId>>(*store, [&](auto done) { store->retain(by, done); });
  };
  assert_true(retained(7000, false).empty());
  assert_true(retained(kSet, true).empty());
  assert_true(retained(kSet + kWeek - 1, true).empty());
  store.reset();
  store = open_store();  // it remembers since when ages count
  assert_true(retained(kSet + kWeek - 1, true).empty());
  assert_int_equal(retained(kSet + kWeek, true).size(), 2);
}

void retention_counts_ages_anew_when_the_clock_is_set_forward_by_50_years(void**) {
  constexpr int64_t kWeek = 7LL * 86'400'000, kThen = 1'900'000'000'000, kLater = kThen + 50LL * 365 * 86'400'000;
  auto store = open_store();
  Job job = new_job();
  job.state = JobState::completed;
  job.finished_ms = kThen;
  assert_true(insert(*store, job).ok());
  const auto retained = [&](int64_t unix_ms, bool clock_was_set) {
    const Store::Retention by{10, kWeek, {0, unix_ms}, clock_was_set};
    return answer_of<std::vector<JobId>>(*store, [&](auto done) { store->retain(by, done); })->size();
  };
  assert_int_equal(retained(kThen + 1000, false), 0);
  assert_int_equal(retained(kLater, true), 0);
  assert_int_equal(retained(kLater + kWeek - 1, false), 0);
  assert_int_equal(retained(kLater + kWeek, false), 1);
}

void retention_by_count_takes_what_changed_first_while_ages_cannot_be_told(void**) {
  auto store = open_store();
  Job older = new_job(), newer = new_job();
  older.state = newer.state = JobState::completed;
  older.rev = 10;
  older.finished_ms = 1'900'000'000'000;
  newer.rev = 20;
  newer.finished_ms = 5000;  // after a start without a clock
  assert_true(insert(*store, older).ok() && insert(*store, newer).ok());
  const Store::Retention by{1, 1000, {0, 6000, false}, false};
  const auto gone = answer_of<std::vector<JobId>>(*store, [&](auto done) { store->retain(by, done); });
  assert_true(*gone == std::vector{older.id});
}

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(retention_deletes_nothing_by_age_that_was_done_before_the_clock_was_set),
      cmocka_unit_test(retention_counts_ages_anew_when_the_clock_is_set_forward_by_50_years),
      cmocka_unit_test(retention_by_count_takes_what_changed_first_while_ages_cannot_be_told),
      cmocka_unit_test_setup(every_member_of_a_job_survives_reopening, no_store_yet),
      cmocka_unit_test_setup(every_member_that_may_change_is_updated, no_store_yet),
      cmocka_unit_test_setup(boot_is_counted_up_by_every_load, no_store_yet),
      cmocka_unit_test_setup(a_further_boot_is_counted_as_durably, no_store_yet),
      cmocka_unit_test_setup(jobs_are_counted_by_state, no_store_yet),
      cmocka_unit_test_setup(the_file_is_its_owners_alone, no_store_yet),
      cmocka_unit_test_setup(an_idempotency_key_names_the_job_it_made, no_store_yet),
      cmocka_unit_test_setup(a_unique_key_names_the_job_that_is_not_over, no_store_yet),
      cmocka_unit_test_setup(the_proof_of_an_attempt_lives_as_long_as_the_attempt, no_store_yet),
      cmocka_unit_test_setup(progress_of_a_job_that_is_over_or_of_a_stale_attempt_changes_nothing, no_store_yet),
      cmocka_unit_test_setup(a_large_result_is_read_only_where_it_is_asked_for, no_store_yet),
      cmocka_unit_test_setup(a_list_is_newest_first_filtered_and_continued, no_store_yet),
      cmocka_unit_test_setup(retention_takes_the_oldest_finished_jobs_by_count_and_by_age, no_store_yet),
      cmocka_unit_test_setup(answers_come_in_the_order_of_the_calls_and_share_commits, no_store_yet),
      cmocka_unit_test_setup(every_commit_reaches_the_disk_before_its_answer, no_store_yet),
      cmocka_unit_test_setup(too_many_calls_are_refused_but_never_an_update, no_store_yet),
      cmocka_unit_test_setup(a_call_from_within_an_answer_is_answered_too, no_store_yet),
      cmocka_unit_test_setup(closing_commits_what_is_queued, no_store_yet),
      cmocka_unit_test_setup(a_write_that_fails_is_answered_and_the_next_one_works, no_store_yet),
  };
  return cmocka_run_group_tests(tests, make_store_directory, remove_store_directory);
}
