// Tables that are worked out once.
#include "examples/plo-equity/strength.h"

#include <array>
#include <bit>

namespace plo {
namespace {

constexpr unsigned kMasks = 1U << 13;

// A set of ranks is a 13-bit mask. Of two sets of one size the one with the greater mask wins, so its place among the sets of that
// size is all that has to be kept of it.
constexpr std::array<uint16_t, kMasks> kPlace = [] {
  std::array<uint16_t, kMasks> place{};
  std::array<uint16_t, 14> seen{};
  for (unsigned mask = 0; mask < kMasks; ++mask) place[mask] = seen[static_cast<size_t>(std::popcount(mask))]++;
  return place;
}();

constexpr unsigned kRanks = 13, kPairsOfRanks = 78, kTriplesOfRanks = 286;  // 13 choose 1, 2, 3
constexpr unsigned kWheel = 0b1'0000'0000'1111;                             // the ace plays low: 5 4 3 2 A

constexpr unsigned top(unsigned mask) { return static_cast<unsigned>(std::bit_width(mask)) - 1; }

constexpr Strength at(Strength first, unsigned place) { return static_cast<Strength>(static_cast<unsigned>(first) + place); }

Strength of_distinct(unsigned ranks, bool flush) {
  const unsigned lowest = ranks & (~ranks + 1);
  if (ranks == lowest * 0b11111) return at(flush ? kStraightFlush : kStraight, top(ranks));
  if (ranks == kWheel) return at(flush ? kStraightFlush : kStraight, top(ranks & ~(1U << 12)));
  return at(flush ? kFlush : kHighCard, kPlace[ranks]);
}

}  // namespace

Strength strength(Card a, Card b, Card c, Card d, Card e) {
  unsigned one = 0, two = 0, three = 0, four = 0;  // ranks that are there at least so many times
  unsigned suits = 0;
  for (const Card card : {a, b, c, d, e}) {
    const unsigned rank = 1U << rank_of(card);
    four |= three & rank;
    three |= two & rank;
    two |= one & rank;
    one |= rank;
    suits |= 1U << suit_of(card);
  }
  if (two == 0) return of_distinct(one, std::has_single_bit(suits));
  if (four) return at(kQuads, top(four) * kRanks + top(one ^ four));
  if (three && two != three) return at(kFullHouse, top(three) * kRanks + top(two ^ three));
  if (three) return at(kTrips, top(three) * kPairsOfRanks + kPlace[one ^ three]);
  if (!std::has_single_bit(two)) return at(kTwoPair, kPlace[two] * kRanks + top(one ^ two));
  return at(kPair, top(two) * kTriplesOfRanks + kPlace[one ^ two]);
}

}  // namespace plo
