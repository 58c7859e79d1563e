// SSE: one job, or all of a user's, resumed by Last-Event-ID.
#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

std::vector<uint64_t> ids(Client& c, size_t bytes_max = 64 << 10) {
  std::vector<uint64_t> revs;
  for (const Heard& heard : c.read(bytes_max)) revs.push_back(heard.id.empty() ? 0 : std::stoull(heard.id));
  return revs;
}
using Ids = std::vector<uint64_t>;

void a_job_stream_begins_with_the_snapshot_and_resumes_after_an_id(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Client &fresh = w.stream("alice"), &resumed = w.stream("alice");
  fresh.session->follow_job(job(1), 0);
  resumed.session->follow_job(job(1), 10);
  const Heard first = fresh.read_one();
  assert_string_equal(first.event.c_str(), "job_update");
  assert_string_equal(first.id.c_str(), "10");
  assert_string_equal(first.data.c_str(), snapshot(job(1), 10, JobState::running, "alice").c_str());
  assert_int_equal(resumed.read().size(), 0);
  w.publish(1, 11, JobState::completed);
  w.publish(2, 12, JobState::completed);  // the user's room is not this stream's matter
  assert_true(ids(fresh) == Ids{11} && ids(resumed) == Ids{11});
}

void a_user_stream_brings_every_change_of_every_job_of_the_user(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Client& c = w.stream("alice");
  c.session->follow_user(0);
  assert_int_equal(c.read().size(), 0);
  w.publish(1, 11);
  w.publish(2, 12, JobState::queued);
  w.publish(3, 13, JobState::running, "bob");
  w.publish(1, 14, JobState::completed);
  const auto heard = c.read();
  assert_int_equal(heard.size(), 2);
  assert_string_equal(heard[0].event.c_str(), "job_update");
  assert_int_equal(rev_of(heard[0]), 12);
  assert_string_equal(heard[1].event.c_str(), "job_completed");
  assert_int_equal(rev_of(heard[1]), 14);
}

void a_user_stream_resumes_with_what_was_missed(void** state) {
  World& w = world_of(state);
  for (unsigned i = 1; i <= 5; ++i) w.publish(i, 10 + i, JobState::completed);
  Client& c = w.stream("alice");
  c.session->follow_user(13);
  assert_true(ids(c) == (Ids{14, 15}));
  Client& none = w.stream("alice");
  none.session->follow_user(15);
  assert_int_equal(none.read().size(), 0);
}

void a_change_that_arrives_late_with_a_lower_rev_is_neither_lost_nor_doubled(void** state) {
  World& w = world_of(state);
  Client& live = w.stream("alice");
  live.session->follow_user(0);
  w.publish(2, 11);
  assert_true(ids(live) == Ids{11});
  w.publish(1, 10, JobState::completed);  // its commit took longer
  assert_true(ids(live) == Ids{10});
  Client& resumed = w.stream("alice");  // had seen 11, and was away when 10 came
  resumed.session->follow_user(11);
  assert_true(ids(resumed) == Ids{10});
  w.publish(3, 12);
  Client& later = w.stream("alice");
  later.session->follow_user(12);
  assert_int_equal(later.read().size(), 0);
}

void a_user_stream_is_cut_between_frames_and_goes_on_in_order(void** state) {
  World& w = world_of(state);
  Client& c = w.stream("alice");
  c.session->follow_user(0);
  for (unsigned i = 1; i <= 50; ++i) w.publish(i, i);
  Ids seen;
  for (size_t turn = 0; c.asked; ++turn) {
    std::string out;
    c.asked = 0;
    if (c.session->collect(out, 400, w.clock)) c.asked = 1;
    for (const Heard& heard : decode_sse(out)) seen.push_back(std::stoull(heard.id));
    if (turn == 3) w.publish(2, 100);
    if (turn == 4) w.publish(49, 101);
  }
  assert_true(std::is_sorted(seen.begin(), seen.end()));
  assert_int_equal(seen.size(), 51);
  assert_int_equal(seen.back(), 101);
}

