// Cards as numbers and as text: "As" is the ace of spades. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace plo {

using Card = uint8_t;  // 0–51: rank × 4 + suit; rank 0 is the deuce, 12 the ace; suits c, d, h, s
inline constexpr unsigned kDeck = 52;

constexpr unsigned rank_of(Card card) { return card / 4U; }
constexpr unsigned suit_of(Card card) { return card % 4U; }

[[nodiscard]] std::string text_of(std::span<const Card> cards);  // "AsAhKsKh", in the given order

// Two characters a card, either case, blanks between cards allowed. Errc::invalid: the detail names the card that is none.
// Says nothing about duplicates: only the reader of the whole question knows where else a card may be.
[[nodiscard]] jobcast::Result<std::vector<Card>> parse_cards(std::string_view text);

}  // namespace plo
