// What one user leaves to the others, and who waits for whom.
#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

using Names = std::vector<std::string>;

void a_users_sessions_leave_the_others_their_share_of_the_topics(void** state) {
  World& w = world_of(state);
  HubLimits limits;
  limits.topics_max = 8;
  limits.followed_per_user_max = 2;
  w.limit(limits);
  for (unsigned i = 1; i <= 4; ++i) w.publish(i, i);
  w.publish(5, 5, JobState::running, "bob");
  Client &first = w.user("alice"), &second = w.user("alice"), &bob = w.user("bob");
  for (unsigned i = 1; i <= 2; ++i) first.say("subscribe_job", job_data(i));
  first.read();
  second.say("subscribe_job", job_data(3));
  const Heard refused = second.read_one();
  assert_string_equal(member(refused, "code").c_str(), "full");
  assert_string_equal(member(refused, "message").c_str(), "this user's connections follow 2 jobs already: unsubscribe from some");
  assert_int_equal(w.hub->stats().follows_refused, 1);
  second.say("subscribe_job", job_data(2));  // costs no more room
  assert_true(second.events() == (Names{"subscribed", "job_update"}));
  bob.say("subscribe_job", job_data(5));
  assert_true(bob.events() == (Names{"subscribed", "job_update"}));
  w.publish(4, 10, JobState::completed);  // where there is no room for it, they are told to fetch the list
  assert_true(second.events() == Names{"job_list_update"});
  first.disconnect();
  second.say("subscribe_job", job_data(3));
  assert_true(second.events() == (Names{"subscribed", "job_update"}));
}

void a_token_that_waits_for_its_turn_is_answered_then(void** state) {
  World& w = world_of(state);
  w.has_turns = true;
  Client &patient = w.connect(), &gone = w.connect();
  patient.read();
  gone.read();
  const std::string busy = w.token("busy");
  patient.say("authenticate", "{\"token\":\"" + busy + "\"}", "7");
  gone.say("authenticate", "{\"token\":\"" + busy + "\"}");
  assert_true(patient.read().empty());
  assert_int_equal(w.turns.size(), 2);
  gone.disconnect();
  assert_int_equal(w.turns.size(), 1);
  const auto turn = w.turns.begin()->second;
  w.tokens[busy].user = "alice";
  turn(false, w.clock);
  const Heard heard = patient.read_one();
  assert_string_equal(heard.event.c_str(), "authenticated");
  assert_string_equal(heard.id.c_str(), "7");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      TEST(a_users_sessions_leave_the_others_their_share_of_the_topics),
      TEST(a_token_that_waits_for_its_turn_is_answered_then),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
