// How strong five cards are, as one small number. Pure; any thread.
#pragma once

#include <cstdint>

#include "examples/plo-equity/cards.h"

namespace plo {

// Greater wins, equal splits. 1–8684: categories stand one above the other, and inside each the ranks that decide are counted off.
// 16 bits signed, because that is what the oldest x86-64 can take the maximum of, eight at a time.
using Strength = int16_t;

// First strength of each category.
inline constexpr Strength kHighCard = 1, kPair = 1288, kTwoPair = 5006, kTrips = 6020, kStraight = 7034, kFlush = 7047, kFullHouse = 8334,
                          kQuads = 8503, kStraightFlush = 8672;

[[nodiscard]] Strength strength(Card a, Card b, Card c, Card d, Card e);

}  // namespace plo
