// Rooms and revs: who hears what, once, in which order.
#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

using Names = std::vector<std::string>;

void subscribing_gives_the_first_snapshot_at_once(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1), "5");
  const auto heard = c.read();
  assert_int_equal(heard.size(), 2);
  assert_string_equal(heard[0].event.c_str(), "subscribed");
  assert_string_equal(heard[0].data.c_str(), job_data(1, ",\"rev\":10").c_str());
  assert_string_equal(heard[0].id.c_str(), "5");
  assert_string_equal(heard[1].event.c_str(), "job_update");
  assert_string_equal(heard[1].data.c_str(), snapshot(job(1), 10, JobState::running, "alice").c_str());
  assert_true(heard[1].id.empty());
}

void resuming_with_a_rev_sends_only_what_is_newer(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1, ",\"rev\":10"));
  assert_true(c.events() == Names{"subscribed"});
  w.publish(1, 11);
  assert_int_equal(rev_of(c.read_one()), 11);
  c.say("unsubscribe_job", job_data(1));
  assert_true(c.events() == Names{"unsubscribed"});
  w.publish(1, 12);
  assert_int_equal(c.read().size(), 0);
  c.say("subscribe_job", job_data(1, ",\"rev\":11"));
  assert_int_equal(rev_of(c.read().back()), 12);
}

void an_unknown_job_is_fetched_once_for_all_who_ask(void** state) {
  World& w = world_of(state);
  Client &a = w.user("alice"), &b = w.user("alice"), &m = w.user("mallory");
  a.say("subscribe_job", job_data(1), "1");
  b.say("subscribe_job", job_data(1, ",\"rev\":5"), "2");
  m.say("subscribe_job", job_data(1), "3");
  assert_int_equal(w.fetches.size(), 1);
  w.found(1, 5, JobState::completed);
  assert_true(a.events() == (Names{"subscribed", "job_completed"}));
  assert_true(b.events() == Names{"subscribed"});
  assert_true(m.events() == Names{"error"});
  a.say("subscribe_job", job_data(1));  // again: nothing new
  assert_true(a.events() == Names{"subscribed"});
  assert_int_equal(w.fetches.size(), 1);
}

void a_fetch_that_one_users_bound_refuses_is_asked_again_in_the_turn_of_the_next(void** state) {
  World& w = world_of(state);
  Client& greedy = w.user("mallory");
  Client& other = w.user("alice");
  greedy.say("subscribe_job", job_data(1));
  other.say("subscribe_job", job_data(1));
  w.hub->fetched(job(1), {Errc::full, "this user has too many"}, w.clock);
  assert_string_equal(greedy.read_one().event.c_str(), "error");
  assert_true(w.fetch_users == std::vector<std::string>({"mallory", "alice"}));
  w.found(1, 10, JobState::running, "alice");
  assert_true(other.events() == (Names{"subscribed", "job_update"}));
}

void a_job_that_the_lane_brought_meanwhile_needs_no_fetch_to_succeed(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("subscribe_job", job_data(1));
  w.publish(1, 10);
  w.hub->fetched(job(1), {Errc::retry, "the engine went away"}, w.clock);
  assert_true(c.events() == (Names{"subscribed", "job_update"}));
}

void revs_only_grow(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  c.read();
  w.publish(1, 12);
  w.publish(1, 11);
  w.publish(1, 12);
  assert_int_equal(rev_of(c.read_one()), 12);
  w.publish(1, 9);
  assert_int_equal(c.read().size(), 0);
  assert_int_equal(w.hub->find(job(1))->rev, 12);
}

void the_terminal_snapshot_comes_once_though_the_session_is_in_both_rooms(void** state) {
  World& w = world_of(state);
  Client &c = w.user("alice"), &other = w.user("alice"), &bob = w.user("bob");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  c.read();
  w.publish(1, 11, JobState::completed);
  assert_true(c.events() == (Names{"job_list_update", "job_completed"}));
  assert_true(other.events() == (Names{"job_list_update", "job_completed"}));  // by the user's room alone
  assert_int_equal(bob.read().size(), 0);
  w.publish(1, 11, JobState::completed);
  assert_int_equal(c.read().size() + other.read().size(), 0);
}

