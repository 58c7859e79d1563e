// Threads that take units from one counter.
#include "examples/plo-equity/crew.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace plo {

std::optional<Outcomes> run(const Equity& equity, unsigned threads, const std::function<void(const Outcomes&)>& report,
                            const std::function<bool()>& cancelled) {
  std::atomic<uint64_t> next{0};  // relaxed throughout: it hands out numbers, the lock publishes the counts
  std::atomic<bool> stop{false};
  std::mutex lock;
  Outcomes total;  // guarded by lock

  const auto work = [&](bool reporter) {
    for (;;) {
      if (stop.load(std::memory_order_relaxed)) return;
      if (cancelled()) return stop.store(true, std::memory_order_relaxed);
      const uint64_t unit = next.fetch_add(1, std::memory_order_relaxed);
      if (unit >= equity.units()) return;
      const Outcomes outcomes = equity.run(unit);
      std::unique_lock held(lock);
      total += outcomes;
      if (!reporter) continue;
      const Outcomes so_far = total;
      held.unlock();
      report(so_far);
    }
  };

  {
    std::vector<std::jthread> others;
    const uint64_t wanted = std::min<uint64_t>(std::max(threads, 1U), equity.units());
    try {
      while (others.size() + 1 < wanted) others.emplace_back(work, false);
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): no more threads to be had, those that run share the work
    }
    work(true);
  }
  if (stop) return std::nullopt;
  report(total);
  return total;
}

}  // namespace plo
