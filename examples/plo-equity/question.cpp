// The job's JSON, read strictly and written compactly.
#include "examples/plo-equity/question.h"

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>

#include "base/fields.h"
#include "base/json.h"
#include "base/text.h"

namespace plo {
namespace {

using jobcast::Fields;

constexpr size_t kTextMax = 256;  // bytes of one field of cards; a whole deck is 104

// Reads fields of cards and remembers where each card was seen.
class Seen {
 public:
  explicit Seen(Fields& fields) : fields_(fields) {}

  std::vector<Card> take(const std::string& field, const std::string& text) {
    auto cards = parse_cards(text);
    if (!cards) {
      fail(field, text, cards.error().detail);
      return {};
    }
    for (const Card card : *cards) {
      const auto [earlier, fresh] = seen_.emplace(card, field);
      if (fresh) continue;
      const std::string name = "the card " + text_of({&card, 1});
      fail(field, text, name + (earlier->second == field ? " is there twice" : " is already in " + earlier->second));
    }
    return std::move(*cards);
  }

  void fail(const std::string& field, const std::string& text, const std::string& problem) {
    fields_.fail(field.c_str(), '"' + jobcast::printable(text, kTextMax) + "\": " + problem);
  }

 private:
  Fields& fields_;
  std::map<Card, std::string> seen_;
};

std::string count_of(size_t cards) { return std::to_string(cards) + (cards == 1 ? " card" : " cards"); }

void read_hands(Fields& in, Seen& cards, Question& question) {
  const auto texts = in.strings("hands", kHandsMax, kTextMax);
  if (texts.size() < kHandsMin) in.fail("hands", "must hold two to six hands, as in [\"AsAhKsKh\",\"8c7d6c5d\"]");
  for (const std::string& text : texts) {
    const std::string field = "hands[" + std::to_string(question.hands.size()) + "]";
    const auto hand = cards.take(field, text);
    if (hand.size() != 4 && hand.size() != 5) cards.fail(field, text, "has " + count_of(hand.size()) + "; a hand has four or five");
    if (!question.hands.empty() && question.hands.front().size() != hand.size())
      cards.fail(field, text,
                 "has " + count_of(hand.size()) + ", but hands[0] has " + std::to_string(question.hands.front().size()) +
                     ": all hands must be of one size");
    question.hands.push_back(hand);
  }
}

}  // namespace

uint64_t Outcomes::boards() const { return std::accumulate(by_winners.begin(), by_winners.end(), uint64_t{0}); }

Outcomes& Outcomes::operator+=(const Outcomes& other) {
  for (size_t i = 0; i < by_winners.size(); ++i) by_winners[i] += other.by_winners[i];
  return *this;
}

Share share_of(const Outcomes& outcomes, size_t hand) {
  constexpr uint64_t kPot = 60;  // the least number that 1 to 6 divide: every split of a pot is a whole number
  Share share;
  uint64_t won = 0;
  for (size_t winners = 0; winners < outcomes.by_winners.size(); ++winners) {
    if (!(winners >> hand & 1)) continue;
    const auto ways = static_cast<uint64_t>(std::popcount(winners));
    (ways == 1 ? share.win : share.tie) += outcomes.by_winners[winners];
    won += outcomes.by_winners[winners] * (kPot / ways);
  }
  const uint64_t boards = outcomes.boards();
  if (boards) share.equity = static_cast<double>(won) / static_cast<double>(kPot * boards);  // both below 2^53: rounded once
  return share;
}

jobcast::Result<Question> read_question(std::string_view json) {
  auto document = jobcast::Json::parse(json, {.bytes_max = 64 * 1024, .depth_max = 4});
  if (!document) return document.error();
  Question question;
  Fields in(document->view());
  Seen cards(in);
  read_hands(in, cards, question);
  const std::string board = in.string("board", "", kTextMax);
  question.board = cards.take("board", board);
  if (const size_t size = question.board.size(); size == 1 || size == 2 || size > 5)
    cards.fail("board", board, "has " + count_of(size) + "; a board has none, three, four or five");
  const std::string dead = in.string("dead", "", kTextMax);
  question.dead = cards.take("dead", dead);
  question.mode = in.choice("mode", "exact", {"exact", "monte-carlo"}) == "exact" ? Mode::exact : Mode::monte_carlo;
  question.trials = static_cast<uint64_t>(in.integer("trials", 1'000'000, 1, int64_t{kTrialsMax}));
  question.seed = static_cast<uint64_t>(in.integer("seed", 1, 0, int64_t{1} << 53));
  if (auto done = in.finish(); !done) return done.error();

  const size_t known = question.hands.size() * question.hands.front().size() + question.board.size() + question.dead.size();
  const size_t missing = 5 - question.board.size();
  if (known + missing > kDeck) {
    cards.fail("dead", dead, "leaves " + count_of(kDeck - known) + " in the deck, but the board still needs " + std::to_string(missing));
    return in.finish().error();
  }
  return question;
}

std::string write_answer(const Question& question, const Outcomes& outcomes) {
  auto hands = jobcast::Json::array();
  for (size_t hand = 0; hand < question.hands.size(); ++hand) {
    const Share share = share_of(outcomes, hand);
    auto entry = jobcast::Json::object();
    entry.set("hand", text_of(question.hands[hand])).set("win", share.win).set("tie", share.tie).set("equity", share.equity);
    hands.push(std::move(entry));
  }
  auto answer = jobcast::Json::object();
  answer.set("boards", outcomes.boards()).set("hands", std::move(hands));
  return answer.dump();
}

}  // namespace plo
