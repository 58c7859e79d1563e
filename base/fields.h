// Reads the members of one JSON object by name, type and range: configs, RPC parameters, requests of browsers. The first fault is
// kept, names its field and the remedy, and later reads give their fall-back, so that a reader is a plain list of lines:
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

#include "base/json.h"
#include "base/result.h"

namespace jobcast {

class Fields {
 public:
  // `path` is put before every field's name in errors; "" at the top level. `object` must outlive this. Not an object: a fault.
  explicit Fields(JsonView object, std::string path = {});

  [[nodiscard]] bool has(const char* key);  // present and not null; counts as asked for

  // Absent or null gives the fall-back; lengths are bytes of UTF-8.
  std::string string(const char* key, std::string_view fallback, size_t bytes_max = 4096);
  std::optional<std::string> optional_string(const char* key, size_t bytes_max = 4096);  // refuses "", which is not the same as absent
  std::string required_string(const char* key, size_t bytes_max = 4096);  // also refuses ""
  std::string choice(const char* key, std::string_view fallback, std::initializer_list<std::string_view> allowed);
  int64_t integer(const char* key, int64_t fallback, int64_t min, int64_t max);
  std::optional<int64_t> optional_integer(const char* key, int64_t min, int64_t max);
  double number(const char* key, double fallback, double min, double max);
  bool boolean(const char* key, bool fallback);
  std::vector<std::string> strings(const char* key, size_t count_max, size_t bytes_max = 4096);  // absent: {}
  JsonView object(const char* key);                                                              // absent: a view that does not exist
  JsonView array(const char* key);
  JsonView any(const char* key);  // whatever is there, null included

  void fail(const char* key, std::string problem);  // a fault of the caller's own finding; the first one wins
  [[nodiscard]] std::string path(const char* key) const;

  // The first fault, or one about a member that nobody asked for (with the closest known name). Errc::invalid.
  [[nodiscard]] Result<void> finish();

 private:
  JsonView take(const char* key);
  JsonView typed(const char* key, bool (JsonView::*is)() const, const char* wanted);

  JsonView object_;
  std::string path_;
  std::vector<std::string> known_;
  std::optional<Error> fault_;
};

}  // namespace jobcast
