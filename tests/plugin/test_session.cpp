// One client's side: authentication, requests and their answers, limits, time.
#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

std::string code(const Heard& heard) { return member(heard, "code"); }

void a_new_connection_is_greeted_and_must_authenticate_in_time(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  const Heard hello = c.read_one();
  assert_string_equal(hello.event.c_str(), "connected");
  assert_string_equal(member(hello, "session").c_str(), c.session->id().c_str());
  assert_int_equal(c.session->id().size(), 16);
  assert_string_equal(member(hello, "protocol").c_str(), "jobcast.v1");
  assert_string_equal(member(hello, "stale").c_str(), "false");
  w.pass(w.limits.auth_timeout_ms - 1);
  assert_false(c.closed.has_value());
  w.pass(1);
  assert_true(c.closed == CloseReason::auth_timeout);
  assert_int_equal(ws_close_code(*c.closed), 4401);
  assert_int_equal(w.hub->stats().closed_auth_timeout, 1);
  c.say("ping");
  assert_int_equal(c.read().size(), 0);
}

void authenticating_answers_the_user_and_the_end_of_the_token(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("al\\u00e9 \\\"x", 3600) + "\"}", "1");
  assert_string_equal(code(c.read_one()).c_str(), "token_invalid");  // the escapes above are another token
  const std::string token = w.token("alice", 3600);
  c.say("authenticate", "{\"token\":\"" + token + "\"}", "2");
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "authenticated");
  assert_string_equal(heard.id.c_str(), "2");
  assert_string_equal(member(heard, "user_id").c_str(), "alice");
  assert_string_equal(member(heard, "expires_at").c_str(), iso8601((w.clock.unix_ms / 1000 + 3600) * 1000).c_str());
  assert_string_equal(member(heard, "expires_in_ms").c_str(), "3600000");
  w.pass(w.limits.auth_timeout_ms);
  assert_false(c.closed.has_value());
  assert_int_equal(w.hub->stats().authenticated, 1);
}

void requests_before_authenticating_are_refused_but_a_ping_is_answered(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  for (const std::string event : {"subscribe_job", "unsubscribe_job", "cancel_job"}) {
    c.say(event, job_data(1), "\"x\"");
    const Heard heard = c.read_one();
    assert_string_equal(heard.event.c_str(), "error");
    assert_string_equal(heard.id.c_str(), "\"x\"");
    assert_string_equal(code(heard).c_str(), "unauthorized");
    assert_string_equal(member(heard, "request").c_str(), event.c_str());
  }
  c.say("submit_job", R"({"kind":"k"})");
  assert_string_equal(code(c.read_one()).c_str(), "unauthorized");
  c.say("ping", "", "7");
  const Heard pong = c.read_one();
  assert_string_equal(pong.event.c_str(), "pong");
  assert_string_equal(pong.data.c_str(), "{}");
  assert_string_equal(pong.id.c_str(), "7");
  assert_true(w.fetches.empty());
  assert_int_equal(w.hub->stats().refused, 4);
}

void a_bad_token_leaves_the_connection_as_it_was(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  c.read();
  c.say("authenticate", R"({"token":"nonsense"})", "9");
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "auth_error");
  assert_string_equal(heard.data.c_str(), R"({"code":"token_invalid","message":"the token is not good"})");
  assert_string_equal(heard.id.c_str(), "9");
  w.publish(1, 11);
  assert_string_equal(c.read_one().event.c_str(), "job_update");
}

void a_busy_gate_says_retry(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("busy") + "\"}");
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "error");
  assert_string_equal(code(heard).c_str(), "retry");
  assert_string_equal(member(heard, "request").c_str(), "authenticate");
}

