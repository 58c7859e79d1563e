// Threads that share one question: the counts are the same, progress only grows, and cancelling stops them all.
#include <atomic>

#include "tests/examples/plo_ask.h"

namespace {

using plo::ask;
using plo::Outcomes;
using plo::Question;
using plo::solve;

void counts_do_not_depend_on_the_number_of_threads(void**) {
  const Question questions[] = {
      ask({"AsAhKsKh", "8c7d6c5d"}),
      ask({"AsAhKsKh2c", "8c7d6c5d2s", "QcJdTd9c2h"}),
      ask({"AsAhKsKh", "8c7d6c5d"}, "2h3d4s"),
      ask({"AsAhKsKh", "8c7d6c5d"}, "2h3d4s5s"),
      ask({"AsAhKsKh", "8c7d6c5d"}, "2h3d4s5s6s"),
      ask(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":123457,"seed":9})"),
      ask(R"({"hands":["AsAhKsKh","8c7d6c5d","QcJdTd9c"],"board":"2h3d4s","mode":"monte-carlo","trials":123457,"seed":9})"),
      ask(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2h3d4s5s6s","mode":"monte-carlo","trials":123457})"),
  };
  for (const Question& question : questions) {
    const Outcomes one = solve(question, 1);
    assert_int_equal(one.boards(), plo::Equity(question).boards());
    for (const unsigned threads : {2U, 3U, 8U, 0U}) assert_true(solve(question, threads) == one);
  }
}

void progress_never_falls_and_ends_with_everything(void**) {
  for (const unsigned threads : {1U, 4U}) {
    const plo::Equity equity(ask({"AsAhKsKh", "8c7d6c5d"}));
    uint64_t last = 0;
    int calls = 0;
    bool fell = false;
    const auto outcomes = plo::run(
        equity, threads,
        [&](const Outcomes& so_far) {
          fell = fell || so_far.boards() < last;
          last = so_far.boards();
          ++calls;
        },
        [] { return false; });
    assert_true(outcomes.has_value());
    assert_false(fell);
    assert_int_equal(last, 1086008);
    if (threads == 1) assert_true(calls > 100);  // of several, the others may have done all the work
  }
}

void cancelling_stops_every_thread_without_an_answer(void**) {
  const plo::Equity equity(ask(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":1000000000000})"));
  std::atomic<bool> cancelled{false};
  const auto outcomes = plo::run(equity, 3, [&](const Outcomes&) { cancelled = true; }, [&] { return cancelled.load(); });
  assert_false(outcomes.has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(counts_do_not_depend_on_the_number_of_threads),
      cmocka_unit_test(progress_never_falls_and_ends_with_everything),
      cmocka_unit_test(cancelling_stops_every_thread_without_an_answer),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
