// Lines that are drawn over and over at the bottom of a terminal's output. Main thread; writes to standard output at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/cli/output.h"

namespace jobcast::cli {

class Painter {
 public:
  Painter() = default;
  ~Painter() { finish(); }
  Painter(const Painter&) = delete;
  Painter& operator=(const Painter&) = delete;

  // Puts these lines in the place of those drawn before; each fits into the terminal's width.
  void draw(const std::vector<std::string>& lines);
  // Takes the drawn lines away, so that other text can be written, and shows the cursor; the next draw() starts below that text.
  void clear();
  // Draws the lines for good: what is written next stands below them.
  void settle(const std::vector<std::string>& lines);
  // The terminal has another width now. Most terminals have wrapped what was drawn: it may take more rows than before.
  void resized(int columns);
  void keep();    // what is drawn stays for good, the cursor goes below it
  void finish();  // shows the cursor

 private:
  std::string home() const;  // moves to the first drawn row's start

  std::vector<std::string> drawn_;
  int rows_above_ = 0;  // from the first drawn row to the cursor's
  bool cursor_hidden_ = false;
};

}  // namespace jobcast::cli