void rooms_are_lost_the_second_the_token_expires(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  w.publish(1, 10);
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 100) + "\"}");
  c.say("subscribe_job", job_data(1));
  c.read();
  w.pass(39'999);
  assert_int_equal(c.read().size(), 0);
  w.pass(1);
  const Heard warning = c.read_one();
  assert_string_equal(warning.event.c_str(), "auth_expiring");
  assert_string_equal(member(warning, "expires_in_ms").c_str(), "60000");
  w.pass(59'999);
  w.publish(1, 11);
  assert_string_equal(c.read_one().event.c_str(), "job_update");
  w.pass(1);
  w.publish(1, 12);
  w.publish(2, 13, JobState::completed);
  const Heard end = c.read_one();
  assert_string_equal(end.event.c_str(), "auth_error");
  assert_string_equal(code(end).c_str(), "token_expired");
  assert_false(c.session->authenticated());
  assert_int_equal(w.hub->stats().authenticated, 0);
  assert_int_equal(w.hub->stats().subscriptions, 0);
  c.say("subscribe_job", job_data(1));
  assert_string_equal(code(c.read_one()).c_str(), "unauthorized");
  w.pass(w.limits.auth_timeout_ms);
  assert_true(c.closed == CloseReason::auth_timeout);
}

void nothing_is_delivered_past_the_expiry_even_if_no_timer_rang(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  w.publish(1, 10);
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 100) + "\"}");
  c.say("subscribe_job", job_data(1));
  c.read();
  w.publish(1, 11);
  w.clock.mono_ns += 100'000'000'000;
  assert_string_equal(code(c.read_one()).c_str(), "token_expired");
}

void renewal_on_the_same_connection_keeps_the_rooms(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  w.publish(1, 10);
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 70) + "\"}");
  c.say("subscribe_job", job_data(1));
  c.read();
  w.pass(20'000);
  assert_string_equal(c.events().back().c_str(), "auth_expiring");
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 600) + "\"}");
  assert_string_equal(c.read_one().event.c_str(), "authenticated");
  w.pass(100'000);
  w.publish(1, 11);
  assert_string_equal(c.read_one().event.c_str(), "job_update");
  w.pass(440'000);
  assert_string_equal(c.read_one().event.c_str(), "auth_expiring");  // of the new token
}

void after_the_expiry_the_same_user_may_come_back_and_another_may_not(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 1) + "\"}");
  w.pass(1000);
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("bob") + "\"}");
  assert_string_equal(code(c.read_one()).c_str(), "user_mismatch");
  c.login("alice");
  c.say("authenticate", "{\"token\":\"" + w.token("bob") + "\"}");
  assert_string_equal(code(c.read_one()).c_str(), "user_mismatch");
  assert_true(c.session->authenticated());
  assert_string_equal(c.session->identity().user.c_str(), "alice");
}

void a_renewed_token_that_allows_less_ends_subscriptions_to_others_jobs(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  w.publish(1, 10, JobState::running, "bob");
  w.publish(2, 11, JobState::running, "alice");
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 3600, true, true) + "\"}");
  c.say("subscribe_job", job_data(1));
  c.say("subscribe_job", job_data(2));
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("alice") + "\"}");
  const auto heard = c.read();
  assert_int_equal(heard.size(), 2);
  assert_string_equal(heard[0].event.c_str(), "authenticated");
  assert_string_equal(heard[1].event.c_str(), "unsubscribed");
  assert_string_equal(heard[1].data.c_str(), job_data(1).c_str());
  w.publish(1, 12, JobState::running, "bob");
  w.publish(2, 13, JobState::running, "alice");
  assert_string_equal(member(c.read_one(), "job_id").c_str(), job(2).text().c_str());
}

void a_user_has_so_many_connections_and_no_more(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.sessions_per_user_max = 2;
  w.limit(limits);
  w.user("alice");
  Client& second = w.user("alice");
  w.user("bob");
  Client& third = w.connect();
  third.read();
  third.say("authenticate", "{\"token\":\"" + w.token("alice") + "\"}");
  assert_string_equal(code(third.read_one()).c_str(), "too_many_sessions");
  Identity alice = w.tokens[w.token("alice")];
  Client stream(w);
  assert_int_equal(w.hub->open_stream(stream, alice, w.clock).error().code, Errc::full);
  second.login("alice");  // a renewal is no new connection
  second.disconnect();
  third.login("alice");
}