void a_rev_that_no_engine_of_this_life_gave_is_told_in_full(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  w.publish(2, 11, JobState::completed);
  Client &of_job = w.stream("alice"), &of_user = w.stream("alice"), &socket = w.user("alice");
  of_job.session->follow_job(job(1), 5000);
  of_user.session->follow_user(5000);
  socket.say("subscribe_job", job_data(1, ",\"rev\":5000"));
  assert_true(ids(of_job) == Ids{10});
  assert_true(of_user.events() == std::vector<std::string>{"job_list_update"});
  assert_true(socket.events() == (std::vector<std::string>{"subscribed", "job_update"}));
  Client& again = w.connect();
  again.login("alice", ",\"rev\":5000");
  w.publish(1, 12, JobState::completed);
  assert_true(ids(of_job) == Ids{12});
  w.hub->saw(40);  // as an answer gave it to a client, while the lane has not brought it yet
  Client& ahead = w.stream("alice");
  ahead.session->follow_user(40);
  assert_int_equal(ahead.read().size(), 0);
}

void an_engine_that_goes_on_from_an_older_copy_is_heard_by_those_who_stayed(void** state) {
  World& w = world_of(state);
  w.publish(1, 1000);
  w.publish(2, 1001);
  w.publish(3, 1002);
  Client &of_job = w.stream("alice"), &of_user = w.stream("alice"), &socket = w.user("alice");
  of_job.session->follow_job(job(1), 0);
  of_user.session->follow_user(0);
  for (unsigned number : {1U, 2U, 3U}) socket.say("subscribe_job", job_data(number));
  w.publish(2, 1003);
  for (Client* client : {&of_job, &of_user, &socket}) (void)client->read();

  w.hub->begin_anew();
  w.hub->begin_resync();
  w.publish(1, 10);  // the copy's state table, where job 2 is over and no longer shown, and job 3 was never made
  w.publish(4, 11, JobState::queued);
  const auto unseen = w.hub->end_resync(true, w.clock);
  assert_int_equal(unseen.size(), 2);
  w.found(2, 9, JobState::completed);
  w.not_found(3);
  assert_true(ids(of_job) == Ids{10});
  const auto heard = socket.events();
  for (const char* event : {"job_list_update", "job_update", "job_completed", "unsubscribed"})
    assert_true(std::find(heard.begin(), heard.end(), event) != heard.end());
  assert_true(of_user.events().front() == "job_list_update");
  w.publish(1, 12, JobState::completed);
  assert_true(ids(of_job) == Ids{12} && !of_user.read().empty());
  const auto end = socket.events();
  assert_true(std::find(end.begin(), end.end(), "job_completed") != end.end());
}

void a_user_stream_that_can_no_longer_be_resumed_says_fetch_the_list(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.topics_max = 2;
  w.limit(limits);
  for (unsigned i = 1; i <= 4; ++i) w.publish(i, 10 + i, JobState::completed);
  Client& c = w.stream("alice");
  c.session->follow_user(11);
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "job_list_update");
  assert_string_equal(heard.data.c_str(), R"({"rev":14,"job":null})");
  assert_string_equal(heard.id.c_str(), "14");  // from where the next resumption goes on
  w.publish(5, 15);
  assert_true(ids(c) == Ids{15});
}

void a_resync_is_streamed_in_the_order_of_revs(void** state) {
  World& w = world_of(state);
  Client& c = w.stream("alice");
  c.session->follow_user(0);
  w.publish(1, 10);
  assert_true(ids(c) == Ids{10});
  w.hub->begin_resync();
  w.publish(3, 30);
  w.publish(2, 20, JobState::completed);
  w.publish(1, 10);
  (void)w.hub->end_resync(true, w.clock);
  assert_true(ids(c) == (Ids{20, 30}));
  w.publish(2, 20, JobState::completed);
  assert_int_equal(c.read().size(), 0);
}

void a_user_streams_rate_is_bounded_but_news_and_ends_are_not_held(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.min_interval_ms = 1000;
  w.limit(limits);
  Client& c = w.stream("alice");
  c.session->follow_user(0);
  w.publish(1, 10);
  assert_true(ids(c) == Ids{10});
  w.publish(1, 11);
  w.pass(999);
  assert_int_equal(c.asked, 0);
  w.pass(1);
  assert_true(ids(c) == Ids{11});
  w.publish(1, 12);
  assert_int_equal(c.asked, 0);
  w.publish(2, 13);
  assert_true(ids(c) == (Ids{12, 13}));
  w.publish(2, 14);
  w.publish(2, 15, JobState::failed);
  assert_true(ids(c) == Ids{15});
}

