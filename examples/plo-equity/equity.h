// Deals the boards of a question, all of them or a sample, and counts who wins. The work is cut into units that know nothing of each
// other, so any number of threads may take them in any order: the sum is the same. Immutable after construction; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "examples/plo-equity/question.h"
#include "examples/plo-equity/table.h"

namespace plo {

class Equity {
 public:
  explicit Equity(const Question& question);

  [[nodiscard]] uint64_t boards() const { return boards_; }  // that all units together deal
  [[nodiscard]] uint64_t units() const;
  [[nodiscard]] Outcomes run(uint64_t unit) const;  // unit < units(); takes well under a millisecond

 private:
  // Five cards of the table, ascending. Cards from `free` on are chosen; below it, all choices of cards under `limit` are to be dealt.
  struct Start {
    std::array<uint8_t, 5> board{};
    unsigned free = 0;
    unsigned limit = 0;
  };
  template <unsigned lanes>
  [[nodiscard]] Outcomes enumerate(Start start) const;
  template <unsigned lanes>
  [[nodiscard]] Outcomes sample(uint64_t first, uint64_t last) const;
  template <unsigned lanes>
  [[nodiscard]] Outcomes run_on(uint64_t unit) const;

  Question question_;
  Table table_;
  unsigned missing_;           // board cards still to come
  std::vector<Start> starts_;  // exact: one a unit
  uint64_t boards_;
};

}  // namespace plo
