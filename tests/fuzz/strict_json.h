// RFC 8259's grammar and nothing else, written down as it stands there: the second opinion on which text is JSON.
#pragma once

#include <string_view>

namespace strict {

class Grammar {
 public:
  [[nodiscard]] static bool holds(std::string_view text) {
    Grammar grammar{text};
    return grammar.value(0) && grammar.at_ == text.size();
  }

 private:
  explicit Grammar(std::string_view text) : text_(text) {}

  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_any(std::string_view of) {
    if (at_ >= text_.size() || of.find(text_[at_]) == std::string_view::npos) return false;
    ++at_;
    return true;
  }
  void space() {
    while (take_any(" \t\n\r")) {
    }
  }
  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  bool digits() {
    if (!take_any("0123456789")) return false;
    while (take_any("0123456789")) {
    }
    return true;
  }
  bool number() {
    (void)take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take_any("eE")) return true;
    (void)take_any("+-");
    return digits();
  }
  bool string() {
    if (!take('"')) return false;
    while (at_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[at_++]);
      if (c == '"') return true;
      if (c < 0x20) return false;
      if (c != '\\') continue;
      if (take('u')) {
        for (int i = 0; i < 4; ++i)
          if (!take_any("0123456789abcdefABCDEF")) return false;
      } else if (!take_any("\"\\/bfnrt")) {
        return false;
      }
    }
    return false;
  }
  template <class Element>
  bool list(char end, Element element) {
    space();
    if (take(end)) return true;
    do {
      if (!element()) return false;
    } while (take(','));
    return take(end);
  }
  bool value(int depth) {
    if (depth > 500) return false;  // deeper than any reader here goes
    space();
    bool good = false;
    if (take('{')) {
      good = list('}', [&] {
        space();
        if (!string()) return false;
        space();
        return take(':') && value(depth + 1);
      });
    } else if (take('[')) {
      good = list(']', [&] { return value(depth + 1); });
    } else if (at_ < text_.size() && text_[at_] == '"') {
      good = string();
    } else {
      good = word("true") || word("false") || word("null") || number();
    }
    space();
    return good;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace strict