void a_stream_ends_when_its_token_does(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Client& c = w.stream("alice", 100);
  c.session->follow_job(job(1), 10);
  w.pass(40'000);
  assert_string_equal(c.read_one().event.c_str(), "auth_expiring");
  w.pass(60'000);
  assert_true(c.closed == CloseReason::expired);
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "auth_error");
  assert_string_equal(member(heard, "code").c_str(), "token_expired");
  w.publish(1, 11);
  assert_int_equal(c.asked, 0);
}

void staleness_is_told_on_streams_too(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Client& c = w.stream("alice");
  c.session->follow_job(job(1), 10);
  w.hub->set_stale(true);
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "engine");
  assert_true(heard.id.empty());
}

void a_stream_that_begins_while_the_engine_is_away_says_so_first(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  w.hub->set_stale(true);
  Client &of_job = w.stream("alice"), &of_user = w.stream("alice");
  of_job.session->follow_job(job(1), 0);
  of_user.session->follow_user(0);
  assert_true(of_job.events() == (std::vector<std::string>{"engine", "job_update"}));
  assert_string_equal(of_user.read_one().data.c_str(), R"({"stale":true})");
  w.hub->set_stale(false);
  assert_string_equal(of_user.read_one().data.c_str(), R"({"stale":false})");
}

}  // namespace

void client_that_was_there_before_the_first_attach_gets_no_finished_job_of_the_table(void** state) {
  World& w = world_of(state);
  w.hub->start_fresh();
  Client &ws = w.user("alice"), &stream = w.stream("alice");
  stream.session->follow_user(0);
  (void)stream.read();
  w.hub->begin_resync();
  for (unsigned i = 1; i <= 5; ++i) w.publish(i, 10 + i, JobState::completed);
  assert_true(w.hub->end_resync(true, w.clock).empty());
  w.hub->set_stale(false);
  for (Client* c : {&ws, &stream}) {
    for (const Heard& heard : c->read()) {  // that the list is to be fetched, and that the engine is there
      assert_true(heard.event == "job_list_update" || heard.event == "engine");
      if (heard.event == "job_list_update") assert_string_equal(member(heard, "job").c_str(), "null");
    }
  }
  w.publish(6, 20, JobState::completed);  // what comes next
  assert_true(ids(stream) == Ids{20});
  const auto heard = ws.read();
  assert_true(std::ranges::any_of(heard, [](const Heard& h) { return h.event == "job_completed"; }));
}

void client_that_resumes_before_the_first_attach_gets_what_it_missed(void** state) {
  World& w = world_of(state);
  w.hub->start_fresh();
  Client &ws = w.connect(), &stream = w.stream("alice");
  ws.read();
  ws.say("authenticate", "{\"token\":\"" + w.token("alice") + "\",\"rev\":13}");
  ws.read();
  stream.session->follow_user(13);
  (void)stream.read();
  w.hub->begin_resync();
  for (unsigned i = 1; i <= 5; ++i) w.publish(i, 10 + i, JobState::completed);
  assert_true(w.hub->end_resync(true, w.clock).empty());
  assert_true(ids(stream) == (Ids{14, 15}));
  Ids ended;
  for (const Heard& heard : ws.read())
    if (heard.event == "job_completed") ended.push_back(rev_of(heard));
  std::ranges::sort(ended);
  assert_true(ended == (Ids{14, 15}));
}

int main() {
  const CMUnitTest tests[] = {
      TEST(client_that_was_there_before_the_first_attach_gets_no_finished_job_of_the_table),
      TEST(client_that_resumes_before_the_first_attach_gets_what_it_missed),
      TEST(a_job_stream_begins_with_the_snapshot_and_resumes_after_an_id),
      TEST(a_user_stream_brings_every_change_of_every_job_of_the_user),
      TEST(a_user_stream_resumes_with_what_was_missed),
      TEST(a_change_that_arrives_late_with_a_lower_rev_is_neither_lost_nor_doubled),
      TEST(a_user_stream_is_cut_between_frames_and_goes_on_in_order),
      TEST(a_rev_that_no_engine_of_this_life_gave_is_told_in_full),
      TEST(an_engine_that_goes_on_from_an_older_copy_is_heard_by_those_who_stayed),
      TEST(a_user_stream_that_can_no_longer_be_resumed_says_fetch_the_list),
      TEST(a_resync_is_streamed_in_the_order_of_revs),
      TEST(a_user_streams_rate_is_bounded_but_news_and_ends_are_not_held),
      TEST(a_stream_ends_when_its_token_does),
      TEST(staleness_is_told_on_streams_too),
      TEST(a_stream_that_begins_while_the_engine_is_away_says_so_first),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