void a_terminal_snapshot_that_the_room_brought_is_not_sent_again_on_subscribing(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 11, JobState::completed);
  c.read();
  c.say("subscribe_job", job_data(1, ",\"rev\":10"));  // as submitted, when it was not over yet
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "subscribed");
  assert_string_equal(heard.data.c_str(), job_data(1, ",\"rev\":11,\"job\":" + snapshot(job(1), 11, JobState::completed, "alice")).c_str());
  c.say("unsubscribe_job", job_data(1));
  c.read();
  c.say("subscribe_job", job_data(1));
  assert_true(c.events() == (Names{"subscribed", "job_completed"}));  // who unsubscribes has dropped it
}

void subscribing_while_the_rooms_terminal_waits_sends_it_once(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 11, JobState::completed);
  c.say("subscribe_job", job_data(1));
  assert_true(c.events() == (Names{"subscribed", "job_list_update", "job_completed"}));
  assert_int_equal(w.hub->stats().subscriptions, 1);
}

void a_retried_job_is_followed_on(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  w.publish(1, 11, JobState::failed);
  c.read();
  w.publish(1, 12, JobState::queued);
  assert_true(c.events() == (Names{"job_list_update", "job_update"}));
  w.publish(1, 13, JobState::completed);
  assert_true(c.events() == (Names{"job_list_update", "job_completed"}));
}

void a_retry_that_overtakes_the_rooms_terminal_leaves_the_list_update(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 11, JobState::failed);
  w.publish(1, 12, JobState::queued);
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "job_list_update");
  assert_string_equal(heard.data.c_str(), R"({"rev":12,"job":null})");
}

void list_updates_are_joined_for_who_does_not_read(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10, JobState::queued);
  assert_string_equal(c.read_one().data.c_str(), ("{\"rev\":10,\"job\":" + snapshot(job(1), 10, JobState::queued, "alice") + "}").c_str());
  w.publish(2, 11, JobState::queued);
  w.publish(3, 12, JobState::queued);
  assert_string_equal(c.read_one().data.c_str(), R"({"rev":12,"job":null})");
  w.publish(3, 13);  // mere progress
  assert_int_equal(c.read().size(), 0);
}

void a_slow_reader_gets_the_latest_of_each_and_the_end(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  for (unsigned i = 1; i <= 3; ++i) {
    w.publish(i, 10 + i);
    c.say("subscribe_job", job_data(i));
  }
  c.read();
  for (unsigned rev = 100; rev < 200; ++rev) w.publish(1 + rev % 3, rev);
  w.publish(2, 200, JobState::completed, "alice", 0);
  std::map<std::string, uint64_t> latest;
  const auto heard = c.read();
  for (const Heard& one : heard) latest[member(one, "job_id")] = rev_of(one);
  assert_int_equal(heard.size(), 3);
  assert_int_equal(latest[job(1).text()], 198);
  assert_int_equal(latest[job(2).text()], 200);
  assert_int_equal(latest[job(3).text()], 197);
}

void a_write_is_cut_between_frames_and_goes_on(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  for (unsigned i = 1; i <= 20; ++i) {
    w.publish(i, i);
    c.say("subscribe_job", job_data(i));
    c.say("ping");
  }
  std::map<std::string, uint64_t> last;
  size_t frames = 0;
  for (size_t room = 1; c.asked; room += 60) {
    std::string out;
    c.asked = 0;
    if (c.session->collect(out, room, w.clock)) c.asked = 1;
    const auto heard = decode_ws(out);
    assert_true(heard.size() == 1 || out.size() <= room);
    frames += heard.size();
    for (const Heard& one : heard)
      if (one.event == "job_update") {
        assert_true(rev_of(one) > last[member(one, "job_id")]);
        last[member(one, "job_id")] = rev_of(one);
      }
    if (room < 1000) w.publish(3, 1000 + room);  // changes under way are taken along
  }
  assert_int_equal(last.size(), 20);
  assert_true(frames >= 60);
  assert_true(last[job(3).text()] > 1000);
}

