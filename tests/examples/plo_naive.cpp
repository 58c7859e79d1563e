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

Value value_of(const std::vector<plo::Card>& five) {
  std::array<int, 15> count{};
  bool flush = true;
  for (const plo::Card card : five) {
    ++count.at(static_cast<size_t>(card / 4 + 2));
    flush = flush && card % 4 == five[0] % 4;
  }
  // Ranks by how many there are, then by height: 7 7 7 K K reads {7, K}, K K 7 7 A reads {K, 7, A}.
  std::vector<std::pair<int, int>> groups;
  for (int rank = 14; rank >= 2; --rank)
    if (const int n = count.at(static_cast<size_t>(rank))) groups.emplace_back(n, rank);
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  Value value{};
  for (size_t i = 0; i < groups.size(); ++i) value.at(i + 1) = groups[i].second;

  bool straight = groups.size() == 5 && value[1] - value[5] == 4;
  if (groups.size() == 5 && value[1] == 14 && value[2] == 5) {  // A 5 4 3 2: the ace is low
    straight = true;
    value = {0, 5, 4, 3, 2, 1};
  }
  const auto shape = [&](int first, int second) {
    return groups[0].first == first && (second == 0 || (groups.size() > 1 && groups[1].first == second));
  };
  value[0] = straight && flush ? 8
             : shape(4, 0)     ? 7
             : shape(3, 2)     ? 6
             : flush           ? 5
             : straight        ? 4
             : shape(3, 0)     ? 3
             : shape(2, 2)     ? 2
             : shape(2, 0)     ? 1
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
