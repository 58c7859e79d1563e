// Any bytes, as JSON: what is accepted means the same when it is written and read again, to the reader of fields, and to the one that cuts
// members out of the text.
#include <string>
#include <string_view>

#include "base/fields.h"
#include "base/invariant.h"
#include "base/json.h"
#include "base/json_slice.h"
#include "base/text.h"
#include "tests/fuzz/strict_json.h"

namespace {

using jobcast::Fields;
using jobcast::invariant;
using jobcast::Json;
using jobcast::JsonView;

void check_error(const jobcast::Error& error) {
  invariant(error.code == jobcast::Errc::invalid);
  invariant(!error.detail.empty() && error.detail.size() < 400 && error.field.size() < 400);
  invariant(jobcast::is_utf8(error.detail) && jobcast::is_utf8(error.field));
}

// JSON by its grammar, and yet refused: only for a reason that the header names, or for half a surrogate pair.
void check_reason(std::string_view text, const std::string& detail) {
  for (const char* reason : {"duplicate key", "beyond 2^53", "out of range", "deeper than", "u0000", "not valid UTF-8"})
    if (detail.find(reason) != std::string::npos) return;
  invariant(text.find("\\u") != std::string_view::npos);
}

// Exactly one type, and each accessor agrees with it.
void check_view(JsonView view, int depth) {
  invariant(view.exists() && depth <= 32);
  const int types = view.is_null() + view.is_object() + view.is_array() + view.string().has_value() + view.number().has_value() +
                    view.boolean().has_value();
  invariant(types == 1);
  if (const auto text = view.string()) invariant(jobcast::is_utf8(*text));
  if (const auto whole = view.integer()) invariant(static_cast<double>(*whole) == *view.number());
  size_t children = 0;
  for (JsonView child = view.first(); child.exists(); child = child.next(), ++children) {
    if (view.is_object()) invariant(view.get(std::string(child.key()).c_str()).dump() == child.dump());
    check_view(child, depth + 1);
  }
  invariant(children == view.size());
}

// Reads the member in every way; whatever it is, the reader answers with it, a fall-back, or one fault.
void check_fields(JsonView object, const std::string& key) {
  const char* name = key.c_str();
  const auto read = [&](auto&& in_some_way) {
    Fields in(object, "top");
    in_some_way(in);
    if (const auto done = in.finish(); !done) check_error(done.error());
  };
  read([&](Fields& in) { invariant(in.string(name, "f", 16).size() <= 16); });
  read([&](Fields& in) { (void)in.required_string(name); });
  read([&](Fields& in) { invariant(in.choice(name, "a", {"a", "b"}).size() == 1); });
  read([&](Fields& in) {
    const int64_t value = in.integer(name, 3, -5, 5);
    invariant(value >= -5 && value <= 5);
  });
  read([&](Fields& in) {
    const double value = in.number(name, 0.5, 0, 1);
    invariant(value >= 0 && value <= 1);
  });
  read([&](Fields& in) { (void)in.boolean(name, true); });
  read([&](Fields& in) { invariant(in.strings(name, 2, 8).size() <= 2); });
  read([&](Fields& in) { (void)in.object(name); });
  read([&](Fields& in) { (void)in.array(name); });
  read([&](Fields& in) { (void)in.any(name); });
}

void check_object(std::string_view text, JsonView object) {
  int members = 0;
  for (JsonView member = object.first(); member.exists() && members < 8; member = member.next(), ++members) {
    const std::string key(member.key());
    if (key.size() <= 64) check_fields(object, key);  // a program asks for keys of its own, short ones
    // Keys that are written with an escape are not found in the raw text: documented.
    const auto slice = jobcast::json_member(text, key);
    if (!slice) {
      invariant(key.find_first_of("\"\\/\b\f\n\r\t") != std::string::npos || text.find("\\u") != std::string_view::npos);
      continue;
    }
    invariant(slice->data() >= text.data() && slice->data() + slice->size() <= text.data() + text.size());
    const auto again = Json::parse(*slice);
    invariant(again.ok());
    if (text.find('\\') == std::string_view::npos) invariant(again->dump() == member.dump());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string shown = jobcast::printable(text);
  invariant(jobcast::is_utf8(shown) && shown.size() <= 64 + 3);
  invariant(jobcast::is_utf8(jobcast::to_utf8(text, 100)));
  invariant(jobcast::is_utf8(text) == (jobcast::to_utf8(text) == text));
  for (const char* key : {"", "a", "job"}) (void)jobcast::json_member(text, key);

  const auto parsed = Json::parse(text);
  if (!parsed) {
    check_error(parsed.error());
    if (strict::Grammar::holds(text)) check_reason(text, parsed.error().detail);
    return 0;
  }
  invariant(strict::Grammar::holds(text));
  check_view(parsed->view(), 0);
  const std::string written = parsed->dump();
  invariant(written.find('\n') == std::string::npos && jobcast::is_utf8(written));
  const auto again = Json::parse(written, {.bytes_max = written.size()});
  invariant(again.ok());
  invariant(again->dump() == written);
  if (parsed->view().is_object()) check_object(text, parsed->view());
  return 0;
}
