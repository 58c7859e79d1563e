// Where each value of a configuration file stands: the n-th value of the tree is the n-th value of the text.
#include "base/config_file.h"

#include <algorithm>

#include "base/json_slips.h"

namespace jobcast {
namespace {

constexpr size_t kFileBytesMax = 1 << 20;
constexpr size_t kNowhere = std::string_view::npos;

// How many values stand before `wanted` below and including `root`, in the order of the text. Returns true when it was met.
bool count_to(JsonView root, JsonView wanted, size_t& count) {
  if (same_value(root, wanted)) return true;
  ++count;
  for (JsonView child = root.first(); child.exists(); child = child.next())
    if (count_to(child, wanted, count)) return true;
  return false;
}

struct Place {
  size_t key = kNowhere, value = kNowhere;
};

// Where the value that `count` values stand before begins, and its key. `text` is JSON.
Place place_of(std::string_view text, size_t count) {
  Place place;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '}' || c == ']' || c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n') continue;
    const size_t start = i;
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      const size_t behind = text.find_first_not_of(" \t\r\n", i + 1);
      if (behind != kNowhere && text[behind] == ':') {
        place.key = start;
        continue;
      }
    } else if (c != '{' && c != '[') {
      i = std::min(text.find_first_of(",]} \t\r\n", i), text.size()) - 1;
    }
    place.value = start;
    if (count-- == 0) return place;
    place.key = kNowhere;
  }
  return {};
}

}  // namespace

ConfigFile::ConfigFile(std::string path, Faults& faults) : path_(std::move(path)), faults_(faults) {
  auto text = read_file(path_, kFileBytesMax);
  if (!text) {
    const std::string detail = text.error().detail;  // begins with the path
    faults_.add({Severity::fatal, path_, 0, 0, "", detail.substr(std::min(detail.size(), path_.size() + 2))});
    return;
  }
  original_ = std::move(*text);
  const MendedJson mended(original_);
  for (const Slip& slip : mended.slips()) add(slip.at, slip.key, slip.problem, Severity::fatal);
  if (!mended.whole()) return;
  text_ = mended.text();
  if (text_.size() != original_.size()) {
    original_at_.resize(text_.size());
    for (size_t i = 0; i < text_.size(); ++i) original_at_[i] = mended.original(i);
  }
  auto parsed = Json::parse(text_, {.bytes_max = 2 * kFileBytesMax});
  if (!parsed) {
    add(0, "", parsed.error().detail, Severity::fatal);
    return;
  }
  json_ = std::move(*parsed);
}

void ConfigFile::fail(JsonView value, std::string key, std::string problem, Severity severity) {
  size_t count = 0;
  const bool met = value.exists() && count_to(view(), value, count);
  add(met ? place_of(text_, count).value : kNowhere, std::move(key), std::move(problem), severity);
}

void ConfigFile::fail_key(JsonView value, std::string key, std::string problem, Severity severity) {
  size_t count = 0;
  const bool met = value.exists() && count_to(view(), value, count);
  add(met ? place_of(text_, count).key : kNowhere, std::move(key), std::move(problem), severity);
}

void ConfigFile::add(size_t at, std::string key, std::string problem, Severity severity) {
  Position position;
  if (at != kNowhere) position = position_of(original_, original_at_.empty() || at >= original_at_.size() ? at : original_at_[at]);
  faults_.add({severity, path_, position.line, position.column, std::move(key), std::move(problem)});
}

Result<Json> read_json_file(const std::string& path) {
  if (const auto readable = read_file(path, kFileBytesMax); !readable) return readable.error();
  Faults faults;
  ConfigFile file(path, faults);
  if (faults.list().empty()) return file.take();
  const Fault& first = faults.list().front();
  return {Errc::invalid,
          path + ":" + std::to_string(first.line) + ":" + std::to_string(first.column) + ": " + first.key + (first.key.empty() ? "" : " ") +
              first.problem,
          first.key};
}

}  // namespace jobcast
