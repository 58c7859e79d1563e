// cJSON and the strict reader say where they gave up; here the place is looked at, the slip named, and mended so that the next is found.
#include "base/json_slips.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "base/text.h"

namespace jobcast {
namespace {

constexpr size_t kSlipsMax = 50;
constexpr std::string_view kBlanks = " \t\r\n";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$'; }
bool is_word(char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.'; }

std::string hex(unsigned byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  return {'0', 'x', kHex[byte >> 4U & 15U], kHex[byte & 15U]};
}

// What editors and web pages make of plain characters.
struct Lookalike {
  std::string_view bytes, name;
  char meant;
};
constexpr auto kLookalikes = std::to_array<Lookalike>({{"\xE2\x80\x9C", "a typographic quote", '"'},
                                                       {"\xE2\x80\x9D", "a typographic quote", '"'},
                                                       {"\xE2\x80\x9E", "a typographic quote", '"'},
                                                       {"\xE2\x80\x98", "a typographic quote", '"'},
                                                       {"\xE2\x80\x99", "a typographic quote", '"'},
                                                       {"\xC2\xA0", "a no-break space", ' '},
                                                       {"\xE2\x80\xAF", "a no-break space", ' '},
                                                       {"\xE2\x80\x8B", "a zero-width space", ' '},
                                                       {"\xEF\xBB\xBF", "a byte order mark", ' '}});

const Lookalike* lookalike_at(std::string_view text, size_t at) {
  const auto found =
      std::ranges::find_if(kLookalikes, [&](const Lookalike& known) { return text.substr(at, known.bytes.size()) == known.bytes; });
  return found == kLookalikes.end() ? nullptr : &*found;
}

// Where a text begins that is no JSON at all: each file of ours is one object, and ini, YAML, TOML, XML and what nginx reads begin
// otherwise. kNone where it begins as JSON does, or with a slip that is told better by its own name.
size_t foreign_start(std::string_view text) {
  constexpr size_t kNone = std::string_view::npos;
  size_t at = text.find_first_not_of(kBlanks);
  while (at != kNone && text.substr(at, 2) == "//") at = text.find_first_not_of(kBlanks, text.find('\n', at));
  if (at == kNone) return kNone;
  if (text[at] != '[') return is_letter(text[at]) || std::string_view("\";<%-").find(text[at]) != kNone ? at : kNone;
  const size_t name = text.find_first_not_of('[', at);
  return name != kNone && is_letter(text[name]) ? at : kNone;
}

}  // namespace

Position position_of(std::string_view text, size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  Position position{1 + static_cast<int>(std::ranges::count(before, '\n')), 1};
  for (const char c : before.substr(line_start)) position.column += (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  return position;
}

// What stands around the place of a fault.
struct MendedJson::Scene {
  static constexpr size_t kNone = std::string_view::npos;
  std::string_view text;
  size_t at = 0;                  // the first byte that cannot stand where it stands; the text's size at its end
  std::vector<size_t> open = {};  // the brackets that are open there
  size_t prev = kNone;            // the last byte before it that is not blank
  size_t string = kNone;          // where the last string before it begins
  size_t before_string = kNone;   // and the last byte before that which is not blank
  bool in_string = false;

  Scene(std::string_view whole, size_t place) : text(whole), at(std::min(place, whole.size())) {
    size_t last = kNone;
    for (size_t i = 0; i < at; ++i) {
      const char c = text[i];
      if (in_string) {
        if (c == '\\') ++i;
        if (c == '"') in_string = false;
        last = i;
        continue;
      }
      if (kBlanks.find(c) != kNone) continue;
      if (c == '"') {
        in_string = true;
        string = i;
        before_string = last;
      }
      if (c == '{' || c == '[') open.push_back(i);
      if ((c == '}' || c == ']') && !open.empty()) open.pop_back();
      last = i;
    }
    prev = last;
  }

  [[nodiscard]] char here() const { return at < text.size() ? text[at] : '\0'; }
  [[nodiscard]] char last() const { return prev == kNone ? '\0' : text[prev]; }
  [[nodiscard]] char inside() const { return open.empty() ? '\0' : text[open.back()]; }
  [[nodiscard]] bool wants_key() const { return inside() == '{' && (last() == '{' || last() == ','); }
  [[nodiscard]] bool behind_key() const {
    return inside() == '{' && last() == '"' && before_string != kNone && (text[before_string] == '{' || text[before_string] == ',');
  }
  [[nodiscard]] bool wants_value() const { return prev == kNone || last() == ':' || (inside() == '[' && (last() == '[' || last() == ',')); }
  [[nodiscard]] std::string_view word() const {
    size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    return text.substr(at, end - at);
  }
  [[nodiscard]] size_t line_end() const { return std::min(text.find('\n', at), text.size()); }
};

MendedJson::MendedJson(std::string text) : original_(std::move(text)), text_(original_) {
  if (!mend_bytes()) return;
  if (const size_t at = foreign_start(text_); at != Scene::kNone) {
    note(at, "JSON is wanted here, not ini, YAML or another language: the whole file stands between { and }, as in {\"key\": \"value\"}");
    return;
  }
  while (slips_.size() < kSlipsMax) {
    const auto fault = find_json_fault(text_, {.bytes_max = 4 << 20});
    whole_ = !fault;
    if (whole_ || !mend(fault->at, fault->what, fault->of_cjson)) break;
  }
  if (whole_) mend_twins();
  std::ranges::stable_sort(slips_, {}, &Slip::at);
}

// Blanks each member whose key stands in its object already. text_ is JSON.
void MendedJson::mend_twins() {
  struct Level {
    std::string path;
    std::vector<std::string> keys = {};
    size_t twin = Scene::kNone;  // where the member begins that is a twin and goes on
  };
  std::vector<Level> levels = {{""}};
  std::string key;
  const auto end_member = [&](size_t end) {
    const size_t from = std::exchange(levels.back().twin, Scene::kNone);
    if (from == Scene::kNone) return;
    const size_t comma = text_.find_last_not_of(kBlanks, from - 1);  // there is one: a twin is never the first
    blank(comma, end);
  };
  for (size_t i = 0; i < text_.size(); ++i) {
    const char c = text_[i];
    if (c == '{' || c == '[') {
      levels.push_back({levels.back().path + (levels.back().path.empty() || key.empty() ? "" : ".") + key});
      key.clear();
    } else if (c == '}' || c == ']') {
      end_member(i);
      levels.pop_back();
    } else if (c == ',') {
      end_member(i);
    } else if (c == '"') {
      const size_t start = i;
      for (++i; text_[i] != '"'; ++i) i += text_[i] == '\\';
      const size_t behind = text_.find_first_not_of(kBlanks, i + 1);
      if (behind == std::string::npos || text_[behind] != ':') continue;
      const auto read = Json::parse(std::string_view(text_).substr(start, i + 1 - start));
      key = read ? std::string(read->view().string().value_or("")) : "";
      Level& level = levels.back();
      if (std::ranges::find(level.keys, key) == level.keys.end()) {
        level.keys.push_back(key);
        continue;
      }
      note(start, "stands here a second time: keep one");
      slips_.back().key = level.path + (level.path.empty() ? "" : ".") + printable(key);
      level.twin = start;
    }
  }
}

size_t MendedJson::original(size_t at) const {
  return at - static_cast<size_t>(std::ranges::count_if(inserted_, [at](size_t place) { return place < at; }));
}

void MendedJson::note(size_t at, std::string problem) { slips_.push_back({original(at), std::move(problem)}); }

void MendedJson::blank(size_t from, size_t to) {
  for (size_t i = from; i < to; ++i)
    if (text_[i] != '\n') text_[i] = ' ';
}

void MendedJson::insert(size_t at, std::string_view what) {
  for (size_t& place : inserted_) place += place >= at ? what.size() : 0;
  for (size_t i = 0; i < what.size(); ++i) inserted_.push_back(at + i);
  text_.insert(at, what);
}

std::string MendedJson::place(size_t at) const {
  const Position position = position_of(original_, original(at));
  return "line " + std::to_string(position.line) + ", column " + std::to_string(position.column);
}

// Bytes that are wrong wherever they stand, and comments on lines of their own, which are allowed.
bool MendedJson::mend_bytes() {
  if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) return note(0, "the file is UTF-16: save it as UTF-8"), false;
  if (text_.starts_with("\xEF\xBB\xBF")) {
    note(0, "a byte order mark stands before the text: save the file as UTF-8 without one (BOM)");
    blank(0, 3);
  }
  bool line_start = true, comment = false;
  for (size_t i = 0; i < text_.size(); ++i) {
    const char c = text_[i];
    const size_t length = utf8_length(text_, i);
    if (c == '\0') return note(i, "a NUL byte: this is no text (UTF-16, or the remains of a crash?)"), false;
    if (length == 0) {
      note(i, "a byte that is not UTF-8 (" + hex(static_cast<unsigned char>(c)) + "; Latin-1?): save the file as UTF-8");
      text_[i] = '?';
      if (slips_.size() >= kSlipsMax) return false;
    }
    if (c == '\n') {
      line_start = true;
      comment = false;
    } else if (comment || (line_start && c == '#')) {
      comment = true;
      blank(i, i + std::max<size_t>(length, 1));
    } else if (c != ' ' && c != '\t' && c != '\r') {
      line_start = false;
    }
    if (length > 1) i += length - 1;
  }
  return true;
}

bool MendedJson::mend(size_t at, const std::string& what, bool of_cjson) {
  Scene scene(text_, at);
  // cJSON stands behind the byte that is no key, and behind the quote of a string that does not end.
  if (of_cjson && at > 0) {
    const Scene before(text_, at - 1);
    if ((before.wants_key() && text_[at - 1] != '"') || (scene.in_string && !before.in_string)) scene = before;
  }
  if (scene.in_string || (scene.here() == '"' && Scene(text_, text_.size()).in_string && Scene(text_, text_.size()).string == scene.at))
    return mend_string(scene, what);
  if (scene.at == text_.size()) return mend_end(scene);
  if (scene.here() == '#' || scene.text.substr(scene.at, 2) == "//" || scene.text.substr(scene.at, 2) == "/*") {
    const bool block = scene.text.substr(scene.at, 2) == "/*";
    note(scene.at, std::string(scene.prev != Scene::kNone && position_of(text_, scene.prev).line == position_of(text_, scene.at).line
                                   ? "a comment behind a value"
                                   : "a comment of another language") +
                       ": here a comment is a line of its own that begins with #");
    const size_t end = block ? text_.find("*/", scene.at) : scene.line_end();
    blank(scene.at, block ? std::min(end == std::string::npos ? end : end + 2, text_.size()) : end);
    return true;
  }
  if (const Lookalike* odd = lookalike_at(text_, scene.at); odd || scene.here() == '\'' || scene.here() == '`') return mend_quotes(scene);
  if (scene.here() == '}' || scene.here() == ']') return mend_closing(scene);
  if (const auto byte = static_cast<unsigned char>(scene.here()); byte < 0x20 || byte > 0x7e) {
    note(scene.at, byte > 0x7e ? "a character that is not ASCII stands outside of a string"
                               : "a control character (" + hex(byte) + ") stands outside of a string: remove it");
    blank(scene.at, scene.at + std::max<size_t>(utf8_length(text_, scene.at), 1));
    return true;
  }
  if (scene.wants_key()) return mend_key(scene);
  if (scene.behind_key()) return mend_behind_key(scene);
  return scene.wants_value() ? mend_value(scene, what) : mend_behind_value(scene);
}

bool MendedJson::mend_string(const Scene& scene, const std::string& what) {
  const auto byte = static_cast<unsigned char>(scene.here());
  if (!scene.in_string || byte == '\n' || byte == '\r') {
    const size_t start = scene.in_string ? scene.string : scene.at;
    note(start, "the string that begins here does not end on its line: a closing \" is missing");
    const size_t end = std::min(text_.find_first_of("\r\n", start), text_.size());
    size_t last = text_.find_last_not_of(" \t,", end == 0 ? 0 : end - 1);
    if (Scene(text_, start).last() != ':' || last <= start) return false;  // of a key it is not known how far it goes
    while (last > start + 1 && (text_[last] == '}' || text_[last] == ']') && end == text_.size()) --last;
    insert(last + 1, "\"");
    return true;
  }
  if (byte < 0x20) {
    note(scene.at,
         byte == '\t' ? "a tab inside a string: write \\t" : "a control character (" + hex(byte) + ") inside a string: remove it");
    text_[scene.at] = ' ';
    return true;
  }
  if (byte == '\\') {
    const std::string shown = printable(scene.text.substr(scene.at, 2));
    if (what.starts_with("\\u0000")) {
      note(scene.at, "\\u0000 (NUL) inside a string: remove it");
      blank(scene.at, scene.at + 6);
    } else {
      note(scene.at, shown + " means nothing in a string: a backslash itself is written \\\\");
      text_[scene.at] = '/';
    }
    return true;
  }
  note(scene.at, what);
  return false;
}

bool MendedJson::mend_end(const Scene& scene) {
  if (scene.prev == Scene::kNone) return note(scene.at, "the file is empty: {} is the least that it may hold"), false;
  if (scene.open.empty()) return note(scene.at, "the text ends too early"), false;
  const bool object = scene.inside() == '{';
  note(scene.open.back(),
       std::string("the ") + scene.inside() + " that opens here is never closed: a " + (object ? "}" : "]") + " is missing");
  if (scene.last() == ',') blank(scene.prev, scene.prev + 1);
  if (scene.last() == ':' || scene.behind_key()) return false;
  insert(text_.size(), object ? "}" : "]");
  return true;
}

bool MendedJson::mend_closing(const Scene& scene) {
  const char closing = scene.here();
  if (scene.open.empty()) {
    note(scene.at, std::string("one ") + closing + " too many: nothing is open here");
    blank(scene.at, scene.at + 1);
  } else if ((scene.inside() == '{') != (closing == '}')) {
    const char outer = scene.open.size() < 2 ? '\0' : text_[scene.open[scene.open.size() - 2]];
    if (outer != (closing == '}' ? '{' : '[')) {
      note(scene.at, std::string("a ") + (closing == '}' ? ']' : '}') + " belongs here, not " + closing + ": it closes the " +
                         scene.inside() + " of " + place(scene.open.back()));
      text_[scene.at] = closing == '}' ? ']' : '}';
      return true;
    }
    note(scene.at, std::string("the ") + scene.inside() + " of " + place(scene.open.back()) + " is not closed before this " + closing +
                       ": a " + (closing == '}' ? "]" : "}") + " is missing");
    insert(scene.at, closing == '}' ? "]" : "}");
  } else if (scene.last() == ',') {
    note(scene.prev, std::string("a comma before the closing ") + closing + ": remove it");
    blank(scene.prev, scene.prev + 1);
  } else if (scene.last() == ':' || scene.behind_key()) {
    note(scene.at, "a value is missing here");
    insert(scene.at, scene.last() == ':' ? "null" : ":null");
  } else {
    note(scene.at, std::string("this ") + closing + " cannot stand here");
    return false;
  }
  return true;
}

// In place of the plain double quote, or of a blank.
bool MendedJson::mend_quotes(const Scene& scene) {
  const Lookalike* odd = lookalike_at(text_, scene.at);
  if (odd && odd->meant == ' ') {
    note(scene.at, std::string(odd->name) + " stands here: write a plain one, or none");
    blank(scene.at, scene.at + odd->bytes.size());
    return true;
  }
  note(scene.at, (odd ? std::string(odd->name) : "a " + std::string(scene.here() == '`' ? "backquote" : "single quote")) +
                     ": strings and keys stand in plain double quotes (\")");
  const size_t width = odd ? odd->bytes.size() : 1;
  size_t end = scene.at + width;
  while (end < scene.line_end() && text_[end] != '"' && text_[end] != '\\' &&
         (odd ? !lookalike_at(text_, end) : text_[end] != scene.here()))
    ++end;
  const Lookalike* closing = odd && end < scene.line_end() ? lookalike_at(text_, end) : nullptr;
  if (end >= scene.line_end() || text_[end] == '\\' || (odd && closing && closing->meant != '"')) return false;
  const size_t closing_width = closing ? closing->bytes.size() : 1;
  blank(scene.at, scene.at + width);
  text_[scene.at + width - 1] = '"';
  blank(end, end + closing_width);
  text_[end] = '"';
  return true;
}

bool MendedJson::mend_key(const Scene& scene) {
  if (scene.here() == ',') {
    note(scene.at, "a comma too many: nothing stands before it");
    blank(scene.at, scene.at + 1);
    return true;
  }
  const std::string_view word = scene.word();
  const size_t behind = text_.find_first_not_of(kBlanks, scene.at + word.size());
  if (!word.empty() && behind != std::string::npos && (text_[behind] == ':' || text_[behind] == '=')) {
    note(scene.at, "the key " + std::string(word) + " needs double quotes: \"" + std::string(word) + "\"");
    const size_t end = scene.at + word.size();
    insert(end, "\"");
    insert(scene.at, "\"");
    return true;
  }
  note(scene.at, "a key in double quotes must stand here, then a colon and its value");
  return false;
}

bool MendedJson::mend_behind_key(const Scene& scene) {
  const std::string key(scene.text.substr(scene.string, scene.prev + 1 - scene.string));
  if (key.find(':') != std::string::npos && scene.at == scene.prev + 1) {
    note(scene.string, "the key that begins here has no closing \": " + printable(key.substr(0, key.find(':'))) + "\"");
    return false;
  }
  if (scene.here() == '=') {
    note(scene.at, "= behind the key " + printable(key) + ": write a colon");
    text_[scene.at] = ':';
  } else if (scene.here() == ',') {
    note(scene.prev + 1, "a colon and a value are missing behind the key " + printable(key));
    insert(scene.prev + 1, ":null");
  } else {
    note(scene.prev + 1, "a colon is missing behind the key " + printable(key));
    insert(scene.prev + 1, ":");
  }
  return true;
}

bool MendedJson::mend_value(const Scene& scene, const std::string& what) {
  const char c = scene.here();
  if (c == ',') {
    const bool member = scene.last() == ':';
    note(scene.at, member ? "a value is missing before this comma" : "a comma too many: nothing stands before it");
    if (member)
      insert(scene.at, "null");
    else
      blank(scene.at, scene.at + 1);
    return true;
  }
  if (is_digit(c) || c == '-' || c == '+' || c == '.') {
    const std::string number(scene.word());
    if (what.find("2^53") != std::string::npos || what.find("out of range") != std::string::npos)
      return note(scene.at, "the number " + printable(number) + " is larger than any that is exact here (2^53)"), false;
    const size_t digits = number.find_first_of("123456789");
    if (c == '0' && digits != std::string::npos && number.find_first_not_of("0123456789") == std::string::npos) {
      note(scene.at, "a number begins with no 0: write " + number.substr(digits));
      blank(scene.at, scene.at + digits);
      return true;
    }
    if (c == '+' && scene.at + 1 < text_.size() && is_digit(text_[scene.at + 1])) {
      note(scene.at, "a number begins with no +: remove it");
      blank(scene.at, scene.at + 1);
      return true;
    }
    note(scene.at, "this is no number as JSON writes it: " + printable(std::string(1, c) + number.substr(is_word(c) ? 1 : 0)));
    return false;
  }
  const std::string word(scene.word());
  if (word.empty() || !is_letter(c)) {
    note(scene.at, std::string("a value must stand here, not ") + c);
    return false;
  }
  std::string lower = word;
  for (char& letter : lower)
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  const std::string meant = lower == "true" || lower == "false" || lower == "null" ? lower : lower == "none" ? "null" : "";
  if (!meant.empty()) {
    note(scene.at, "the word " + word + " is written in small letters here: " + meant);
    text_.replace(scene.at, word.size(), meant);
    return true;
  }
  if (lower == "nan" || lower == "inf" || lower == "infinity") {
    note(scene.at, "JSON has no " + word + ": write a number, or leave the key out");
    text_.replace(scene.at, word.size(), "null");
    return true;
  }
  note(scene.at, "the word " + word + " needs double quotes: \"" + word + "\" (only true, false and null stand without)");
  insert(scene.at + word.size(), "\"");
  insert(scene.at, "\"");
  return true;
}

bool MendedJson::mend_behind_value(const Scene& scene) {
  const char c = scene.here();
  if (scene.open.empty()) return note(scene.at, "the document has ended before this: a closing bracket too many, or two documents?"), false;
  if (c == ';' || c == '=') {
    note(scene.at, std::string(1, c) + " behind a value: write a comma");
    text_[scene.at] = ',';
    return true;
  }
  if (c == ':') return note(scene.at, "a colon behind a value: what has a key stands in { }, and members are parted by commas"), false;
  const bool adjacent = scene.at == scene.prev + 1;
  if (adjacent && is_digit(scene.last()) && (is_letter(c) || c == '%')) {
    const std::string unit = c == '%' ? "%" : std::string(scene.word());
    if ((c == 'x' || c == 'X') && scene.last() == '0') {
      note(scene.prev, "a number is written in decimal: write " + std::to_string(std::strtoull(unit.c_str() + 1, nullptr, 16)));
      return false;
    }
    note(scene.at, "a number has no unit: remove \"" + unit + "\" and give it in the unit that the key names");
    blank(scene.at, scene.at + unit.size());
    return true;
  }
  if (adjacent && scene.last() == '"' && is_word(c)) {
    note(scene.prev, "this \" ends the string: inside of one it is written \\\"");
    return false;
  }
  note(scene.prev + 1, "a comma is missing behind this value");
  insert(scene.prev + 1, ",");
  return true;
}

}  // namespace jobcast
