// Width, colour and the characters that a terminal must not get.
#include "engine/cli/output.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

#include "base/json.h"
#include "base/text.h"

namespace jobcast::cli {
namespace {

// One character of UTF-8 and its length in bytes; what is malformed counts as one bad byte.
struct Character {
  char32_t code = 0xFFFD;
  size_t bytes = 1;
};

Character first_of(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  const size_t length = utf8_length(text, 0);
  if (length == 0) return {};
  char32_t code = lead & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
  return {code, length};
}

bool harmful(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0xFFFD || code == 0x061C || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) || code == 0xFEFF;
}

int columns_of(char32_t code) { return std::max(0, wcwidth(static_cast<wchar_t>(code))); }

std::string with_decimals(double value, int decimals) {
  std::array<char, 40> text{};
  snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

}  // namespace

Look look_at_stdout() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string_view(value ? value : "");
  };
  Look look;
  look.utf8 = std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  const bool tty = isatty(STDOUT_FILENO) == 1;
  look.terminal = tty && variable("TERM") != "dumb" && !variable("TERM").empty();
  look.colour = look.terminal && variable("NO_COLOR").empty();
  winsize size{};
  if (!tty) {
    look.columns = 100'000;
  } else if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    if (size.ws_col > 0) look.columns = size.ws_col;
    if (size.ws_row > 0) look.rows = size.ws_row;
  }
  return look;
}

std::string tinted(std::string_view text, Tint tint, const Look& look) {
  if (!look.colour || tint == Tint::none) return std::string(text);
  const char* code = "";
  switch (tint) {
    case Tint::none: break;
    case Tint::good: code = "32"; break;
    case Tint::bad: code = "31"; break;
    case Tint::warn: code = "33"; break;
    case Tint::live: code = "36"; break;
    case Tint::dim: code = "2"; break;
  }
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string printable(std::string_view text, bool utf8, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_of(text);
    const bool kept = (keep_lines && (c.code == '\n' || c.code == '\t')) || (!harmful(c.code) && (utf8 || c.code < 0x80));
    if (kept)
      out += text.substr(0, c.bytes);
    else
      out += '?';
    text.remove_prefix(c.bytes);
  }
  return out;
}

int width_of(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const Character c = first_of(text);
    width += columns_of(c.code);
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string cut(std::string_view text, int columns, bool utf8) {
  if (columns <= 0) return {};
  if (width_of(text) <= columns) return std::string(text);
  int width = 0;
  size_t end = 0;
  while (end < text.size()) {
    const Character c = first_of(text.substr(end));
    if (width + columns_of(c.code) > columns - 1) break;
    width += columns_of(c.code);
    end += c.bytes;
  }
  return std::string(text.substr(0, end)) + (utf8 ? "…" : "~");
}

void print(std::string_view text) { fwrite(text.data(), 1, text.size(), stdout); }

void note(std::string_view text) {
  const std::string line = "jobcast: " + std::string(text) + "\n";
  fwrite(line.data(), 1, line.size(), stderr);
}

Exit complain(const Invocation& invocation, const Error& error) {
  if (invocation.json()) {
    Json inner = Json::object();
    inner.set("code", name(error.code)).set("message", printable(error.detail, true, true));
    if (!error.field.empty()) inner.set("field", printable(error.field, true));
    const std::string line = Json::object().set("error", std::move(inner)).dump() + "\n";
    fwrite(line.data(), 1, line.size(), stderr);
  } else {
    note(printable(error.detail, true, true));
  }
  return exit_of(error.code);
}

bool finish_output() {
  const bool earlier = ferror(stdout) != 0;
  if (fflush(stdout) == 0 && !earlier) return true;
  note(std::string("standard output: ") + (errno ? std::strerror(errno) : "could not be written"));
  return false;
}

std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows, const Look& look) {
  std::vector<int> widths;
  for (const auto& cell : header) widths.push_back(width_of(cell));
  std::vector<std::vector<std::string>> safe = rows;
  for (auto& row : safe)
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i], look.utf8);
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  // A column whose own name is cut says nothing.
  size_t columns = 0;
  for (int at = 0; columns < header.size() && (columns == 0 || at + width_of(header[columns]) <= look.columns); ++columns)
    at += widths[columns] + 2;
  const auto line = [&](const std::vector<std::string>& row) {
    std::string out;
    for (size_t i = 0; i < columns; ++i) {
      out += row[i];
      if (i + 1 < columns) out.append(static_cast<size_t>(widths[i] - width_of(row[i])) + 2, ' ');
    }
    return cut(out, look.columns, look.utf8);
  };
  std::string out = tinted(line(header), Tint::dim, look) + "\n";
  for (const auto& row : safe) out += line(row) + "\n";
  return out;
}

std::string duration(int64_t ms) {
  ms = std::max<int64_t>(ms, 0);
  const int64_t s = ms / 1000;
  const int64_t tenths = ms / 100;
  if (s < 10) return with_decimals(static_cast<double>(tenths) / 10, 1) + " s";
  if (s < 60) return std::to_string(s) + " s";
  const auto two = [](int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  if (s < 3600) return std::to_string(s / 60) + ":" + two(s % 60);
  if (s < 24 * 3600) return std::to_string(s / 3600) + ":" + two(s / 60 % 60) + ":" + two(s % 60);
  return std::to_string(s / (24 * 3600)) + " d " + std::to_string(s / 3600 % 24) + " h";
}

std::string amount(double value) {
  if (!std::isfinite(value) || value < 0) return "?";
  constexpr std::array<const char*, 7> kUnits{"", "k", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  // Three figures are all that a person reads: 1.23k, 12.3k, 123k.
  const int decimals = unit == 0 ? (value < 9.95 && value != std::floor(value) ? 1 : 0) : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return with_decimals(value, decimals) + kUnits.at(unit);
}

}  // namespace jobcast::cli
