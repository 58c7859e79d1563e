// Runs a relacy model of one mechanism, and each of its mutants: the model must hold, every mutant must be caught. A checker that lets
// one pass is itself at fault. Models repeat the orders of the code that they name; docs/shared-memory.md lists both side by side.
#pragma once

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <relacy/relacy.hpp>

namespace model {

constexpr unsigned kIterations = 300000;        // random schedules a model must survive
constexpr unsigned kMutantIterations = 400000;  // at most, until a mutant is caught

template <class Suite>
bool holds(unsigned iterations, unsigned long long* at) {
  rl::test_params params;
  std::ofstream quiet("/dev/null");
  params.iteration_count = iterations;
  params.output_stream = &quiet;
  params.progress_stream = &quiet;
  params.search_type = rl::random_scheduler_type;
  params.execution_depth_limit = 4000;
  const bool held = rl::simulate<Suite>(params);
  *at = params.stop_iteration;
  return held;
}

// What is wrong in mutant n is named by names[n]; names[0] is the model itself.
template <template <int> class Suite, int mutant = 0, int count>
int check(const char* const (&names)[count]) {
  unsigned long long at = 0;
  const bool held = holds<Suite<mutant>>(mutant == 0 ? kIterations : kMutantIterations, &at);
  const bool right = held == (mutant == 0);
  std::printf("%-8s %s", right ? "ok" : "FAILED", names[mutant]);
  if (mutant != 0) std::printf(held ? ": not caught\n" : ": caught in schedule %llu\n", at);
  if (mutant == 0) std::printf(held ? ": holds in %llu schedules\n" : ": broken in schedule %llu\n", at);
  std::fflush(stdout);
  int failures = right ? 0 : 1;
  if constexpr (mutant + 1 < count) failures += check<Suite, mutant + 1>(names);
  return failures;
}

}  // namespace model
