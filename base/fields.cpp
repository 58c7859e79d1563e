// Each read checks one member, remembers that it was asked for, and says what is wrong with it.
#include "base/fields.h"

#include <algorithm>

#include "base/closest.h"
#include "base/text.h"
#include "base/unit.h"

namespace jobcast {
namespace {

std::string trimmed(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

// What stands there instead of a number, and the number that was probably meant.
std::string not_but(JsonView value, const char* key) {
  const auto text = value.string();
  if (!text) return ", not " + (value.number() ? printable(value.dump()) : std::string(value.type_name()));
  const std::string meant = in_unit(*text, unit_of_key(key));
  return ", not \"" + printable(*text) + "\"" + (meant.empty() ? "" : ": write " + meant + ", without quotes and unit");
}

}  // namespace

Fields::Fields(JsonView object, std::string path, ConfigFile* file) : object_(object), path_(std::move(path)), file_(file) {
  if (object.is_object()) return;
  const std::string what = path_.empty() ? "the document" : path_, problem = std::string("must be an object, not ") + object.type_name();
  fault_ = Error{Errc::invalid, what + " " + problem, path_};
  if (file_) file_->fail(object, what, problem);
}

std::string Fields::path(const char* key) const { return path_.empty() ? key : path_ + "." + key; }

void Fields::fail(const char* key, std::string problem, Severity severity) {
  const JsonView value = object_.get(key);
  fail(key, value.exists() ? value : object_, std::move(problem), severity);
}

void Fields::fail(const char* key, JsonView at, std::string problem, Severity severity) {
  if (!fault_ && severity == Severity::fatal) fault_ = Error{Errc::invalid, path(key) + " " + problem, path(key)};
  if (file_) file_->fail(at, path(key), std::move(problem), severity);
}

JsonView Fields::take(const char* key) {
  known_.emplace_back(key);
  const JsonView value = object_.get(key);
  return value.is_null() ? JsonView() : value;
}

JsonView Fields::typed(const char* key, bool (JsonView::*is)() const, const char* wanted) {
  const JsonView value = take(key);
  if (!value.exists() || (value.*is)()) return value;
  fail(key, std::string("must be ") + wanted + ", not " + value.type_name());
  return {};
}

bool Fields::has(const char* key) { return take(key).exists(); }
JsonView Fields::object(const char* key) { return typed(key, &JsonView::is_object, "an object"); }
JsonView Fields::array(const char* key) { return typed(key, &JsonView::is_array, "an array"); }

JsonView Fields::any(const char* key) {
  known_.emplace_back(key);
  return object_.get(key);
}

std::string Fields::string(const char* key, std::string_view fallback, size_t bytes_max) {
  const JsonView value = take(key);
  if (!value.exists()) return std::string(fallback);
  const auto text = value.string();
  if (!text) {
    fail(key, std::string("must be a string, not ") + value.type_name());
    return std::string(fallback);
  }
  if (text->size() > bytes_max) {
    fail(key, "is " + std::to_string(text->size()) + " bytes; at most " + std::to_string(bytes_max));
    return std::string(fallback);
  }
  return std::string(*text);
}

std::optional<std::string> Fields::optional_string(const char* key, size_t bytes_max) {
  if (!has(key)) return std::nullopt;
  std::string value = string(key, "", bytes_max);
  if (value.empty()) fail(key, "is empty: leave it out where there is none");
  return value;
}

std::string Fields::required_string(const char* key, size_t bytes_max) {
  std::string value = string(key, "", bytes_max);
  if (value.empty()) fail(key, "is required: a non-empty string");
  return value;
}

std::string Fields::choice(const char* key, std::string_view fallback, std::initializer_list<std::string_view> allowed) {
  std::string value = string(key, fallback);
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  std::string list;
  for (const auto word : allowed) (list += list.empty() ? "" : ", ") += word;
  fail(key, "must be one of " + list + ", not \"" + printable(value) + "\"");
  return std::string(fallback);
}

std::optional<int64_t> Fields::optional_integer(const char* key, int64_t min, int64_t max) {
  const JsonView value = take(key);
  if (!value.exists()) return std::nullopt;
  const auto whole = value.integer();
  if (whole && *whole >= min && *whole <= max) return whole;
  fail(key, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max) + not_but(value, key));
  return std::nullopt;
}

int64_t Fields::integer(const char* key, int64_t fallback, int64_t min, int64_t max) {
  return optional_integer(key, min, max).value_or(fallback);
}

double Fields::number(const char* key, double fallback, double min, double max) {
  const JsonView value = take(key);
  if (!value.exists()) return fallback;
  const auto read = value.number();
  if (read && *read >= min && *read <= max) return *read;
  fail(key, "must be a number from " + trimmed(min) + " to " + trimmed(max) + not_but(value, key));
  return fallback;
}

bool Fields::boolean(const char* key, bool fallback) {
  const JsonView value = take(key);
  if (!value.exists()) return fallback;
  if (const auto read = value.boolean()) return *read;
  fail(key, std::string("must be true or false, not ") + value.type_name());
  return fallback;
}

std::vector<std::string> Fields::strings(const char* key, size_t count_max, size_t bytes_max) {
  std::vector<std::string> out;
  const JsonView list = array(key);
  if (list.size() > count_max) {
    fail(key, "has " + std::to_string(list.size()) + " elements; at most " + std::to_string(count_max));
    return out;
  }
  for (JsonView item = list.first(); item.exists(); item = item.next()) {
    const auto text = item.string();
    if (!text || text->size() > bytes_max) {
      fail(key, item,
           "must hold strings of at most " + std::to_string(bytes_max) + " bytes; element " + std::to_string(out.size()) + " is not");
      return {};
    }
    out.emplace_back(*text);
  }
  return out;
}

Result<void> Fields::finish() {
  for (JsonView member = object_.is_object() ? object_.first() : JsonView(); member.exists() && (file_ || !fault_);
       member = member.next()) {
    const std::string_view name = member.key();
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    const std::string shown = printable(name);
    std::string problem = "is not known here";
    if (const std::string meant = closest(shown, known_); !meant.empty()) problem += ": did you mean \"" + meant + "\"?";
    if (!fault_) fault_ = Error{Errc::invalid, path(shown.c_str()) + " " + problem, path(shown.c_str())};
    if (file_) file_->fail_key(member, path(shown.c_str()), problem);
  }
  if (fault_) return *fault_;
  return {};
}

}  // namespace jobcast
