// "Did you mean …?": the known name nearest to one that was mistyped. Pure; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace jobcast {

// The name of `known` at most two edits away from `name` (Levenshtein), the nearest first; else one that `name` (of 4 letters or
// more) begins; "" when there is none.
[[nodiscard]] std::string closest(std::string_view name, std::span<const std::string> known);

}  // namespace jobcast
