// Walks over JSON text that is known to be valid, without reading what it passes.
#include "base/json_slice.h"

#include <charconv>
#include <string>

namespace jobcast {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

struct Scanner {
  std::string_view text;
  size_t at = 0;

  void skip_space() {
    while (at < text.size() && is_space(text[at])) ++at;
  }
  bool take(char c) {
    skip_space();
    if (at >= text.size() || text[at] != c) return false;
    ++at;
    return true;
  }
  // A string with its quotes.
  std::optional<std::string_view> string() {
    skip_space();
    const size_t start = at;
    if (at >= text.size() || text[at] != '"') return std::nullopt;
    for (++at; at < text.size(); ++at) {
      if (text[at] == '\\') {
        ++at;
      } else if (text[at] == '"') {
        ++at;
        return text.substr(start, at - start);
      }
    }
    return std::nullopt;
  }
  // Any value. Nesting is kept on a stack of our own, one bracket a level, so that deep text costs no call stack.
  std::optional<std::string_view> value() {
    skip_space();
    const size_t start = at;
    std::string open;
    do {
      skip_space();
      if (at >= text.size()) return std::nullopt;
      const char c = text[at];
      if (c == '"') {
        if (!string()) return std::nullopt;
      } else if (c == '{' || c == '[') {
        open.push_back(c);
        ++at;
      } else if (c == '}' || c == ']') {
        if (open.empty() || open.back() != (c == '}' ? '{' : '[')) return std::nullopt;
        open.pop_back();
        ++at;
      } else if (c == ',' || c == ':') {
        if (open.empty()) return std::nullopt;
        ++at;
      } else {
        const size_t end = text.find_first_of(",:{}[]\" \t\r\n", at);
        at = end == std::string_view::npos ? text.size() : end;
      }
    } while (!open.empty());
    return text.substr(start, at - start);
  }
};

}  // namespace

std::optional<std::string_view> json_member(std::string_view object, std::string_view key) {
  Scanner in{object};
  if (!in.take('{')) return std::nullopt;
  while (true) {
    const auto name = in.string();
    if (!name || !in.take(':')) return std::nullopt;
    const auto value = in.value();
    if (!value || value->empty()) return std::nullopt;
    if (name->substr(1, name->size() - 2) == key) return value;
    if (!in.take(',')) return std::nullopt;
  }
}

std::optional<std::string_view> json_member_string(std::string_view object, std::string_view key) {
  const auto value = json_member(object, key);
  if (!value || value->size() < 2 || value->front() != '"' || value->find('\\') != std::string_view::npos) return std::nullopt;
  return value->substr(1, value->size() - 2);
}

std::optional<uint64_t> json_member_integer(std::string_view object, std::string_view key) {
  const auto value = json_member(object, key);
  if (!value) return std::nullopt;
  uint64_t number = 0;
  const auto [end, fault] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (fault != std::errc() || end != value->data() + value->size()) return std::nullopt;
  return number;
}

}  // namespace jobcast
