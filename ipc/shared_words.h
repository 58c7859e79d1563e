// Words that two processes share: every access says its order, and the call says why beside it. Any thread.
#pragma once

#include <cstdint>

#include "jobcast/ring.h"

namespace jobcast {

[[nodiscard]] inline uint32_t load_relaxed(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }
[[nodiscard]] inline uint32_t load_acquire(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
inline void store_relaxed(uint32_t& word, uint32_t value) { __atomic_store_n(&word, value, __ATOMIC_RELAXED); }
inline void store_release(uint32_t& word, uint32_t value) { __atomic_store_n(&word, value, __ATOMIC_RELEASE); }

// `bytes` is a multiple of 8, both sides are aligned to 8. Relaxed: the caller's fences order them.
inline void copy_in(void* to, const void* from, uint32_t bytes) {
  auto* target = static_cast<jobcast_word*>(to);
  const auto* source = static_cast<const jobcast_word*>(from);
  for (uint32_t i = 0; i < bytes / sizeof(jobcast_word); ++i) __atomic_store_n(target + i, source[i], __ATOMIC_RELAXED);
}

}  // namespace jobcast
