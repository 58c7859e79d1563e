// Every one of the 2,598,960 five-card hands: their numbers are known, and their order must be the rule book's.
#include "examples/plo-equity/strength.h"

#include <algorithm>
#include <array>
#include <map>

#include "tests/cmocka.h"
#include "tests/examples/plo_naive.h"

namespace {

using plo::Card;

plo::Strength of(const char* text) {
  const auto cards = plo::parse_cards(text);
  assert_true(cards.ok() && cards->size() == 5);
  const auto& c = *cards;
  return plo::strength(c[0], c[1], c[2], c[3], c[4]);
}

// https://en.wikipedia.org/wiki/Poker_probability: frequencies, and 7462 distinct values (10 156 156 1277 10 858 858 2860 1277).
void all_hands_have_the_known_frequencies_and_the_rule_books_order(void**) {
  std::array<int, 9> frequency{};
  std::map<naive::Value, plo::Strength> values;
  for (unsigned a = 0; a < 52; ++a)
    for (unsigned b = 0; b < a; ++b)
      for (unsigned c = 0; c < b; ++c)
        for (unsigned d = 0; d < c; ++d)
          for (unsigned e = 0; e < d; ++e) {
            const std::array<Card, 5> five{static_cast<Card>(a), static_cast<Card>(b), static_cast<Card>(c), static_cast<Card>(d),
                                           static_cast<Card>(e)};
            const naive::Value value = naive::value_of(five);
            const plo::Strength strength = plo::strength(five[0], five[1], five[2], five[3], five[4]);
            ++frequency.at(static_cast<size_t>(value[0]));
            if (values.emplace(value, strength).first->second != strength)
              fail_msg("%s is not as strong as its equals", plo::text_of(five).c_str());
          }
  constexpr std::array<int, 9> kKnown{1302540, 1098240, 123552, 54912, 10200, 5108, 3744, 624, 40};
  assert_true(frequency == kKnown);
  assert_int_equal(values.size(), 7462);
  const auto out_of_order =
      std::adjacent_find(values.begin(), values.end(), [](const auto& low, const auto& high) { return low.second >= high.second; });
  assert_true(out_of_order == values.end());
}

void categories_begin_where_the_header_says(void**) {
  assert_int_equal(of("7c5d4h3s2c"), plo::kHighCard + 1);  // 6 5 4 3 2 would be the least set, but is a straight
  assert_int_equal(of("2c2d3h4s5c"), plo::kPair + 3);
  assert_int_equal(of("2c2d3h3s4c"), plo::kTwoPair + 2);
  assert_int_equal(of("2c2d2h4s3c"), plo::kTrips + 2);
  assert_int_equal(of("Ac2d3h4s5c"), plo::kStraight + 3);
  assert_int_equal(of("7c5c4c3c2c"), plo::kFlush + 1);
  assert_int_equal(of("2c2d2h3s3c"), plo::kFullHouse + 1);
  assert_int_equal(of("2c2d2h2s3c"), plo::kQuads + 1);
  assert_int_equal(of("Ac2c3c4c5c"), plo::kStraightFlush + 3);
  assert_int_equal(of("AcKcQcJcTc"), 8684);
}

void order_of_the_five_cards_does_not_matter(void**) {
  std::array<Card, 5> cards{0, 17, 18, 35, 51};
  const auto first = plo::strength(cards[0], cards[1], cards[2], cards[3], cards[4]);
  while (std::next_permutation(cards.begin(), cards.end()))
    assert_int_equal(plo::strength(cards[0], cards[1], cards[2], cards[3], cards[4]), first);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(all_hands_have_the_known_frequencies_and_the_rule_books_order),
      cmocka_unit_test(categories_begin_where_the_header_says),
      cmocka_unit_test(order_of_the_five_cards_does_not_matter),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
