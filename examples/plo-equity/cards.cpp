// Ranks and suits as letters.
#include "examples/plo-equity/cards.h"

#include <cctype>

#include "base/text.h"

namespace plo {
namespace {

constexpr std::string_view kRanks = "23456789TJQKA";
constexpr std::string_view kSuits = "cdhs";

// One character of UTF-8, so that an error that quotes it is valid text.
std::string_view character(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
  return text.substr(at, end - at);
}

size_t index_of(std::string_view letters, std::string_view wanted, int (*fold)(int)) {
  if (wanted.size() != 1) return std::string_view::npos;
  return letters.find(static_cast<char>(fold(static_cast<unsigned char>(wanted.front()))));
}

std::string quoted(std::string_view text) { return '"' + jobcast::printable(text) + '"'; }

}  // namespace

std::string text_of(std::span<const Card> cards) {
  std::string text;
  for (const Card card : cards) {
    text += kRanks[rank_of(card)];
    text += kSuits[suit_of(card)];
  }
  return text;
}

jobcast::Result<std::vector<Card>> parse_cards(std::string_view text) {
  using jobcast::Errc;
  std::vector<Card> cards;
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const std::string_view rank = character(text, at);
    if (at + rank.size() == text.size()) return {Errc::invalid, quoted(rank) + " is half a card: write rank and suit, as in \"As\""};
    const std::string_view suit = character(text, at + rank.size());
    const std::string name = quoted(text.substr(at, rank.size() + suit.size()));
    const size_t rank_index = index_of(kRanks, rank, std::toupper);
    const size_t suit_index = index_of(kSuits, suit, std::tolower);
    if (rank_index == std::string_view::npos)
      return {Errc::invalid, name + " is not a card: the rank " + quoted(rank) + " is none of 2 3 4 5 6 7 8 9 T J Q K A"};
    if (suit_index == std::string_view::npos)
      return {Errc::invalid, name + " is not a card: the suit " + quoted(suit) + " is none of c d h s"};
    cards.push_back(static_cast<Card>(rank_index * 4 + suit_index));
    at += rank.size() + suit.size();
  }
  return cards;
}

}  // namespace plo
