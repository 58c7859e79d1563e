// The engine's event loop: timers, and descriptors that come and go while their events are being handed out.
#include "engine/loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "tests/cmocka.h"

namespace {

using jobcast::Fd;
using jobcast::engine::Loop;

struct Pair {
  Pair() {
    std::array<int, 2> ends{};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), 0);
    here.reset(ends[0]);
    there.reset(ends[1]);
  }
  void send() const { assert_int_equal(write(there.get(), "x", 1), 1); }
  Fd here, there;
};

void a_readable_descriptor_calls_until_it_is_drained(void**) {
  Loop loop;
  Pair pair;
  int calls = 0;
  loop.watch(pair.here.get(), EPOLLIN, [&](uint32_t events) {
    assert_true((events & EPOLLIN) != 0);
    ++calls;
  });
  loop.turn(0);
  assert_int_equal(calls, 0);
  pair.send();
  loop.turn(1000);
  loop.turn(1000);
  assert_int_equal(calls, 2);
  loop.change(pair.here.get(), 0);
  loop.turn(0);
  assert_int_equal(calls, 2);
}

void a_callback_may_unwatch_itself_and_its_neighbour(void**) {
  Loop loop;
  std::array<Pair, 2> pairs;
  int calls = 0;
  for (const Pair& pair : pairs) {
    loop.watch(pair.here.get(), EPOLLIN, [&loop, &pairs, &calls, kept = std::string("still here")](uint32_t) {
      for (const Pair& each : pairs) loop.unwatch(each.here.get());
      ++calls;
      assert_string_equal(kept.c_str(), "still here");  // the callback outlives its own unwatch
    });
    pair.send();
  }
  loop.turn(1000);
  loop.turn(0);
  assert_int_equal(calls, 1);
}

// The batch holds an event of the number's former owner, which must not reach the new one.
void a_descriptor_number_reused_within_a_batch_gets_no_stale_event(void**) {
  Loop loop;
  std::array<Pair, 2> pairs;
  Pair fresh;
  int old_calls = 0, fresh_calls = 0;
  for (size_t i = 0; i < 2; ++i) {
    loop.watch(pairs[i].here.get(), EPOLLIN, [&, other = 1 - i](uint32_t) {
      ++old_calls;
      for (const Pair& each : pairs) loop.unwatch(each.here.get());
      const int number = pairs[other].here.get();
      assert_int_equal(dup3(fresh.here.get(), number, O_CLOEXEC), number);  // closes the old one and takes its number
      loop.watch(number, EPOLLIN, [&](uint32_t) { ++fresh_calls; });
    });
    pairs[i].send();
  }
  loop.turn(1000);
  assert_int_equal(old_calls, 1);
  assert_int_equal(fresh_calls, 0);
  fresh.send();
  loop.turn(1000);
  assert_int_equal(fresh_calls, 1);
}

void timers_fire_in_order_of_their_time_and_not_early(void**) {
  Loop loop;
  std::string order;
  const auto begun = jobcast::now().mono_ns;
  loop.after_ms(20, [&] {
    order += 'c';
    assert_true(jobcast::now().mono_ns - begun >= 20'000'000);
    loop.stop();
  });
  loop.after_ms(0, [&] { order += 'a'; });
  loop.after_ms(0, [&] { order += 'b'; });
  loop.run();
  assert_string_equal(order.c_str(), "abc");
}

void a_timer_cancelled_by_its_neighbour_does_not_fire(void**) {
  Loop loop;
  int fired = 0;
  std::array<Loop::TimerId, 2> timers{};
  for (size_t i = 0; i < 2; ++i)
    timers[i] = loop.after_ms(0, [&] {
      ++fired;
      for (const auto id : timers) loop.cancel(id);
    });
  loop.turn(1000);
  loop.turn(0);
  assert_int_equal(fired, 1);
  loop.cancel(timers[0]);
  loop.cancel(0);
}

void a_timer_that_renews_itself_does_not_starve_descriptors(void**) {
  Loop loop;
  Pair pair;
  int ticks = 0, calls = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop.after_ms(0, tick);
  };
  tick();
  loop.watch(pair.here.get(), EPOLLIN, [&](uint32_t) { ++calls; });
  pair.send();
  for (int i = 0; i < 3; ++i) loop.turn(1000);
  assert_int_equal(calls, 3);
  assert_int_equal(ticks, 4);  // once a turn
}

void a_timer_of_the_far_future_is_no_trouble(void**) {
  Loop loop;
  loop.after_ms(INT64_MAX, [] { fail(); });
  loop.turn(0);
}

void after_turn_runs_once_behind_all_events_of_a_turn(void**) {
  Loop loop;
  std::array<Pair, 2> pairs;
  std::string order;
  for (const Pair& pair : pairs) {
    loop.watch(pair.here.get(), EPOLLIN, [&](uint32_t) { order += 'e'; });
    pair.send();
  }
  loop.after_ms(0, [&] { order += 't'; });
  loop.after_turn([&] { order += '.'; });
  loop.turn(1000);
  assert_string_equal(order.c_str(), "eet.");
}

void stop_before_run_is_not_forgotten(void**) {
  Loop loop;
  loop.stop();
  loop.run();
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_readable_descriptor_calls_until_it_is_drained),
      cmocka_unit_test(a_callback_may_unwatch_itself_and_its_neighbour),
      cmocka_unit_test(a_descriptor_number_reused_within_a_batch_gets_no_stale_event),
      cmocka_unit_test(timers_fire_in_order_of_their_time_and_not_early),
      cmocka_unit_test(a_timer_cancelled_by_its_neighbour_does_not_fire),
      cmocka_unit_test(a_timer_that_renews_itself_does_not_starve_descriptors),
      cmocka_unit_test(a_timer_of_the_far_future_is_no_trouble),
      cmocka_unit_test(after_turn_runs_once_behind_all_events_of_a_turn),
      cmocka_unit_test(stop_before_run_is_not_forgotten),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
