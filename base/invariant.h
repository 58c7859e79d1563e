// What this program promised itself, checked in release builds too. A broken promise ends the process before it can do harm; inside a
// server that is not ours (the plugin), where InvariantsThrow stands, it ends only what was being done.
#pragma once

namespace jobcast {

// Thrown by invariant() where InvariantsThrow stands. Not a std::exception, so that nobody takes it for one of the standard library's.
struct BrokenInvariant {
  const char* file;
  int line;
};

// While one lives, a broken invariant on its thread throws BrokenInvariant. Its owner catches it; may be nested.
class InvariantsThrow {
 public:
  InvariantsThrow();
  ~InvariantsThrow();
  InvariantsThrow(const InvariantsThrow&) = delete;
  InvariantsThrow& operator=(const InvariantsThrow&) = delete;
};

[[noreturn]] void break_invariant(const char* file, int line);

inline void invariant(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (!holds) [[unlikely]]
    break_invariant(file, line);
}

}  // namespace jobcast
