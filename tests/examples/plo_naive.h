// Omaha as the rule book tells it, one combination after the other and with no table: the second opinion on examples/plo-equity.
// Shares nothing with it but the question and the way its answer is written down.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "examples/plo-equity/question.h"

namespace naive {

// Category (8 straight flush … 0 high card) and then the ranks that decide, 14 for an ace; arrays compare as hands do.
using Value = std::array<int, 6>;
Value value_of(const std::array<plo::Card, 5>& five);

// Every board, every choice of two from the hand and three from the board.
plo::Outcomes every_board(const plo::Question& question);
// The hands that win on this board of five, as a bit mask.
unsigned winners(const std::vector<std::vector<plo::Card>>& hands, const std::vector<plo::Card>& board);

}  // namespace naive
