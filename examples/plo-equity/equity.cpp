// One unit of boards at a time.
#include "examples/plo-equity/equity.h"

#include <algorithm>
#include <bit>

#include "examples/plo-equity/philox.h"

namespace plo {
namespace {

constexpr uint64_t kTrialsPerUnit = 1 << 13;

template <unsigned lanes>
struct Row {
  std::array<Strength, lanes> at{};

  explicit Row(const Strength* from) { std::copy_n(from, lanes, at.begin()); }
  void raise(const Strength* other) {
    for (unsigned i = 0; i < lanes; ++i) at[i] = std::max(at[i], other[i]);
  }
  [[nodiscard]] unsigned winners() const {
    const Strength best = *std::max_element(at.begin(), at.end());
    unsigned mask = 0;
    for (unsigned i = 0; i < lanes; ++i) mask |= static_cast<unsigned>(at[i] == best) << i;
    return mask;
  }
};

// Counts the boards {first, …}, …, {last - 1, …} that end in the same four cards: four of the ten triples are the same for all of them.
template <unsigned lanes>
void showdowns(const Table& table, const std::array<uint8_t, 5>& board, unsigned first, unsigned last, Outcomes& outcomes) {
  const auto [_, b, c, d, e] = board;
  Row<lanes> common(table.rows(c, d) + b * lanes);
  common.raise(table.rows(c, e) + b * lanes);
  common.raise(table.rows(d, e) + b * lanes);
  common.raise(table.rows(d, e) + c * lanes);
  const std::array pairs{table.rows(b, c), table.rows(b, d), table.rows(b, e), table.rows(c, d), table.rows(c, e), table.rows(d, e)};
  for (unsigned a = first; a < last; ++a) {
    Row<lanes> row = common;
    for (const Strength* pair : pairs) row.raise(pair + a * lanes);
    ++outcomes.by_winners[row.winners()];
  }
}

uint64_t choose(unsigned n, unsigned k) {
  uint64_t result = 1;
  for (unsigned i = 1; i <= k; ++i) result = result * (n - k + i) / i;
  return result;
}

}  // namespace

Equity::Equity(const Question& question)
    : question_(question), table_(question), missing_(static_cast<unsigned>(5 - question.board.size())), boards_(question.trials) {
  if (question.mode == Mode::monte_carlo) return;
  boards_ = choose(table_.stub(), missing_);
  // A unit is all boards of the same two highest missing cards, or of the highest where two are missing: at most a thousand units.
  Start start{.free = missing_, .limit = table_.stub()};
  for (unsigned i = missing_; i < 5; ++i) start.board[i] = static_cast<uint8_t>(table_.stub() + i - missing_);
  starts_ = {start};
  for (unsigned level = 0; level < 2 && missing_ > level + 1; ++level) {
    std::vector<Start> split;
    for (Start from : starts_) {
      --from.free;
      for (unsigned card = from.limit; card-- > from.free;) {  // the largest units first, so that no thread is left with one at the end
        from.board[from.free] = static_cast<uint8_t>(card);
        split.push_back({from.board, from.free, card});
      }
    }
    starts_ = std::move(split);
  }
}

uint64_t Equity::units() const {
  return question_.mode == Mode::exact ? starts_.size() : (question_.trials + kTrialsPerUnit - 1) / kTrialsPerUnit;
}

Outcomes Equity::run(uint64_t unit) const {
  switch (table_.lanes()) {
    case 2: return run_on<2>(unit);
    case 4: return run_on<4>(unit);
    default: return run_on<8>(unit);
  }
}

template <unsigned lanes>
Outcomes Equity::run_on(uint64_t unit) const {
  if (question_.mode == Mode::exact) return enumerate<lanes>(starts_[unit]);
  return sample<lanes>(unit * kTrialsPerUnit, std::min((unit + 1) * kTrialsPerUnit, question_.trials));
}

template <unsigned lanes>
Outcomes Equity::enumerate(Start start) const {
  Outcomes outcomes;
  const auto deal = [&](auto&& self, unsigned free, unsigned limit) -> void {
    if (free <= 1) {
      const unsigned first = free == 0 ? start.board[0] : 0;
      showdowns<lanes>(table_, start.board, first, free == 0 ? first + 1 : limit, outcomes);
      return;
    }
    for (unsigned card = limit; card-- > free - 1;) {
      start.board[free - 1] = static_cast<uint8_t>(card);
      self(self, free - 1, card);
    }
  };
  deal(deal, start.free, start.limit);
  return outcomes;
}

// Trial t takes word t % 4 of the generator's block t / 4, as a fraction of the number of orders in which the missing cards can come.
// A fraction that would favour some order (Lemire 2019) is drawn again from the same word of the next attempt's block.
template <unsigned lanes>
Outcomes Equity::sample(uint64_t first, uint64_t last) const {
  uint64_t orders = 1;
  for (unsigned i = 0; i < missing_; ++i) orders *= table_.stub() - i;  // at most 44 × 43 × 42 × 41 × 40 < 2^32
  const auto unfair = static_cast<uint32_t>((uint64_t{1} << 32) % orders);
  const uint64_t dealt = ((uint64_t{1} << (5 - missing_)) - 1) << table_.stub();

  // Floyd's way to a random set (Bentley 1987). Leaves what is left of the fraction.
  const auto choose_set = [&](uint32_t& fraction) {
    uint64_t chosen = 0;
    for (unsigned next = table_.stub() - missing_; next < table_.stub(); ++next) {
      const uint64_t scaled = uint64_t{fraction} * (next + 1);
      const auto card = static_cast<unsigned>(scaled >> 32);
      fraction = static_cast<uint32_t>(scaled);
      chosen |= uint64_t{1} << (chosen >> card & 1 ? next : card);
    }
    return chosen;
  };

  Outcomes outcomes;
  for (uint64_t block = first / 4; block * 4 < last; ++block) {
    const auto words = [&](uint32_t attempt) {
      return philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), attempt, 0}, question_.seed);
    };
    const Words drawn = words(0);
    for (size_t word = 0; word < std::min(last - block * 4, uint64_t{4}); ++word) {
      uint32_t fraction = drawn[word];
      uint64_t chosen = choose_set(fraction);
      for (uint32_t attempt = 1; fraction < unfair; ++attempt) {
        fraction = words(attempt)[word];
        chosen = choose_set(fraction);
      }
      std::array<uint8_t, 5> board{};
      uint64_t rest = chosen | dealt;
      for (uint8_t& card : board) {
        card = static_cast<uint8_t>(std::countr_zero(rest));
        rest &= rest - 1;
      }
      showdowns<lanes>(table_, board, board[0], board[0] + 1U, outcomes);
    }
  }
  return outcomes;
}

}  // namespace plo
