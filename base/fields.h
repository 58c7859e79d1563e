// Reads the members of one JSON object by name, type and range: configs, RPC parameters, requests of browsers. The first fault is
// kept, names its field and the remedy, and later reads give their fall-back, so that a reader is a plain list of lines. Of a
// configuration file every fault is told to it as well, with its place:
//
//   Fields in(object, "queues.default");
//   queue.concurrency = in.integer("concurrency", 2, 1, 1024);
//   if (auto done = in.finish(); !done) return done.error();   // also refuses members that nobody asked for
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config_file.h"
#include "base/json.h"
#include "base/result.h"

namespace jobcast {

class Fields {
 public:
  // `path` is put before every field's name in errors; "" at the top level. `object`, and the file that it belongs to if it is a
  // configuration's, must outlive this. Not an object: a fault.
  explicit Fields(JsonView object, std::string path = {}, ConfigFile* file = nullptr);

  [[nodiscard]] bool has(const char* key);  // present and not null; counts as asked for

  // Absent or null gives the fall-back; lengths are bytes of UTF-8.
  std::string string(const char* key, std::string_view fallback, size_t bytes_max = 4096);
  std::optional<std::string> optional_string(const char* key, size_t bytes_max = 4096);  // refuses "", which is not the same as absent
  std::string required_string(const char* key, size_t bytes_max = 4096);                 // also refuses ""
  std::string choice(const char* key, std::string_view fallback, std::initializer_list<std::string_view> allowed);
  int64_t integer(const char* key, int64_t fallback, int64_t min, int64_t max);
  std::optional<int64_t> optional_integer(const char* key, int64_t min, int64_t max);
  double number(const char* key, double fallback, double min, double max);
  bool boolean(const char* key, bool fallback);
  std::vector<std::string> strings(const char* key, size_t count_max, size_t bytes_max = 4096);  // absent: {}
  JsonView object(const char* key);                                                              // absent: a view that does not exist
  JsonView array(const char* key);
  JsonView any(const char* key);  // whatever is there, null included

  // A fault of the caller's own finding.
  void fail(const char* key, std::string problem, Severity severity = Severity::fatal);
  void fail(const char* key, JsonView at, std::string problem, Severity severity = Severity::fatal);  // of an element or a member
  [[nodiscard]] std::string path(const char* key) const;

  // Names members that nobody asked for, with the closest known name. The first fatal fault. Errc::invalid.
  [[nodiscard]] Result<void> finish();

 protected:
  JsonView take(const char* key);
  [[nodiscard]] JsonView object() const { return object_; }

 private:
  JsonView typed(const char* key, bool (JsonView::*is)() const, const char* wanted);

  JsonView object_;
  std::string path_;
  ConfigFile* file_ = nullptr;
  std::vector<std::string> known_;
  std::optional<Error> fault_;
};

}  // namespace jobcast