void submit_goes_to_the_engine_and_is_answered_with_the_requests_id(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("submit_job", R"({"kind":"k","args":{"n":1}})", "\"r1\"");
  c.say("submit_job", R"({"kind":"k"})", "\"r2\"");
  assert_int_equal(c.read().size(), 0);
  assert_int_equal(w.submits.size(), 2);
  assert_string_equal(w.submits[0].params.c_str(), R"({"owner":"alice","kind":"k","args":{"n":1}})");
  w.submits[1].reply.failed({Errc::invalid, "kind is not known", "kind"});
  Heard heard = c.read_one();
  assert_string_equal(heard.id.c_str(), "\"r2\"");
  assert_string_equal(heard.data.c_str(), R"({"code":"invalid","message":"kind is not known","request":"submit_job","field":"kind"})");
  w.submits[0].reply.done(R"({"job_id":"x","progress":{"percent":24.0}})", true);
  heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "submitted");
  assert_string_equal(heard.id.c_str(), "\"r1\"");
  assert_string_equal(heard.data.c_str(), R"({"job":{"job_id":"x","progress":{"percent":24.0}},"created":true})");
}

void cancel_is_acknowledged_on_the_connection_that_asked(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("cancel_job", job_data(1), "1");
  assert_string_equal(w.cancels[0].params.c_str(), ("{\"job_id\":\"" + job(1).text() + R"(","owner":"alice","by":"alice"})").c_str());
  w.cancels[0].reply.done("{}", false);
  const Heard heard = c.read_one();
  assert_string_equal(heard.event.c_str(), "cancel_accepted");
  assert_string_equal(heard.data.c_str(), R"({"job":{}})");
}

void what_the_token_does_not_grant_is_forbidden(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 3600, false) + "\"}");
  c.read();
  c.say("submit_job", R"({"kind":"k"})");
  assert_string_equal(code(c.read_one()).c_str(), "forbidden");
  c.say("cancel_job", job_data(1));
  assert_string_equal(code(c.read_one()).c_str(), "forbidden");
  assert_true(w.submits.empty() && w.cancels.empty());
}

void an_answer_for_a_session_that_is_gone_goes_nowhere(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("submit_job", R"({"kind":"k"})");
  c.say("subscribe_job", job_data(1));
  c.disconnect();
  Client& next = w.user("alice");  // takes the place of the first
  w.submits[0].reply.done("{}", true);
  w.found(1, 10);
  assert_int_equal(next.read().size(), 0);
}

void a_reply_that_is_dropped_says_unanswered_and_one_that_outlives_the_hub_says_nothing(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("submit_job", R"({"kind":"k"})", "1");
  w.submits.clear();
  const Heard heard = c.read_one();
  assert_string_equal(code(heard).c_str(), "unanswered");
  assert_string_equal(heard.id.c_str(), "1");
  c.say("submit_job", R"({"kind":"k"})");
  c.say("cancel_job", job_data(1));
  w.hub.reset();
  w.submits[0].reply.done("{}", true);
}

void so_many_requests_may_wait_for_the_engine(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  for (size_t i = 0; i < w.limits.calls_per_session_max; ++i)
    c.say(i % 2 ? "cancel_job" : "subscribe_job", job_data(static_cast<unsigned>(i)));
  assert_int_equal(c.read().size(), 0);
  for (const std::string event : {"cancel_job", "subscribe_job"}) {
    c.say(event, job_data(99), "1");
    assert_string_equal(code(c.read_one()).c_str(), "full");
  }
  w.cancels.clear();
  w.not_found(0);
  assert_int_equal(c.read().size(), w.limits.calls_per_session_max / 2 + 1);
  c.say("cancel_job", job_data(99));
  assert_int_equal(w.cancels.size(), 1);
}

