// What cJSON lets pass and we do not is checked before it reads; what it writes badly is written here.
#include "base/json.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/invariant.h"
#include "base/json_fault.h"
#include "base/text.h"

namespace jobcast {
namespace {

constexpr double kExactMax = 9007199254740992.0;  // 2^53

cJSON* required(cJSON* node) {
  if (!node) throw std::bad_alloc();
  return node;
}

// A run of characters that can only be a number. cJSON would take what strtod takes: 01, 1., -.5 and 1e999.
Result<void> check_number(std::string_view token, size_t at) {
  const auto digits = [&](size_t& i) {
    const size_t from = i;
    while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
    return i - from;
  };
  const std::string where = " at byte " + std::to_string(at);
  size_t i = token.front() == '-' ? 1 : 0;
  const size_t first = i;
  const size_t whole = digits(i);
  const size_t end_of_whole = i;
  bool sound = whole == 1 || (whole > 1 && token[first] != '0');
  if (sound && i < token.size() && token[i] == '.') sound = digits(++i) > 0;
  if (sound && i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    sound = digits(i) > 0;
  }
  if (!sound || i != token.size()) return {Errc::invalid, "not a JSON number" + where};
  if (i == end_of_whole) {
    uint64_t value = 0;
    if (std::from_chars(token.data() + first, token.data() + i, value).ec != std::errc() || value > uint64_t{1} << 53)
      return {Errc::invalid,
              "whole number beyond 2^53" + where + ": numbers are exact up to there only; in args or meta, write it as a string"};
  } else if (!std::isfinite(std::strtod(std::string(token).c_str(), nullptr))) {
    return {Errc::invalid, "a number is out of range" + where};
  }
  return {};
}

// Of what follows a backslash; 0 if it is no escape. cJSON reads "\u12g4" as a NUL.
size_t escape_length(std::string_view text) {
  if (text.empty()) return 0;
  if (text.front() != 'u') return std::string_view("\"\\/bfnrt").find(text.front()) == std::string_view::npos ? 0 : 1;
  const std::string_view digits = text.substr(1, 4);
  return digits.size() == 4 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos ? 5 : 0;
}

// What cJSON lets pass and we do not: size, depth, UTF-8, loose numbers and escapes, control characters and NUL inside strings, control
// characters as white space, a byte order mark.
// `at` becomes the place of the fault.
Result<void> precheck(std::string_view text, JsonLimits limits, size_t& at) {
  at = 0;
  if (text.size() > limits.bytes_max)
    return {Errc::invalid, "JSON of " + std::to_string(text.size()) + " bytes is over the limit of " + std::to_string(limits.bytes_max)};
  if (!is_utf8(text)) return {Errc::invalid, "JSON is not valid UTF-8 without NUL"};
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    at = i;
    if (in_string) {
      if (static_cast<unsigned char>(c) < 0x20)
        return {Errc::invalid, "raw control character in a JSON string at byte " + std::to_string(i) + ": escape it"};
      if (c == '\\') {
        const size_t length = escape_length(text.substr(i + 1));
        if (length == 0) return {Errc::invalid, "unknown escape in a JSON string at byte " + std::to_string(i)};
        if (text.substr(i + 1, 5) == "u0000") return {Errc::invalid, "\\u0000 in a JSON string at byte " + std::to_string(i)};
        i += length;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limits.depth_max) return {Errc::invalid, "JSON nests deeper than " + std::to_string(limits.depth_max)};
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      const size_t end = std::min(text.find_first_not_of("0123456789+-.eE", i), text.size());
      if (auto checked = check_number(text.substr(i, end - i), i); !checked) return checked;
      i = end - 1;
    } else if (c != ' ' && c != '\n' && c != '\r' && c != '\t' &&
               (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e)) {
      return {Errc::invalid, "not JSON: error at byte " + std::to_string(i)};
    }
  }
  return {};
}

// cJSON 1.7.15 prints 15 digits where 17 would be needed (9007199254740991 becomes 9.00719925474099e+15): the shortest text that
// reads back as the same double is written here instead.
void dump_number(std::string& out, double value) {
  std::array<char, 40> text{};
  const bool exact = std::fabs(value) <= kExactMax;
  // Beyond 2^53 with an exponent, because bare digits would claim a precision that the reader of them refuses.
  const auto end = exact && std::trunc(value) == value ? std::to_chars(text.data(), text.data() + text.size(), static_cast<int64_t>(value))
                   : exact                             ? std::to_chars(text.data(), text.data() + text.size(), value)
                           : std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific);
  out.append(text.data(), end.ptr);
}

