// Whose request goes to the engine next, what one user may have waiting, and what can still be taken back.
#include "lws-plugin/call_queue.h"

#include <array>
#include <string>
#include <vector>

#include "tests/cmocka.h"

namespace {

using jobcast::Errc;
using jobcast::plugin::CallQueue;

// All that may be written now, as the socket takes it: the first byte of each line names it.
std::string written(CallQueue& queue) {
  std::string out;
  std::array<iovec, 4> parts{};
  while (const size_t count = queue.gather(parts)) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      out += *static_cast<const char*>(parts[i].iov_base);
      bytes += parts[i].iov_len;
    }
    queue.wrote(bytes);
  }
  return out;
}

void users_take_turns_however_much_one_has_waiting(void**) {
  CallQueue queue({});
  for (int id = 1; id <= 3; ++id) assert_true(queue.add(id, "alice", false, "a" + std::string(30'000, 'x') + "\n").ok());
  assert_true(queue.add(4, "bob", false, "b\n").ok());
  assert_true(queue.add(5, "bob", false, "c\n").ok());
  assert_string_equal(written(queue).c_str(), "abaca");
}

void a_user_has_few_calls_underway_and_others_none_less(void**) {
  CallQueue queue({});
  for (int id = 1; id <= 100; ++id) assert_true(queue.add(id, "alice", false, "a\n").ok());
  assert_int_equal(written(queue).size(), 16);
  assert_true(queue.add(200, "bob", false, "b\n").ok());
  assert_string_equal(written(queue).c_str(), "b");
  assert_true(queue.has_more() == false);
  queue.answered(1);
  assert_string_equal(written(queue).c_str(), "a");
}

void one_large_answer_at_a_time_is_underway_for_a_user(void**) {
  CallQueue queue({});
  assert_true(queue.add(1, "alice", true, "1\n").ok());
  assert_true(queue.add(2, "alice", true, "2\n").ok());
  assert_true(queue.add(3, "bob", true, "3\n").ok());
  assert_string_equal(written(queue).c_str(), "13");
  queue.answered(1);
  assert_string_equal(written(queue).c_str(), "2");
}

void large_answers_of_many_users_leave_the_rest_waiting_here(void**) {
  CallQueue queue({});
  for (int id = 1; id <= 20; ++id) assert_true(queue.add(id, "user" + std::to_string(id), true, "x\n").ok());
  assert_int_equal(written(queue).size(), 14);  // 112 of the 128 at which the engine stops reading
  queue.answered(3);
  assert_int_equal(written(queue).size(), 1);
}

void one_user_reaches_the_own_bound_before_that_of_all(void**) {
  CallQueue queue({.calls_max = 10, .calls_per_user_max = 4, .bytes_max = 100, .bytes_per_user_max = 40});
  for (int id = 1; id <= 4; ++id) assert_true(queue.add(id, "alice", false, "a\n").ok());
  assert_true(queue.add(5, "alice", false, "a\n").error().code == Errc::full);
  assert_true(queue.add(6, "bob", false, std::string(30, 'b') + "\n").ok());
  assert_true(queue.add(7, "bob", false, std::string(30, 'b') + "\n").error().code == Errc::full);
  assert_true(queue.add(8, "carol", false, std::string(50, 'c') + "\n").ok());  // one may always be as long as it is
  assert_true(queue.add(9, "dave", false, std::string(50, 'd') + "\n").error().code == Errc::full);
  assert_true(queue.add(10, CallQueue::kServer, false, std::string(50, 's') + "\n").ok());
}

void what_is_not_written_is_taken_back_and_never_sent(void**) {
  CallQueue queue({});
  assert_true(queue.add(1, "alice", false, "abcdef\n").ok());
  assert_true(queue.add(2, "alice", false, "2\n").ok());
  assert_true(queue.add(3, "bob", false, "3\n").ok());
  std::array<iovec, 4> parts{};
  assert_int_equal(queue.gather(parts), 3);
  queue.wrote(3);  // a piece of the first
  assert_false(queue.take_back(1));
  assert_false(queue.sent(1));
  assert_true(queue.take_back(2));
  assert_true(queue.take_back(2));
  assert_string_equal(written(queue).c_str(), "d3");
  assert_true(queue.sent(1) && queue.sent(3));
  assert_false(queue.take_back(3));
  assert_int_equal(queue.bytes_waiting(), 0);
}

void a_user_whose_calls_were_all_taken_back_leaves_nothing_behind(void**) {
  CallQueue queue({.calls_max = 2, .calls_per_user_max = 2});
  for (int round = 0; round < 100; ++round) {
    assert_true(queue.add(2 * round + 1, "alice", true, "a\n").ok());
    assert_true(queue.add(2 * round + 2, "alice", true, "a\n").ok());
    assert_true(queue.take_back(2 * round + 1));
    assert_true(queue.take_back(2 * round + 2));
  }
  assert_true(queue.add(1000, "bob", false, "b\n").ok());
  assert_string_equal(written(queue).c_str(), "b");
  queue.clear();
  assert_int_equal(queue.bytes_waiting(), 0);
  assert_string_equal(written(queue).c_str(), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(users_take_turns_however_much_one_has_waiting),
      cmocka_unit_test(a_user_has_few_calls_underway_and_others_none_less),
      cmocka_unit_test(one_large_answer_at_a_time_is_underway_for_a_user),
      cmocka_unit_test(large_answers_of_many_users_leave_the_rest_waiting_here),
      cmocka_unit_test(one_user_reaches_the_own_bound_before_that_of_all),
      cmocka_unit_test(what_is_not_written_is_taken_back_and_never_sent),
      cmocka_unit_test(a_user_whose_calls_were_all_taken_back_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
