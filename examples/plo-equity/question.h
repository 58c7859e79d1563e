// What is asked and what is answered: the job's args and its result. Pure; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "examples/plo-equity/cards.h"

namespace plo {

inline constexpr size_t kHandsMin = 2, kHandsMax = 6;
inline constexpr uint64_t kTrialsMax = 1'000'000'000'000;

enum class Mode { exact, monte_carlo };

struct Question {
  std::vector<std::vector<Card>> hands;  // two to six, all of four or all of five cards
  std::vector<Card> board;               // 0, 3, 4 or 5 cards
  std::vector<Card> dead;                // seen by somebody: on no board
  Mode mode = Mode::exact;
  uint64_t trials = 1'000'000;  // monte-carlo only
  uint64_t seed = 1;            // monte-carlo only
};

// How often each set of hands had the best five cards: bit h of the index is hand h. All that an answer needs, in whole numbers.
struct Outcomes {
  std::array<uint64_t, 1U << kHandsMax> by_winners{};

  [[nodiscard]] uint64_t boards() const;
  Outcomes& operator+=(const Outcomes& other);
  bool operator==(const Outcomes&) const = default;
};

struct Share {
  uint64_t win = 0;   // boards that this hand wins alone
  uint64_t tie = 0;   // boards that it splits with one or more others
  double equity = 0;  // its part of all pots, a pot of a k-way tie giving 1/k; nearest double to the exact fraction
};
[[nodiscard]] Share share_of(const Outcomes& outcomes, size_t hand);

// Errc::invalid; `field` and detail name the field, and the card where one is at fault.
[[nodiscard]] jobcast::Result<Question> read_question(std::string_view json);
[[nodiscard]] std::string write_answer(const Question& question, const Outcomes& outcomes);

}  // namespace plo