void the_minimum_interval_holds_updates_back_but_never_the_first_or_the_last(void** state) {
  World& w = world_of(state);
  Client &c = w.user("alice"), &eager = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1, ",\"min_interval_ms\":1000"));
  eager.say("subscribe_job", job_data(1));
  assert_int_equal(rev_of(c.read().back()), 10);
  eager.read();
  w.pass(500);
  w.publish(1, 11);
  assert_int_equal(rev_of(eager.read_one()), 11);
  assert_int_equal(c.asked, 0);
  w.publish(1, 12);
  w.pass(499);
  assert_int_equal(c.asked, 0);
  w.pass(1);
  assert_int_equal(rev_of(c.read_one()), 12);
  w.pass(10);
  w.publish(1, 13);
  w.publish(1, 14, JobState::failed, "alice", 0);
  assert_int_equal(rev_of(c.read_one()), 14);
  w.pass(5000);
  assert_int_equal(c.read().size(), 0);
}

void the_servers_floor_holds_for_all(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.min_interval_ms = 100;
  w.limit(limits);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1, ",\"min_interval_ms\":1"));
  c.read();
  unsigned updates = 0;
  for (uint64_t rev = 11; rev < 1011; ++rev) {
    w.pass(1);
    w.publish(1, rev);
    updates += static_cast<unsigned>(c.read().size());
  }
  assert_in_range(updates, 9, 11);
}

void a_session_has_so_many_subscriptions(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.subscriptions_per_session_max = 3;
  w.limit(limits);
  Client& c = w.user("alice");
  for (unsigned i = 1; i <= 5; ++i) w.publish(i, i);
  for (unsigned i = 1; i <= 3; ++i) c.say("subscribe_job", job_data(i));
  c.read();
  c.say("subscribe_job", job_data(4), "1");
  const Heard refused = c.read_one();
  assert_string_equal(member(refused, "code").c_str(), "full");
  c.say("subscribe_job", job_data(3));  // held already
  assert_true(c.events() == Names{"subscribed"});
  w.publish(2, 12, JobState::completed);
  c.read();
  c.say("subscribe_job", job_data(4));  // what has ended and was told makes room
  assert_true(c.events() == (Names{"subscribed", "job_update"}));
  c.say("unsubscribe_job", job_data(1));
  c.say("subscribe_job", job_data(5));
  assert_true(c.events() == (Names{"unsubscribed", "subscribed", "job_update"}));
  assert_int_equal(w.hub->stats().subscriptions, 3);
}

void staleness_is_told_and_taken_back(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.hub->set_stale(true);
  const Heard gone = c.read_one();
  assert_string_equal(gone.event.c_str(), "engine");
  assert_string_equal(gone.data.c_str(), R"({"stale":true})");
  Client& late = w.connect();
  assert_string_equal(member(late.read_one(), "stale").c_str(), "true");
  w.hub->set_stale(false);
  assert_string_equal(c.read_one().data.c_str(), R"({"stale":false})");
  w.hub->set_stale(true);
  w.hub->set_stale(false);
  assert_int_equal(c.read().size(), 0);  // nothing has changed for who looks now
}

