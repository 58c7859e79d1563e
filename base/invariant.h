// What this program promised itself, checked in release builds too: a broken promise ends the process before it can do harm.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace jobcast {

inline void invariant(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (holds) [[likely]]
    return;
  fprintf(stderr, "invariant broken at %s:%d\n", file, line);
  abort();
}

}  // namespace jobcast
