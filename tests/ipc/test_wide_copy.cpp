// copy_in() moves a line through a register that only AVX-512 code can name. Built as such code (-march=native), what the compiler keeps
// there must survive: the functions here keep every register busy around the copy.
#include <cstring>

#include "ipc/shared_words.h"
#include "tests/cmocka.h"

namespace {

typedef uint32_t Vector __attribute__((vector_size(64)));
constexpr int kVectors = 32;  // as many as there are registers

__attribute__((noinline)) uint32_t sum_around_a_copy(unsigned char* to, const char* from, const Vector* values) {
  Vector live[kVectors];
#pragma GCC unroll 32
  for (int i = 0; i < kVectors; ++i) live[i] = values[i];
#pragma GCC unroll 32
  for (int i = 0; i < kVectors; ++i) live[i] += live[(i + 7) % kVectors];
  jobcast::copy_in(to, from, 64);
#pragma GCC unroll 32
  for (int i = 0; i < kVectors; ++i) live[i] += live[(i + 5) % kVectors];
  Vector all{};
#pragma GCC unroll 32
  for (int i = 0; i < kVectors; ++i) all ^= live[i] * static_cast<uint32_t>(2 * i + 1);
  uint32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum = sum * 31 + all[i];
  return sum;
}

void a_copy_leaves_the_compiler_s_registers_alone(void**) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512f")) skip();
#endif
  alignas(64) unsigned char to[64];
  alignas(64) char zeros[64] = {}, others[64];
  memset(others, 77, sizeof others);
  alignas(64) Vector values[kVectors];
  for (int i = 0; i < kVectors; ++i)
    for (int k = 0; k < 16; ++k) values[i][k] = static_cast<uint32_t>(i * 1234567 + k);
  const uint32_t sum = sum_around_a_copy(to, zeros, values);
  assert_int_equal(sum_around_a_copy(to, others, values), sum);
  assert_memory_equal(to, others, sizeof to);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(a_copy_leaves_the_compiler_s_registers_alone)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