void a_room_is_resumed_with_the_last_rev_seen(void** state) {
  World& w = world_of(state);
  w.publish(1, 10, JobState::completed);
  w.publish(2, 11, JobState::queued);
  Client& c = w.connect();
  c.read();
  c.login("alice", ",\"rev\":11");
  assert_int_equal(c.read().size(), 0);
  c.disconnect();
  w.publish(2, 12, JobState::completed);
  w.publish(3, 13, JobState::running);
  w.publish(4, 14, JobState::completed, "bob");
  Client& again = w.connect();
  again.read();
  again.say("authenticate", "{\"token\":\"" + w.token("alice") + "\",\"rev\":11}");
  const auto heard = again.read();
  assert_int_equal(heard.size(), 3);
  assert_string_equal(heard[0].event.c_str(), "authenticated");
  assert_int_equal(rev_of(heard[0]), 14);
  assert_string_equal(heard[1].data.c_str(), R"({"rev":14,"job":null})");
  assert_string_equal(heard[2].event.c_str(), "job_completed");
  assert_int_equal(rev_of(heard[2]), 12);
}

void a_slow_member_of_a_busy_room_is_told_to_fetch_the_list(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.subscriptions_per_session_max = 4;
  w.limit(limits);
  Client& c = w.user("alice");
  for (unsigned i = 1; i <= 10; ++i) w.publish(i, i, JobState::completed);
  const auto heard = c.read();
  assert_int_equal(heard.size(), 5);
  assert_string_equal(heard[0].data.c_str(), R"({"rev":10,"job":null})");
}

void old_finished_jobs_that_nobody_follows_are_dropped_first(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.topics_max = 4;
  w.limit(limits);
  Client& c = w.user("bob");
  w.publish(1, 1, JobState::completed, "bob");
  c.say("subscribe_job", job_data(1));
  c.read();
  w.publish(2, 2, JobState::running);
  w.publish(3, 3, JobState::completed);
  w.publish(4, 4, JobState::completed);
  w.publish(5, 5, JobState::completed);
  assert_int_equal(w.hub->stats().topics, 4);
  assert_true(w.hub->find(job(1)) && w.hub->find(job(2)) && !w.hub->find(job(3)) && w.hub->find(job(4)));
  w.publish(6, 6);
  w.publish(7, 7);
  w.publish(8, 8);
  assert_true(w.hub->find(job(1)) && !w.hub->find(job(2)) && w.hub->find(job(8)));
  assert_int_equal(w.hub->stats().topics_evicted, 4);
}

void forgetting_delivers_what_was_not_read_and_ends_the_subscription(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  c.read();
  w.publish(1, 11, JobState::completed, "alice", 0);
  w.hub->forget(job(1));
  assert_true(c.events() == (Names{"job_completed", "unsubscribed"}));
  assert_true(w.hub->find(job(1)) == nullptr);
  w.hub->forget(job(1));
  assert_int_equal(w.hub->stats().subscriptions, 0);
}

void a_resync_tells_what_was_missed_and_names_what_is_missing(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  for (unsigned i = 1; i <= 4; ++i) {
    w.publish(i, i);
    c.say("subscribe_job", job_data(i));
  }
  w.publish(5, 5);
  w.publish(6, 6, JobState::completed, "alice", 0);
  c.read();
  w.hub->begin_resync();
  w.publish(2, 30, JobState::completed, "alice", 0);
  w.publish(1, 20, JobState::running);
  w.publish(3, 3);
  const auto missing = w.hub->end_resync(true, w.clock);
  assert_int_equal(missing.size(), 1);
  assert_true(missing[0] == job(4));
  assert_true(w.hub->find(job(5)) == nullptr);  // not followed, and its state is not known any more
  assert_true(w.hub->find(job(6)) != nullptr);  // over: needs no place in the table
  assert_int_equal(c.read().size(), 2);
  w.found(4, 25, JobState::failed);
  assert_true(c.events() == Names{"job_completed"});
  w.hub->begin_resync();
  assert_int_equal(w.hub->end_resync(true, w.clock).size(), 2);
  w.not_found(1);
  assert_true(c.events() == Names{"unsubscribed"});
}

