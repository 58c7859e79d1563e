// JSON over cJSON: a strict reader, a borrowed view, a builder. The only file pair that knows cJSON. Not thread-safe per object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.h"
#include "base/result.h"

struct cJSON;
extern "C" void cJSON_Delete(cJSON*);

namespace jobcast {

struct JsonLimits {
  size_t bytes_max = 1 << 20;  // longer text is refused before it is looked at
  int depth_max = 32;          // nested arrays and objects
};

// Borrowed: valid while the Json it came from lives and is not changed. An absent value is a view too, with exists() false.
class JsonView {
 public:
  JsonView() = default;
  explicit JsonView(const cJSON* node) : node_(node) {}

  [[nodiscard]] bool exists() const { return node_ != nullptr; }
  [[nodiscard]] bool is_null() const;
  [[nodiscard]] bool is_object() const;
  [[nodiscard]] bool is_array() const;
  [[nodiscard]] std::optional<std::string_view> string() const;
  [[nodiscard]] std::optional<double> number() const;
  [[nodiscard]] std::optional<int64_t> integer() const;  // whole and within ±2^53, else nullopt
  [[nodiscard]] std::optional<bool> boolean() const;

  [[nodiscard]] JsonView get(const char* key) const;  // member of an object, case-sensitive
  [[nodiscard]] JsonView at(size_t index) const;      // element of an array; linear
  [[nodiscard]] size_t size() const;                  // of an array or object, else 0
  [[nodiscard]] std::string_view key() const;         // this member's own name, or ""
  [[nodiscard]] JsonView first() const;               // first child; with next(): iteration over arrays and objects
  [[nodiscard]] JsonView next() const;
  [[nodiscard]] std::string dump() const;       // compact text, no newline in it; "" when absent
  [[nodiscard]] const char* type_name() const;  // "string", "number", …: for error messages

 private:
  const cJSON* node_ = nullptr;
};

class Json {
 public:
  Json() = default;  // absent

  // Strict (RFC 8259 and I-JSON): valid UTF-8, no byte order mark, no trailing text, no raw control characters or \u0000 in strings,
  // no duplicate keys, whole numbers within ±2^53, others within a double, bounded size and depth. Errors: invalid, with the byte
  // offset in the detail.
  [[nodiscard]] static Result<Json> parse(std::string_view text, JsonLimits limits = {});
  [[nodiscard]] static Json object();
  [[nodiscard]] static Json array();

  [[nodiscard]] JsonView view() const { return JsonView(node_.get()); }
  [[nodiscard]] std::string dump() const { return view().dump(); }

  // Builders: `set` on an object, `push` on an array. Strings must be valid UTF-8 without NUL. Integers must be within ±2^53.
  Json& set(const char* key, std::string_view value);
  Json& set(const char* key, const std::string& value) { return set(key, std::string_view(value)); }
  Json& set(const char* key, const char* value) { return set(key, std::string_view(value)); }
  Json& set(const char* key, int64_t value);
  Json& set(const char* key, int value) { return set(key, int64_t{value}); }
  Json& set(const char* key, uint32_t value) { return set(key, int64_t{value}); }
  Json& set(const char* key, uint64_t value) { return set(key, static_cast<int64_t>(value)); }
  Json& set(const char* key, double value);  // a value that is not finite becomes null
  Json& set(const char* key, bool value);
  Json& set(const char* key, std::nullptr_t);
  Json& set(const char* key, Json value);
  Json& set_raw(const char* key, std::string_view json);  // trusted, already valid JSON text
  Json& push(std::string_view value);
  Json& push(Json value);
  Json& push_raw(std::string_view json);

 private:
  using Node = Handle<cJSON, cJSON_Delete>;
  explicit Json(cJSON* node) : node_(node) {}
  Json& add(const char* key, cJSON* value);
  Node node_;
};

// `text` as a JSON string, quotes included. For writers that build their text straight (the snapshot); `text` must be valid UTF-8.
void append_json_string(std::string& out, std::string_view text);

// Well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without NUL.
[[nodiscard]] bool is_utf8(std::string_view text);

// Reads a JSON file of at most 1 MiB in which a line may be a comment: its first non-blank character is '#' (lwsws's own habit).
// Errors: not_found (with the path), invalid (path:line: what is wrong).
[[nodiscard]] Result<Json> read_json_file(const std::string& path);
[[nodiscard]] Result<std::string> read_file(const std::string& path, size_t bytes_max);
[[nodiscard]] Result<std::string> read_all(int fd, size_t bytes_max);  // to the end of a blocking descriptor; errors as read_file's

}  // namespace jobcast
