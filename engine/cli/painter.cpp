// Cursor movements, and what they must undo.
#include "engine/cli/painter.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace jobcast::cli {
namespace {

// A frame that is on its way while the terminal becomes narrower is cut: wrapped, it would take rows that nobody counts.
constexpr std::string_view kWrapOff = "\x1b[?7l", kWrapOn = "\x1b[?7h";
constexpr std::string_view kHideCursor = "\x1b[?25l", kShowCursor = "\x1b[?25h", kClearRight = "\x1b[K", kClearBelow = "\x1b[J";

void write_now(std::string_view text) {
  fflush(stdout);
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno != EINTR) return;  // a terminal that is gone: SIGHUP tells
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
}

// Without its colours.
std::string bare(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b')
      i = line.find('m', i);
    else
      out += line[i];
    if (i == std::string_view::npos) break;
  }
  return out;
}

}  // namespace

std::string Painter::home() const {
  std::string out = "\r";
  if (rows_above_ > 0) out += "\x1b[" + std::to_string(rows_above_) + "A";
  return out;
}

void Painter::draw(const std::vector<std::string>& lines) {
  if (lines == drawn_ && cursor_hidden_) return;
  // One write a frame, each line overwritten before its rest is cleared: nothing flickers.
  std::string frame = cursor_hidden_ ? "" : std::string(kHideCursor);
  frame.append(kWrapOff).append(home());
  for (size_t i = 0; i < lines.size(); ++i) frame.append(i ? "\r\n" : "").append(lines[i]).append(kClearRight);
  // The cursor rests at the line's start: what the terminal echoes there ("^C") is overwritten by the next frame.
  frame.append(kClearBelow).append("\r").append(kWrapOn);
  write_now(frame);
  cursor_hidden_ = true;
  drawn_ = lines;
  rows_above_ = lines.empty() ? 0 : static_cast<int>(lines.size()) - 1;
}

void Painter::clear() {
  if (!drawn_.empty()) write_now(home() + std::string(kClearBelow));
  drawn_.clear();
  rows_above_ = 0;
  finish();
}

void Painter::settle(const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::string text = home();
  for (const auto& line : lines) text.append(line).append(kClearRight).append("\r\n");
  write_now(text + std::string(kClearBelow));
  drawn_.clear();
  rows_above_ = 0;
}

void Painter::resized(int columns) {
  // The cursor stands at the start of the last line, so that one's own rows do not count.
  rows_above_ = 0;
  for (size_t i = 0; i + 1 < drawn_.size(); ++i) rows_above_ += 1 + (width_of(bare(drawn_[i])) - 1) / columns;
  drawn_.assign(1, "");  // whatever is drawn next differs
}

void Painter::keep() {
  settle(std::vector<std::string>(drawn_));
  finish();
}

void Painter::finish() {
  if (!cursor_hidden_) return;
  write_now(kShowCursor);
  cursor_hidden_ = false;
}

}  // namespace jobcast::cli
