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

#ifdef JOBCAST_COPY_64
#ifdef __AVX512F__
#define JOBCAST_ZMM16 , "xmm16"  // a compiler that may keep values there must know
#else
#define JOBCAST_ZMM16  // and another does not know its name
#endif
inline const bool kWideStores = __builtin_cpu_supports("avx512f");
#endif

// A hint, for any address: it never faults. GCC takes the builtin for a read where it may not assume the instruction.
inline void prefetch_for_write(const void* address) {
#ifdef __x86_64__
  __asm__ volatile("prefetchw (%0)" : : "r"(address));
#else
  __builtin_prefetch(address, 1);
#endif
}

// From private memory to shared: `bytes` is a multiple of 8, `to` is aligned to 8. The caller's fences order it.
inline void copy_in(unsigned char* to, const char* from, uint32_t bytes) {
#ifdef JOBCAST_COPY_64
  // A line in one store: stores of 16 bytes fill the processor's store buffer while it waits for lines that a reader had (512-byte
  // records to one reader: 15 → 19 M/s). zmm16, which no SSE code can see, leaves nothing behind that would slow such code.
  if (kWideStores)
    for (; bytes >= 64; bytes -= 64, to += 64, from += 64)
      __asm__ volatile("vmovdqu64 (%1), %%zmm16\n\tvmovdqu64 %%zmm16, (%0)" : : "r"(to), "r"(from) : "memory" JOBCAST_ZMM16);
  for (; bytes >= 64; bytes -= 64, to += 64, from += 64) JOBCAST_COPY_64(to, from);
#endif
  for (; bytes > 0; bytes -= static_cast<uint32_t>(sizeof(jobcast_word)), to += sizeof(jobcast_word), from += sizeof(jobcast_word)) {
    jobcast_word word;
    memcpy(&word, from, sizeof word);
    __atomic_store_n(reinterpret_cast<jobcast_word*>(to), word, __ATOMIC_RELAXED);
  }
}

}  // namespace jobcast
