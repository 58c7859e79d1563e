// Levenshtein's distance over short names.
#include "base/closest.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace jobcast {
namespace {

// Levenshtein distance; both strings are short names.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string closest(std::string_view name, std::span<const std::string> known) {
  size_t best = 3;
  std::string found;
  for (const std::string& candidate : known) {
    const size_t edits = distance(name, candidate);
    if (edits >= best) continue;
    best = edits;
    found = candidate;
  }
  if (!found.empty() || name.size() < 4) return found;
  const auto longer = std::ranges::find_if(known, [&](const std::string& candidate) { return candidate.starts_with(name); });
  return longer == known.end() ? "" : *longer;
}

}  // namespace jobcast
