// The best that each hand makes of any three board cards. In Omaha a hand plays exactly two of its own cards with three of the
// board, so its strength on a board is the greatest of ten entries of this table. Built once for a question, then read by all threads.
#pragma once

#include <cstdint>
#include <vector>

#include "examples/plo-equity/question.h"
#include "examples/plo-equity/strength.h"

namespace plo {

class Table {
 public:
  explicit Table(const Question& question);

  // The cards that a board can hold are numbered: first the stub, 0 to stub() - 1, then the board cards that are already dealt.
  [[nodiscard]] unsigned stub() const { return stub_; }

  // Strengths of all hands side by side, padded with 0 to 2, 4 or 8: one row is one vector.
  [[nodiscard]] unsigned lanes() const { return lanes_; }

  // Rows of {0, middle, high}, {1, middle, high}, … stand one behind the other. middle < high.
  [[nodiscard]] const Strength* rows(unsigned middle, unsigned high) const { return strengths_.data() + lanes_ * place(0, middle, high); }

 private:
  static constexpr unsigned place(unsigned low, unsigned middle, unsigned high) {
    return low + middle * (middle - 1) / 2 + high * (high - 1) * (high - 2) / 6;
  }

  unsigned stub_ = 0;
  unsigned lanes_ = 0;
  std::vector<Strength> strengths_;
};

}  // namespace plo
