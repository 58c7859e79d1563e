// Any bytes, as the args of a plo-equity job: refused with one line that can be shown, or a deal that can be played.
#include <bitset>

#include "base/invariant.h"
#include "base/json.h"
#include "examples/plo-equity/equity.h"

using jobcast::invariant;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto question = plo::read_question({reinterpret_cast<const char*>(data), size});
  if (!question) {
    const auto& error = question.error();
    invariant(error.code == jobcast::Errc::invalid);
    invariant(!error.detail.empty() && jobcast::is_utf8(error.detail) && error.detail.find('\n') == std::string::npos);
    return 0;
  }
  std::bitset<plo::kDeck> seen;
  size_t cards = 0;
  const auto see = [&](const std::vector<plo::Card>& some) {
    cards += some.size();
    for (const plo::Card card : some) seen.set(card);
  };
  invariant(question->hands.size() >= plo::kHandsMin && question->hands.size() <= plo::kHandsMax);
  for (const auto& hand : question->hands) {
    invariant(hand.size() == question->hands[0].size() && (hand.size() == 4 || hand.size() == 5));
    see(hand);
  }
  see(question->board);
  see(question->dead);
  invariant(seen.count() == cards && cards + 5 - question->board.size() <= plo::kDeck);

  if (question->board.empty()) return 0;  // the table of a whole deck takes too long for a fuzzer
  const plo::Equity equity(*question);
  const plo::Outcomes outcomes = equity.run(equity.units() - 1);
  invariant(outcomes.boards() > 0 && outcomes.by_winners[0] == 0);
  invariant(jobcast::Json::parse(plo::write_answer(*question, outcomes)).ok());
  return 0;
}
