// Where a broken promise goes: the end of the process, or whoever contains it.
#include "base/invariant.h"

#include <cstdio>
#include <cstdlib>

namespace jobcast {
namespace {

thread_local int throwing = 0;

}  // namespace

InvariantsThrow::InvariantsThrow() { ++throwing; }
InvariantsThrow::~InvariantsThrow() { --throwing; }

void break_invariant(const char* file, int line) {
  if (throwing > 0) throw BrokenInvariant{file, line};
  fprintf(stderr, "invariant broken at %s:%d\n", file, line);
  abort();
}

}  // namespace jobcast
