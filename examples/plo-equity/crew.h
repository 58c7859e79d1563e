// Threads that share the units of one Equity. The caller's thread works too, and is the only one that reports.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "examples/plo-equity/equity.h"

namespace plo {

// `report` is called by the calling thread only, after each of its own units, with all that is counted so far; never with less than before,
// and at last with everything. `cancelled` is asked by every thread between two units. Gives nothing when it was cancelled.
[[nodiscard]] std::optional<Outcomes> run(const Equity& equity, unsigned threads, const std::function<void(const Outcomes&)>& report,
                                          const std::function<bool()>& cancelled);

}  // namespace plo
