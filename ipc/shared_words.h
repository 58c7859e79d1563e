// Words that two processes share: every access says its order, and the call says why beside it. Any thread.
#pragma once

#include <cstdint>
#include <cstring>

#include "jobcast/ring.h"

namespace jobcast {

[[nodiscard]] inline uint32_t load_relaxed(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }
[[nodiscard]] inline uint32_t load_acquire(const uint32_t& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
inline void store_relaxed(uint32_t& word, uint32_t value) { __atomic_store_n(&word, value, __ATOMIC_RELAXED); }
inline void store_release(uint32_t& word, uint32_t value) { __atomic_store_n(&word, value, __ATOMIC_RELEASE); }

// From private memory to shared: `bytes` is a multiple of 8, `to` is aligned to 8. The caller's fences order it.
inline void copy_in(unsigned char* to, const char* from, uint32_t bytes) {
#ifdef JOBCAST_COPY_64
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) JOBCAST_COPY_64(to, from);
#endif
  for (; bytes > 0; bytes -= static_cast<uint32_t>(sizeof(jobcast_word)), to += sizeof(jobcast_word), from += sizeof(jobcast_word)) {
    jobcast_word word;
    memcpy(&word, from, sizeof word);
    __atomic_store_n(reinterpret_cast<jobcast_word*>(to), word, __ATOMIC_RELAXED);
  }
}

}  // namespace jobcast