void another_users_job_answers_byte_for_byte_like_an_absent_one(void** state) {
  World& w = world_of(state);
  Client& c = w.user("mallory");
  w.publish(1, 10, JobState::running, "alice");  // somebody else's
  c.say("subscribe_job", job_data(1), "1");
  assert_int_equal(w.fetches.size(), 1);  // asked as if it were absent
  w.found(1, 10, JobState::running, "alice");
  const Heard theirs = c.read_one();
  c.say("subscribe_job", job_data(2), "1");
  w.not_found(2);
  Heard absent = c.read_one();
  c.say("subscribe_job", job_data(3), "1");
  w.found(3, 9, JobState::completed, "alice");  // somebody else's, not known before
  Heard fetched = c.read_one();
  const auto as_first = [](Heard& heard, unsigned number) { heard.data.replace(heard.data.find(job(number).text()), 36, job(1).text()); };
  as_first(absent, 2);
  as_first(fetched, 3);
  assert_string_equal(theirs.event.c_str(), "error");
  assert_string_equal(code(theirs).c_str(), "not_found");
  for (const Heard* other : {&absent, &fetched}) {
    assert_string_equal(theirs.event.c_str(), other->event.c_str());
    assert_string_equal(theirs.data.c_str(), other->data.c_str());
  }
  // With the engine away both say so.
  std::string said[2];
  for (const unsigned number : {1U, 2U}) {
    c.say("subscribe_job", job_data(number), "1");
    w.hub->fetched(job(number), {Errc::retry, "the engine cannot be reached"}, w.clock);
    Heard heard = c.read_one();
    as_first(heard, number);
    said[number - 1] = heard.data;
  }
  assert_string_equal(said[0].c_str(), said[1].c_str());
  // Cancelling: the engine's words for the two do not matter.
  std::string cancelled[2];
  for (const unsigned number : {1U, 2U}) {
    c.say("cancel_job", job_data(number), "1");
    w.cancels.back().reply.failed({Errc::not_found, number == 1 ? "not yours" : "absent", number == 1 ? "job_id" : ""});
    Heard heard = c.read_one();
    as_first(heard, number);
    cancelled[number - 1] = heard.data;
  }
  assert_string_equal(cancelled[0].c_str(), cancelled[1].c_str());
  // Unsubscribing tells nothing either.
  c.say("unsubscribe_job", job_data(1));
  assert_string_equal(c.read_one().data.c_str(), job_data(1).c_str());
  w.publish(1, 11, JobState::completed, "alice");
  assert_int_equal(c.read().size(), 0);
}

void readers_of_any_job_may_subscribe_to_others(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  w.publish(1, 10, JobState::running, "alice");
  c.say("authenticate", "{\"token\":\"" + w.token("auditor", 3600, false, true) + "\"}");
  c.say("subscribe_job", job_data(1));
  assert_string_equal(c.events().back().c_str(), "job_update");
}

void a_flood_is_answered_once_and_then_closed(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  unsigned pongs = 0;
  while (!c.closed && pongs < 10'000) {
    c.say("ping");
    ++pongs;
  }
  assert_true(c.closed == CloseReason::rate);
  const auto heard = c.read();
  const size_t errors = static_cast<size_t>(std::count_if(heard.begin(), heard.end(), [](const Heard& h) { return h.event == "error"; }));
  assert_int_equal(errors, 1);
  assert_string_equal(code(heard.back()).c_str(), "rate_limited");
  assert_true(w.hub->stats().rate_limited > w.limits.messages_burst_max);
  assert_int_equal(w.hub->stats().closed_rate, 1);
}

void the_stated_rate_is_served(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  for (unsigned i = 0; i < 500; ++i) {
    w.pass(1000 / w.limits.messages_per_second_max);
    c.say("ping");
    assert_string_equal(c.read_one().event.c_str(), "pong");
  }
}

void who_asks_without_reading_the_answers_is_closed_as_slow(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  const std::string big = "\"" + std::string(60, 'x') + "\"";
  for (int i = 0; i < 5000 && !c.closed; ++i) {
    w.pass(1000 / w.limits.messages_per_second_max);
    c.say("subscribe_job", "{\"job_id\":\"no\"}", big);
  }
  assert_true(c.closed == CloseReason::slow);
  assert_true(c.read().size() > 100);  // what there was may still be read
  assert_int_equal(w.hub->stats().closed_slow, 1);
}