void dump_node(std::string& out, const cJSON* node) {
  if (cJSON_IsString(node)) {
    append_json_string(out, node->valuestring);
  } else if (cJSON_IsNumber(node)) {
    dump_number(out, node->valuedouble);
  } else if (cJSON_IsRaw(node)) {
    out += node->valuestring;
  } else if (cJSON_IsArray(node) || cJSON_IsObject(node)) {
    const bool object = cJSON_IsObject(node);
    out += object ? '{' : '[';
    for (const cJSON* child = node->child; child; child = child->next) {
      if (child != node->child) out += ',';
      if (object) {
        append_json_string(out, child->string);
        out += ':';
      }
      dump_node(out, child);
    }
    out += object ? '}' : ']';
  } else {
    out += cJSON_IsTrue(node) ? "true" : cJSON_IsFalse(node) ? "false" : "null";
  }
}

// What shows only once the text is read: duplicate keys (escapes may hide them).
Result<void> check_tree(const cJSON* node) {
  if (cJSON_IsObject(node)) {
    std::vector<std::string_view> keys;
    for (const cJSON* child = node->child; child; child = child->next) keys.emplace_back(child->string);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin != keys.end()) return {Errc::invalid, "duplicate key \"" + printable(*twin) + "\"", printable(*twin)};
  }
  for (const cJSON* child = node->child; child; child = child->next)
    if (auto checked = check_tree(child); !checked) return checked;
  return {};
}

// Null when it is no JSON; `at` is then where cJSON gave up.
cJSON* parse_with_cjson(std::string_view text, size_t& at) {
  const std::string owned(text);  // cJSON wants a terminator when it must refuse trailing text
  const char* end = nullptr;
  cJSON* const node = cJSON_ParseWithLengthOpts(owned.c_str(), owned.size() + 1, &end, 1);
  at = end ? static_cast<size_t>(end - owned.c_str()) : 0;
  return node;
}

}  // namespace

bool JsonView::is_null() const { return cJSON_IsNull(node_); }
bool JsonView::is_object() const { return cJSON_IsObject(node_); }
bool JsonView::is_array() const { return cJSON_IsArray(node_); }

std::optional<std::string_view> JsonView::string() const {
  if (!cJSON_IsString(node_)) return std::nullopt;
  return std::string_view(node_->valuestring);
}

std::optional<double> JsonView::number() const {
  if (!cJSON_IsNumber(node_)) return std::nullopt;
  return node_->valuedouble;
}

std::optional<int64_t> JsonView::integer() const {
  const auto value = number();
  if (!value || !(std::fabs(*value) <= kExactMax) || std::trunc(*value) != *value) return std::nullopt;
  return static_cast<int64_t>(*value);
}

std::optional<bool> JsonView::boolean() const {
  if (!cJSON_IsBool(node_)) return std::nullopt;
  return cJSON_IsTrue(node_) != 0;
}

JsonView JsonView::get(const char* key) const { return JsonView(is_object() ? cJSON_GetObjectItemCaseSensitive(node_, key) : nullptr); }

JsonView JsonView::at(size_t index) const {
  JsonView child = is_array() ? first() : JsonView();
  while (child.exists() && index-- > 0) child = child.next();
  return child;
}

size_t JsonView::size() const {
  size_t count = 0;
  for (JsonView child = first(); child.exists(); child = child.next()) ++count;
  return count;
}

std::string_view JsonView::key() const { return node_ && node_->string ? std::string_view(node_->string) : std::string_view(); }
JsonView JsonView::first() const { return JsonView(is_object() || is_array() ? node_->child : nullptr); }
JsonView JsonView::next() const { return JsonView(node_ ? node_->next : nullptr); }

std::string JsonView::dump() const {
  std::string out;
  if (node_) dump_node(out, node_);
  return out;
}

const char* JsonView::type_name() const {
  if (!node_) return "nothing";
  if (is_null()) return "null";
  if (is_object()) return "object";
  if (is_array()) return "array";
  if (cJSON_IsString(node_)) return "string";
  if (cJSON_IsNumber(node_)) return "number";
  return "boolean";
}

