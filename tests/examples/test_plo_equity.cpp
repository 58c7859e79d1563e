// Equities: against a second program that counts combination by combination, and against published figures.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "examples/plo-equity/philox.h"
#include "tests/examples/plo_ask.h"
#include "tests/examples/plo_naive.h"

namespace {

using plo::ask;
using plo::Card;
using plo::Outcomes;
using plo::Question;
using plo::solve;

Question random_question(std::mt19937& random, size_t board) {
  std::vector<Card> deck(52);
  std::iota(deck.begin(), deck.end(), Card{0});
  std::shuffle(deck.begin(), deck.end(), random);
  const auto take = [&](size_t count) {
    std::vector<Card> cards(deck.end() - static_cast<std::ptrdiff_t>(count), deck.end());
    deck.resize(deck.size() - count);
    return cards;
  };
  Question question;
  const size_t size = 4 + random() % 2;
  for (size_t hands = 2 + random() % 5; hands > 0; --hands) question.hands.push_back(take(size));
  question.board = take(board);
  question.dead = take(random() % 4);
  return question;
}

void agree(const Question& question) {
  if (solve(question) == naive::every_board(question)) return;
  std::string text;
  for (const auto& hand : question.hands) text += plo::text_of(hand) + " ";
  fail_msg("differs: %son %s, dead %s", text.c_str(), plo::text_of(question.board).c_str(), plo::text_of(question.dead).c_str());
}

void second_evaluator_agrees_on_thousands_of_random_deals(void**) {
  std::mt19937 random(20260101);
  for (int i = 0; i < 4000; ++i) agree(random_question(random, 5));
  for (int i = 0; i < 300; ++i) agree(random_question(random, 4));
  for (int i = 0; i < 20; ++i) agree(random_question(random, 3));
}

void second_evaluator_agrees_on_whole_deals_from_a_short_deck(void**) {
  // Pre-flop all boards are too many for the naive way, so most of the deck is dead: 6 hands, 12 cards left, 792 boards.
  agree(ask(R"({"hands":["AsKhQd8c","AhKdQc8s","2c3d4h5s","7c7d6h6s","JcTdTh9s","9c9d2h3s"],"dead":"AcAdKcKsQhQs8d8hJsJhJdTcTs9h2d2s"})"));
  agree(ask(R"({"hands":["AsKhQd8c2c","AhKdQc8s2d"],"dead":"AcAdKcKsQhQs8d8hJsJhJdTcTs9h2h2s3c3d3h3s4c4d4h4s"})"));
}

// Exact counts of boards won or split, from the tests of an independent program: github.com/cardrank/cardrank, calc_test.go,
// TestOddsCalc.
void published_counts_are_met(void**) {
  struct Case {
    Question question;
    std::vector<uint64_t> won_or_split;
  };
  const Case cases[] = {
      {ask({"AhQc7s7h", "Kd7c9c5c", "8hThAcAs"}, "2h2c5d"), {64, 96, 506}},
      {ask({"AhKhJd6c", "QhTc6s6h"}, "9hJh6d"), {295, 525}},
      {ask({"KhQh2c2h", "AcJcKd4h", "QdQsJhJd", "8h7cTd3h", "6d5dThQc"}), {32924, 45033, 35036, 53714, 37559}},
      {ask({"2h5hTsJs", "KhKc9sAc"}, "JcQc2d"), {361, 459}},
      {ask({"JcThTdTc", "AhKh5d4h", "Ts8s6c5c"}, "4cQc6s"), {320, 125, 235}},
      {ask({"KsKh6s2d", "AhTh8d7h", "QcTc7c7d"}, "4sTd8c"), {208, 318, 151}},
  };
  for (const Case& known : cases) {
    const Outcomes outcomes = solve(known.question);
    for (size_t hand = 0; hand < known.won_or_split.size(); ++hand) {
      const plo::Share share = plo::share_of(outcomes, hand);
      assert_int_equal(share.win + share.tie, known.won_or_split[hand]);
    }
  }
}

// The same source, TestExpValueCalc: one hand against every hand that the rest of the deck can give.
void published_counts_against_all_hands_are_met(void**) {
  const auto hero = *plo::parse_cards("2s2hAdJs");
  const auto board = *plo::parse_cards("3h4d5sKhQd");
  std::vector<Card> rest;
  for (Card card = 0; card < 52; ++card)
    if (std::find(hero.begin(), hero.end(), card) == hero.end() && std::find(board.begin(), board.end(), card) == board.end())
      rest.push_back(card);
  Outcomes sum;
  for (size_t a = 0; a < rest.size(); ++a)
    for (size_t b = 0; b < a; ++b)
      for (size_t c = 0; c < b; ++c)
        for (size_t d = 0; d < c; ++d) {
          Question question;
          question.hands = {hero, {rest[a], rest[b], rest[c], rest[d]}};
          question.board = board;
          sum += plo::Equity(question).run(0);
        }
  assert_int_equal(sum.by_winners[0b01], 103699);
  assert_int_equal(sum.by_winners[0b11], 3677);
  assert_int_equal(sum.by_winners[0b10], 16034);
}

void published_equities_are_met(void**) {
  struct Case {
    Question question;
    double equity;  // of the first hand
    double within;
  };
  const Case cases[] = {
      // The project's own reference figure.
      {ask({"AsAhKsKh", "8c7d6c5d"}), 0.5853, 0.00005},
      // predictem.com/omaha/best-starting-hands.php: 63.38 % for aces and kings over queens and jacks, double suited, suits apart.
      {ask({"AhAdKhKd", "QcQsJcJs"}), 0.6338, 0.00005},
      // The same suits for both, colours crossed: symmetric by construction.
      {ask({"AhAdKcKs", "AcAsKhKd"}), 0.5, 0},
      {ask({"AhKdQcJs", "AdKcQsJh"}), 0.5, 0},
      {ask({"AhKdQcJs", "AdKcQsJh", "AcKsQhJd"}), 1.0 / 3, 0},
      // Both must play their pair with three of the board: the higher pair always wins.
      {ask({"3h3d3c3s", "2c2s2h2d"}), 1, 0},
  };
  for (const Case& known : cases) {
    const double equity = plo::share_of(solve(known.question), 0).equity;
    if (!(std::fabs(equity - known.equity) <= known.within)) fail_msg("%.10f is not %.10f", equity, known.equity);
  }
}

void equities_of_a_deal_sum_to_one_pot_for_every_board(void**) {
  // Four hands that split in every way; the sum in doubles may be off by a rounding, the counts may not.
  const Outcomes outcomes = solve(ask({"AhKdQcJs", "AdKcQsJh", "AcKsQhJd", "AsKhQdJc"}));
  assert_int_equal(outcomes.boards(), 376992);  // C(36, 5)
  assert_int_equal(outcomes.by_winners[0], 0);
  double sum = 0;
  for (size_t hand = 0; hand < 4; ++hand) sum += plo::share_of(outcomes, hand).equity;
  assert_true(std::fabs(sum - 1) < 1e-12);
}

void splits_are_counted_in_whole_parts_of_a_pot(void**) {
  Outcomes outcomes;
  outcomes.by_winners[0b000001] = 1;
  outcomes.by_winners[0b000111] = 1;
  outcomes.by_winners[0b111111] = 1;
  outcomes.by_winners[0b100000] = 3;
  const plo::Share share = plo::share_of(outcomes, 0);
  assert_int_equal(share.win, 1);
  assert_int_equal(share.tie, 2);
  assert_true(share.equity == 0.25);  // (1 + 1/3 + 1/6) / 6
}

void monte_carlo_repeats_with_its_seed_and_comes_close_to_exact(void**) {
  const auto sampled = [](int64_t seed) {
    return solve(ask(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":400000,"seed":)" + std::to_string(seed) + "}"));
  };
  const Outcomes first = sampled(1);
  assert_true(first == sampled(1));
  assert_false(first == sampled(2));
  assert_int_equal(first.boards(), 400000);
  for (int64_t seed = 1; seed <= 5; ++seed)  // five standard errors of sqrt(p (1 - p) / n)
    assert_true(std::fabs(plo::share_of(sampled(seed), 0).equity - 0.585318) < 5 * 0.00078);
}

void monte_carlo_sees_each_outcome_as_often_as_there_are_boards_for_it(void**) {
  // 9 cards left, 126 boards: their outcomes must come in proportion. Chi-squared with at most two degrees of freedom.
  Question question = ask(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"monte-carlo","trials":210000,"seed":3,
    "dead":"AcAdKcKd8d8h8s7c7h7s6d6h6s5c5h5s4c4d4h4s3c3d3h3s2c2d2h2sQcQdQhQsJcJdJh"})");
  assert_int_equal(52 - 8 - question.dead.size(), 9);
  const Outcomes sample = solve(question);
  question.mode = plo::Mode::exact;
  const Outcomes exact = solve(question);
  assert_int_equal(exact.boards(), 126);
  double chi = 0;
  int bins = 0;
  for (size_t i = 0; i < exact.by_winners.size(); ++i) {
    if (exact.by_winners[i] == 0) {
      assert_int_equal(sample.by_winners[i], 0);
      continue;
    }
    const double expected = 210000.0 * static_cast<double>(exact.by_winners[i]) / 126;
    chi += std::pow(static_cast<double>(sample.by_winners[i]) - expected, 2) / expected;
    ++bins;
  }
  assert_true(bins >= 2);
  assert_true(chi < 15);
}

// Known answers of the Random123 distribution, kat_vectors, philox4x32 10.
void philox_gives_its_known_answers(void**) {
  assert_true((plo::philox({0, 0, 0, 0}, 0) == plo::Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  assert_true((plo::philox({~0U, ~0U, ~0U, ~0U}, ~uint64_t{0}) == plo::Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  assert_true((plo::philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
               plo::Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(second_evaluator_agrees_on_thousands_of_random_deals),
      cmocka_unit_test(second_evaluator_agrees_on_whole_deals_from_a_short_deck),
      cmocka_unit_test(published_counts_are_met),
      cmocka_unit_test(published_counts_against_all_hands_are_met),
      cmocka_unit_test(published_equities_are_met),
      cmocka_unit_test(equities_of_a_deal_sum_to_one_pot_for_every_board),
      cmocka_unit_test(splits_are_counted_in_whole_parts_of_a_pot),
      cmocka_unit_test(monte_carlo_repeats_with_its_seed_and_comes_close_to_exact),
      cmocka_unit_test(monte_carlo_sees_each_outcome_as_often_as_there_are_boards_for_it),
      cmocka_unit_test(philox_gives_its_known_answers),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