void who_does_not_read_job_updates_costs_nothing_more(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  w.publish(1, 10);
  c.say("subscribe_job", job_data(1));
  c.read();
  for (uint64_t rev = 11; rev < 10'000; ++rev) w.publish(1, rev);
  assert_false(c.closed.has_value());
  assert_int_equal(rev_of(c.read_one()), 9'999);
  assert_int_equal(w.hub->stats().conflated, 10'000 - 12);
}

void a_message_with_a_fault_is_answered_with_the_field(void** state) {
  World& w = world_of(state);
  Client& c = w.user("alice");
  c.say("subscribe_job", "{}", "\"q\"");
  Heard heard = c.read_one();
  assert_string_equal(heard.id.c_str(), "\"q\"");
  assert_string_equal(
      heard.data.c_str(),
      R"({"code":"invalid","message":"job_id is required: a non-empty string","request":"subscribe_job","field":"job_id"})");
  c.session->on_message("nonsense", w.clock);
  heard = c.read_one();
  assert_string_equal(code(heard).c_str(), "invalid");
  assert_string_equal(member(heard, "request").c_str(), "null");
  c.say("submit_job", R"({"kind":"k","owner":"bob"})");
  assert_string_equal(member(c.read_one(), "field").c_str(), "owner");
}

void shutdown_closes_everyone_once(void** state) {
  World& w = world_of(state);
  Client &a = w.user("alice"), &b = w.connect(), &s = w.stream("alice");
  w.hub->shutdown();
  w.hub->shutdown();
  for (Client* c : {&a, &b, &s}) assert_true(c->closed == CloseReason::shutdown);
  assert_int_equal(w.wake_ms, INT64_MAX);
}

void one_timer_serves_a_thousand_sessions(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.sessions_per_user_max = 10'000;
  w.limit(limits);
  for (int i = 0; i < 1000; ++i) {
    Client& c = w.connect();
    c.read();
    c.say("authenticate", "{\"token\":\"" + w.token("alice", 100 + i % 7) + "\"}");
    c.read();
    w.tokens.clear();
  }
  for (int i = 0; i < 1000; i += 3) w.clients[static_cast<size_t>(i)]->disconnect();
  w.pass(200'000);
  for (int i = 0; i < 1000; ++i)
    if (i % 3) assert_true(w.clients[static_cast<size_t>(i)]->closed == CloseReason::auth_timeout);
  assert_int_equal(w.hub->stats().expired, 666);
}

}  // namespace

void session_outlives_a_clock_that_is_set_forward_by_50_years(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 100) + "\"}");
  c.read();
  w.clock.unix_ms += 50LL * 365 * 86'400'000;
  w.pass(39'000);
  assert_int_equal(c.read().size(), 0);  // no warning either
  w.publish(1, 11, JobState::completed);
  assert_true(!c.read().empty());
  w.pass(61'000);
  const auto end = c.read();
  assert_string_equal(end.front().event.c_str(), "auth_expiring");
  assert_string_equal(code(end.back()).c_str(), "token_expired");
}

void session_ends_in_time_though_the_clock_is_set_back(void** state) {
  World& w = world_of(state);
  Client& c = w.connect();
  c.read();
  c.say("authenticate", "{\"token\":\"" + w.token("alice", 100) + "\"}");
  c.read();
  w.clock.unix_ms -= 3'600'000;
  w.pass(100'000);
  assert_string_equal(code(c.read().back()).c_str(), "token_expired");
}

void sessions_of_a_withdrawn_key_are_warned_and_end_after_the_grace(void** state) {
  World& w = world_of(state);
  Client &c = w.connect(), &other = w.connect();
  const auto login = [&](Client& client, uint64_t key) {
    const std::string token = w.token("alice", 100'000);
    w.tokens[token].key = key;
    client.say("authenticate", "{\"token\":\"" + token + "\"}");
    client.read();
  };
  login(c, 1);
  login(other, 2);
  w.hub->withdraw(1, w.clock.mono_ms() + 30'000, w.clock);
  w.pass(10);
  assert_string_equal(c.read_one().event.c_str(), "auth_expiring");
  w.pass(29'000);
  assert_int_equal(c.read().size(), 0);
  w.pass(1000);
  assert_string_equal(code(c.read_one()).c_str(), "token_revoked");
  login(c, 2);  // with a token of a key that is good
  w.pass(60'000);
  assert_true(c.session->authenticated() && other.session->authenticated());
  assert_int_equal(other.read().size(), 0);
}

void session_that_breaks_in_a_tick_is_closed_and_the_others_have_their_turn(void** state) {
  World& w = world_of(state);
  std::vector<Client*> clients;
  for (int i = 0; i < 5; ++i) {
    Client& c = w.connect();
    c.read();
    c.say("authenticate", "{\"token\":\"" + w.token("alice", 10) + "\"}");
    c.read();
    clients.push_back(&c);
  }
  clients[2]->breaks = true;
  w.pass(10'000);
  for (const Client* c : clients) assert_int_equal(c->closed.has_value(), c == clients[2]);
  assert_true(*clients[2]->closed == CloseReason::internal);
  for (Client* c : clients)
    if (!c->breaks) assert_string_equal(code(c->read().back()).c_str(), "token_expired");
  clients[2]->disconnect();
  w.pass(w.limits.auth_timeout_ms);  // the timers go on
  for (const Client* c : clients) assert_true(c->closed.has_value());
}

int main() {
  const CMUnitTest tests[] = {
      TEST(session_that_breaks_in_a_tick_is_closed_and_the_others_have_their_turn),
      TEST(session_outlives_a_clock_that_is_set_forward_by_50_years),
      TEST(session_ends_in_time_though_the_clock_is_set_back),
      TEST(sessions_of_a_withdrawn_key_are_warned_and_end_after_the_grace),
      TEST(a_new_connection_is_greeted_and_must_authenticate_in_time),
      TEST(authenticating_answers_the_user_and_the_end_of_the_token),
      TEST(requests_before_authenticating_are_refused_but_a_ping_is_answered),
      TEST(a_bad_token_leaves_the_connection_as_it_was),
      TEST(a_busy_gate_says_retry),
      TEST(rooms_are_lost_the_second_the_token_expires),
      TEST(nothing_is_delivered_past_the_expiry_even_if_no_timer_rang),
      TEST(renewal_on_the_same_connection_keeps_the_rooms),
      TEST(after_the_expiry_the_same_user_may_come_back_and_another_may_not),
      TEST(a_renewed_token_that_allows_less_ends_subscriptions_to_others_jobs),
      TEST(a_user_has_so_many_connections_and_no_more),
      TEST(submit_goes_to_the_engine_and_is_answered_with_the_requests_id),
      TEST(cancel_is_acknowledged_on_the_connection_that_asked),
      TEST(what_the_token_does_not_grant_is_forbidden),
      TEST(an_answer_for_a_session_that_is_gone_goes_nowhere),
      TEST(a_reply_that_is_dropped_says_unanswered_and_one_that_outlives_the_hub_says_nothing),
      TEST(so_many_requests_may_wait_for_the_engine),
      TEST(another_users_job_answers_byte_for_byte_like_an_absent_one),
      TEST(readers_of_any_job_may_subscribe_to_others),
      TEST(a_flood_is_answered_once_and_then_closed),
      TEST(the_stated_rate_is_served),
      TEST(who_asks_without_reading_the_answers_is_closed_as_slow),
      TEST(who_does_not_read_job_updates_costs_nothing_more),
      TEST(a_message_with_a_fault_is_answered_with_the_field),
      TEST(shutdown_closes_everyone_once),
      TEST(one_timer_serves_a_thousand_sessions),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