Result<Json> Json::parse(std::string_view text, JsonLimits limits) {
  size_t at = 0;
  if (auto checked = precheck(text, limits, at); !checked) return checked.error();
  Json parsed(parse_with_cjson(text, at));
  if (!parsed.node_) return {Errc::invalid, "not JSON: error at byte " + std::to_string(at)};
  if (auto checked = check_tree(parsed.node_.get()); !checked) return checked.error();
  return parsed;
}

bool same_value(JsonView a, JsonView b) {
  static_assert(sizeof(JsonView) == sizeof(const cJSON*));  // a view is its node and nothing else
  return std::bit_cast<const cJSON*>(a) == std::bit_cast<const cJSON*>(b);
}

std::optional<JsonFault> find_json_fault(std::string_view text, JsonLimits limits) {
  size_t at = 0, gave_up_at = 0;
  const auto checked = precheck(text, limits, at);
  const bool parsed = Handle<cJSON, cJSON_Delete>(parse_with_cjson(text, gave_up_at)).get() != nullptr;
  if (!parsed && (checked || gave_up_at <= at)) return JsonFault{gave_up_at, "not JSON", true};
  if (!checked) return JsonFault{at, checked.error().detail, false};
  return std::nullopt;
}

Json Json::object() { return Json(required(cJSON_CreateObject())); }
Json Json::array() { return Json(required(cJSON_CreateArray())); }

Json& Json::add(const char* key, cJSON* value) {
  required(value);
  invariant(cJSON_IsObject(node_.get()));
  if (!cJSON_AddItemToObject(node_.get(), key, value)) throw std::bad_alloc();
  return *this;
}

Json& Json::set(const char* key, std::string_view value) { return add(key, cJSON_CreateString(std::string(value).c_str())); }

Json& Json::set(const char* key, int64_t value) {
  const auto number = static_cast<double>(value);
  invariant(std::fabs(number) <= kExactMax);
  return add(key, cJSON_CreateNumber(number));
}

Json& Json::set(const char* key, double value) { return add(key, std::isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull()); }

Json& Json::set(const char* key, bool value) { return add(key, cJSON_CreateBool(value)); }
Json& Json::set(const char* key, std::nullptr_t) { return add(key, cJSON_CreateNull()); }

Json& Json::set(const char* key, Json value) {
  if (!value.node_) return set(key, nullptr);
  return add(key, value.node_.release());
}

Json& Json::set_raw(const char* key, std::string_view json) { return add(key, cJSON_CreateRaw(std::string(json).c_str())); }

Json& Json::push(Json value) {
  invariant(cJSON_IsArray(node_.get()));
  cJSON_AddItemToArray(node_.get(), value.node_ ? value.node_.release() : required(cJSON_CreateNull()));
  return *this;
}

Json& Json::push(std::string_view value) { return push(Json(required(cJSON_CreateString(std::string(value).c_str())))); }
Json& Json::push_raw(std::string_view json) { return push(Json(required(cJSON_CreateRaw(std::string(json).c_str())))); }

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t plain = 0;  // start of the run that needs no escape; runs are copied whole
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto u = static_cast<unsigned char>(c);
    if (u >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default: {
        constexpr std::string_view kHex = "0123456789abcdef";
        out += "\\u00";
        out += kHex[u >> 4];
        out += kHex[u & 15U];
      }
    }
  }
  out.append(text, plain);
  out += '"';
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

Result<std::string> read_all(int fd, size_t bytes_max) {
  std::string text;
  std::string chunk(std::min<size_t>(bytes_max + 1, 64 * 1024), '\0');
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return {Errc::internal, std::strerror(errno)};
    if (got == 0) return text;
    text.append(chunk, 0, static_cast<size_t>(got));
    if (text.size() > bytes_max) return {Errc::invalid, "larger than " + std::to_string(bytes_max) + " bytes"};
  }
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {errno == ENOENT ? Errc::not_found : Errc::internal, path + ": " + std::strerror(errno)};
  auto text = read_all(fd.get(), bytes_max);
  if (!text) return {text.error().code, path + ": " + text.error().detail};
  return text;
}

}  // namespace jobcast
