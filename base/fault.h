// What is wrong with a configuration: every fault with its place, its key and its remedy, gathered while files are read. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"

namespace jobcast {

enum class Severity : uint8_t {
  fatal,    // the program that reads this file refuses to start
  error,    // it starts, but what this key is for does not work
  warning,  // it works, though perhaps not as its author meant
};

struct Fault {
  Severity severity = Severity::fatal;
  std::string file;
  int line = 0, column = 0;  // from 1, columns in characters; 0: the whole file
  std::string key;           // "kinds.k.argv"; "" where the text is no JSON
  std::string problem;       // with the remedy; follows the key in a sentence

  // FILE:LINE:COLUMN: error: KEY PROBLEM, as compilers write it. `colour` is for a terminal.
  [[nodiscard]] std::string text(bool colour = false) const;
};

// Returns true if text on `fd` may be coloured: it is a terminal, and NO_COLOR is not set.
[[nodiscard]] bool colourful(int fd);

class Faults {
 public:
  void add(Fault fault);
  [[nodiscard]] const std::vector<Fault>& list() const { return list_; }
  [[nodiscard]] bool fatal() const;  // the program does not start
  [[nodiscard]] bool bad() const;    // more than warnings
  void sort();                       // in the order of the files' first faults, then of lines
  // [{"severity","file","line","column","key","problem"}, …]
  [[nodiscard]] Json json() const;

 private:
  std::vector<Fault> list_;
};

}  // namespace jobcast
