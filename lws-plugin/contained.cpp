// What is logged and counted when something broke.
#include "lws-plugin/contained.h"

#include "base/clock.h"
#include "base/log.h"
#include "lws-plugin/limits.h"

namespace jobcast::plugin {
namespace {

// Whether this one gets a line; `unsaid`: how many got none since the last that did.
bool says(uint64_t& unsaid) {
  static Rate rate(1, 20);
  static uint64_t kept = 0;
  if (!rate.take(now().mono_ns)) {
    ++kept;
    return false;
  }
  unsaid = std::exchange(kept, 0);
  return true;
}

}  // namespace

void report_broken(const char* where, const BrokenInvariant& broken) noexcept {
  ++faults().invariants_broken;
  try {
    uint64_t unsaid = 0;
    if (says(unsaid)) log::error("invariant_broken", {{"in", where}, {"file", broken.file}, {"line", broken.line}, {"unsaid", unsaid}});
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory even for that
  }
}

void report_thrown(const char* where, const char* what) noexcept {
  ++faults().exceptions_contained;
  try {
    uint64_t unsaid = 0;
    if (says(unsaid)) log::error("exception", {{"in", where}, {"what", what}, {"unsaid", unsaid}});
  } catch (...) {  // NOLINT(bugprone-empty-catch): as above
  }
}

Faults& faults() {
  static Faults all;
  return all;
}

}  // namespace jobcast::plugin
