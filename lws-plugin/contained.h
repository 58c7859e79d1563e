// The plugin lives in a server that is not ours: whatever breaks in here ends the session or the connection that it broke in, and nothing
// else. Every way from the server into the plugin (callbacks, timers, embed.h), and every loop over what belongs to several clients,
// goes through contained(). Service thread only.
#pragma once

#include <pthread.h>

#include <exception>
#include <utility>

#include "base/invariant.h"
#include "lws-plugin/metrics.h"

namespace jobcast::plugin {

// Counts it, and logs it: a line for each until there are many, then one a second with the number of those that got none.
void report_broken(const char* where, const BrokenInvariant& broken) noexcept;
void report_thrown(const char* where, const char* what) noexcept;

// Of the whole process: where something breaks it is not always known for which vhost.
struct Faults : Metrics {
  Counter invariants_broken{*this, "jobcast_invariants_broken", "Faults of this program that ended one session or connection each."};
  Counter exceptions_contained{*this, "jobcast_exceptions_contained", "Likewise, of what was thrown."};
};
[[nodiscard]] Faults& faults();

// A thread that is cancelled ends by an unwinding that must not be stopped and that lws's frames do not survive: not in here. It ends at
// the server's own next point of cancellation.
class NotCancelled {
 public:
  NotCancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NotCancelled() { pthread_setcancelstate(before_, nullptr); }
  NotCancelled(const NotCancelled&) = delete;
  NotCancelled& operator=(const NotCancelled&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

// Calls `work`. Returns false if it threw, whatever it threw, or if an invariant broke: that is reported, and the caller ends what it was
// working on. `where` names the work in the log.
template <class Work>
[[nodiscard]] bool contained(const char* where, Work&& work) noexcept {
  const NotCancelled not_cancelled;
  const InvariantsThrow invariants_throw;
  try {
    std::forward<Work>(work)();
    return true;
  } catch (const BrokenInvariant& broken) {
    report_broken(where, broken);
  } catch (const std::exception& thrown) {
    report_thrown(where, thrown.what());
  } catch (...) {
    report_thrown(where, "something that is no std::exception");
  }
  return false;
}

}  // namespace jobcast::plugin
