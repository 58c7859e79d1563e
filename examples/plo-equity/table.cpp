// Two of four and three of five, all of them.
#include "examples/plo-equity/table.h"

#include <algorithm>
#include <bit>
#include <bitset>

namespace plo {
namespace {

Strength best(const std::vector<Card>& hand, Card a, Card b, Card c) {
  Strength best = 0;
  for (size_t i = 1; i < hand.size(); ++i)
    for (size_t j = 0; j < i; ++j) best = std::max(best, strength(hand[i], hand[j], a, b, c));
  return best;
}

}  // namespace

Table::Table(const Question& question) : lanes_(std::bit_ceil(static_cast<unsigned>(question.hands.size()))) {
  std::bitset<kDeck> gone;
  for (const auto& hand : question.hands)
    for (const Card card : hand) gone.set(card);
  for (const auto* cards : {&question.board, &question.dead})
    for (const Card card : *cards) gone.set(card);
  std::vector<Card> live;
  for (unsigned card = 0; card < kDeck; ++card)
    if (!gone[card]) live.push_back(static_cast<Card>(card));
  stub_ = static_cast<unsigned>(live.size());
  live.insert(live.end(), question.board.begin(), question.board.end());

  // A board holds all of the cards that are dealt already, so only so many of the stub as are missing: other triples stay empty.
  const auto count = static_cast<unsigned>(live.size());
  const size_t missing = 5 - question.board.size();
  const unsigned low_from = missing < 1 ? stub_ : 0;
  const unsigned middle_from = missing < 2 ? stub_ : 1;
  const unsigned high_from = missing < 3 ? stub_ : 2;
  strengths_.assign(size_t{lanes_} * place(0, 0, count), 0);
  for (unsigned high = std::max(high_from, 2U); high < count; ++high)
    for (unsigned middle = std::max(middle_from, 1U); middle < high; ++middle)
      for (unsigned low = low_from; low < middle; ++low)
        for (size_t hand = 0; hand < question.hands.size(); ++hand)
          strengths_[size_t{lanes_} * place(low, middle, high) + hand] = best(question.hands[hand], live[low], live[middle], live[high]);
}

}  // namespace plo