void a_resync_that_may_have_gaps_sends_rooms_to_fetch_their_list(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  w.hub->begin_resync();
  w.publish(1, 10);
  (void)w.hub->end_resync(false, w.clock);
  assert_string_equal(c.read_one().data.c_str(), R"({"rev":10,"job":null})");
}

void a_job_whose_slot_did_not_change_is_neither_dropped_nor_asked_for(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("subscribe_job", job_data(1));
  w.found(1, 10);
  w.publish(2, 11);  // nobody follows it
  (void)c.read();
  w.hub->begin_resync();
  w.hub->still_there(job(1));
  w.hub->still_there(job(2));
  assert_true(w.hub->end_resync(true, w.clock).empty());
  assert_non_null(w.hub->find(job(2)).get());
  assert_int_equal(c.read().size(), 0);
}

void a_fetched_job_is_not_news_to_the_room_until_the_lane_brings_it(void** state) {
  World& w = world_of(state);
  Client &c = w.user("alice"), &other = w.user("alice");
  c.say("subscribe_job", job_data(1));
  w.found(1, 10, JobState::completed);
  assert_true(c.events() == (Names{"subscribed", "job_completed"}));
  assert_int_equal(other.read().size(), 0);
  w.publish(1, 10, JobState::completed);  // it was ahead of the lane
  assert_true(other.events() == (Names{"job_list_update", "job_completed"}));
  assert_true(c.events() == Names{"job_list_update"});
  w.publish(1, 10, JobState::completed);
  assert_int_equal(c.read().size() + other.read().size(), 0);
}

void a_fetch_that_is_answered_twice_is_no_news(void** state) {
  World& w = world_of(state);
  Client &c = w.user("alice"), &other = w.user("alice");
  c.say("subscribe_job", job_data(1));
  w.found(1, 10, JobState::completed);
  w.found(1, 10, JobState::completed);
  assert_true(c.events() == (Names{"subscribed", "job_completed"}));
  assert_int_equal(other.read().size(), 0);
}

void a_job_that_was_dropped_and_is_shown_by_a_resync_is_not_told_twice(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.topics_max = 1;
  w.limit(limits);
  Client &c = w.user("alice"), &s = w.stream("alice");
  s.session->follow_user(0);
  for (unsigned i = 1; i <= 2; ++i) {
    w.publish(i, 9 + i, JobState::completed);
    c.read();
    s.read();
  }
  for (int twice = 0; twice < 2; ++twice) {
    w.hub->begin_resync();
    w.publish(1, 10, JobState::completed);
    w.publish(2, 11, JobState::completed);
    (void)w.hub->end_resync(true, w.clock);
    assert_true(c.events() == Names{"job_list_update"});  // whether it was told is not known any more: the list is
    assert_true(s.events() == Names{"job_list_update"});
  }
}

void an_end_that_may_have_been_retried_unseen_is_asked_for(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10, JobState::failed);
  w.publish(2, 11, JobState::failed);
  c.say("subscribe_job", job_data(1));
  c.read();
  w.hub->begin_resync();
  const auto missing = w.hub->end_resync(false, w.clock);
  assert_int_equal(missing.size(), 1);
  assert_true(missing[0] == job(1));
  assert_true(w.hub->find(job(2)) == nullptr);  // nor served on as if it were known
}

void an_event_that_changes_the_owner_of_a_job_is_not_believed(void** state) {
  World& w = world_of(state);
  Client& c = w.user("mallory");
  w.publish(1, 10, JobState::running, "alice");
  w.publish(1, 11, JobState::completed, "mallory");
  assert_int_equal(c.read().size(), 0);
  assert_int_equal(w.hub->find(job(1))->rev, 10);
}

struct Poll : Waiter {
  int woken = 0;
  void job_changed() override { ++woken; }
};

