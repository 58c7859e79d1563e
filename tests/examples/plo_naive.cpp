// Every combination, one after the other.
#include "tests/examples/plo_naive.h"

#include <algorithm>
#include <functional>

namespace naive {
namespace {

Value best_of(const std::vector<plo::Card>& hand, const std::vector<plo::Card>& board) {
  Value best{-1};
  for (size_t i = 0; i < hand.size(); ++i)
    for (size_t j = i + 1; j < hand.size(); ++j)
      for (size_t a = 0; a < 5; ++a)
        for (size_t b = a + 1; b < 5; ++b)
          for (size_t c = b + 1; c < 5; ++c) best = std::max(best, value_of({hand[i], hand[j], board[a], board[b], board[c]}));
  return best;
}

}  // namespace

Value value_of(const std::array<plo::Card, 5>& five) {
  std::array<int, 15> count{};
  bool flush = true;
  for (const plo::Card card : five) {
    ++count[card / 4U + 2];
    flush = flush && card % 4 == five[0] % 4;
  }
  // Ranks by how many there are, then by height: 7 7 7 K K reads 7 K, and K K 7 7 A reads K 7 A.
  Value value{};
  std::array<int, 6> many{};
  int groups = 0;
  for (int n = 4; n >= 1; --n)
    for (size_t rank = 14; rank >= 2; --rank)
      if (count[rank] == n) {
        const auto group = static_cast<size_t>(++groups);
        value[group] = static_cast<int>(rank);
        many[group] = n;
      }

  bool straight = groups == 5 && value[1] - value[5] == 4;
  if (groups == 5 && value[1] == 14 && value[2] == 5) {  // A 5 4 3 2: the ace is low
    straight = true;
    value = {0, 5, 4, 3, 2, 1};
  }
  const auto shape = [&](int first, int second) { return many[1] == first && many[2] == second; };
  value[0] = straight && flush ? 8
             : shape(4, 1)     ? 7
             : shape(3, 2)     ? 6
             : flush           ? 5
             : straight        ? 4
             : shape(3, 1)     ? 3
             : shape(2, 2)     ? 2
             : shape(2, 1)     ? 1
                               : 0;
  return value;
}

unsigned winners(const std::vector<std::vector<plo::Card>>& hands, const std::vector<plo::Card>& board) {
  Value best{-1};
  unsigned mask = 0;
  for (size_t hand = 0; hand < hands.size(); ++hand) {
    const Value value = best_of(hands[hand], board);
    if (value > best) mask = 0;
    if (value >= best) mask |= 1U << hand;
    best = std::max(best, value);
  }
  return mask;
}

plo::Outcomes every_board(const plo::Question& question) {
  std::vector<plo::Card> stub;
  for (int card = 0; card < 52; ++card) {
    const auto in = [card](const std::vector<plo::Card>& cards) { return std::find(cards.begin(), cards.end(), card) != cards.end(); };
    if (!in(question.board) && !in(question.dead) && std::none_of(question.hands.begin(), question.hands.end(), in))
      stub.push_back(static_cast<plo::Card>(card));
  }
  plo::Outcomes outcomes;
  std::vector<plo::Card> board = question.board;
  const std::function<void(size_t)> deal = [&](size_t from) {
    if (board.size() == 5) {
      ++outcomes.by_winners.at(winners(question.hands, board));
      return;
    }
    for (size_t i = from; i < stub.size(); ++i) {
      board.push_back(stub[i]);
      deal(i + 1);
      board.pop_back();
    }
  };
  deal(0);
  return outcomes;
}

}  // namespace naive