void a_waiter_is_woken_by_the_next_change_and_only_by_it(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Poll poll, other;
  assert_false(w.hub->wait(poll, job(1), 9));
  assert_true(w.hub->wait(poll, job(1), 10));
  assert_true(w.hub->wait(other, job(2), 0));
  assert_int_equal(w.hub->stats().waiters, 2);
  w.publish(1, 10);
  assert_int_equal(poll.woken, 0);
  w.publish(1, 11);
  assert_int_equal(poll.woken, 1);
  assert_false(poll.armed());
  w.publish(1, 12);
  assert_int_equal(poll.woken, 1);
  assert_int_equal(other.woken, 0);
  w.publish(2, 13);
  assert_int_equal(other.woken, 1);
  assert_int_equal(w.hub->stats().waiters, 0);
}

void a_waiter_unlinks_itself_and_is_told_of_a_forgotten_job(void** state) {
  World& w = world_of(state);
  w.publish(1, 10);
  Poll kept;
  {
    Poll gone, never;
    assert_true(w.hub->wait(gone, job(1), 10));
    assert_true(w.hub->wait(never, job(9), 0));
    assert_true(w.hub->wait(kept, job(1), 10));
  }
  assert_int_equal(w.hub->stats().waiters, 1);
  assert_int_equal(w.hub->stats().topics, 1);  // nobody waits for job 9 any more
  w.hub->forget(job(1));
  assert_int_equal(kept.woken, 1);
  assert_true(w.hub->wait(kept, job(1), 10));
  w.hub.reset();
  assert_false(kept.armed());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(subscribing_gives_the_first_snapshot_at_once),
      TEST(resuming_with_a_rev_sends_only_what_is_newer),
      TEST(an_unknown_job_is_fetched_once_for_all_who_ask),
      TEST(a_fetch_that_one_users_bound_refuses_is_asked_again_in_the_turn_of_the_next),
      TEST(a_job_that_the_lane_brought_meanwhile_needs_no_fetch_to_succeed),
      TEST(revs_only_grow),
      TEST(the_terminal_snapshot_comes_once_though_the_session_is_in_both_rooms),
      TEST(a_terminal_snapshot_that_the_room_brought_is_not_sent_again_on_subscribing),
      TEST(subscribing_while_the_rooms_terminal_waits_sends_it_once),
      TEST(a_retried_job_is_followed_on),
      TEST(a_retry_that_overtakes_the_rooms_terminal_leaves_the_list_update),
      TEST(list_updates_are_joined_for_who_does_not_read),
      TEST(a_slow_reader_gets_the_latest_of_each_and_the_end),
      TEST(a_write_is_cut_between_frames_and_goes_on),
      TEST(the_minimum_interval_holds_updates_back_but_never_the_first_or_the_last),
      TEST(the_servers_floor_holds_for_all),
      TEST(a_session_has_so_many_subscriptions),
      TEST(staleness_is_told_and_taken_back),
      TEST(a_room_is_resumed_with_the_last_rev_seen),
      TEST(a_slow_member_of_a_busy_room_is_told_to_fetch_the_list),
      TEST(old_finished_jobs_that_nobody_follows_are_dropped_first),
      TEST(forgetting_delivers_what_was_not_read_and_ends_the_subscription),
      TEST(a_resync_tells_what_was_missed_and_names_what_is_missing),
      TEST(a_resync_that_may_have_gaps_sends_rooms_to_fetch_their_list),
      TEST(a_job_whose_slot_did_not_change_is_neither_dropped_nor_asked_for),
      TEST(a_fetched_job_is_not_news_to_the_room_until_the_lane_brings_it),
      TEST(a_fetch_that_is_answered_twice_is_no_news),
      TEST(a_job_that_was_dropped_and_is_shown_by_a_resync_is_not_told_twice),
      TEST(an_end_that_may_have_been_retried_unseen_is_asked_for),
      TEST(an_event_that_changes_the_owner_of_a_job_is_not_believed),
      TEST(a_waiter_is_woken_by_the_next_change_and_only_by_it),
      TEST(a_waiter_unlinks_itself_and_is_told_of_a_forgotten_job),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
