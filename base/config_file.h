// A configuration file while it is read: JSON in which a line may be a comment (its first character that is not blank is '#', lwsws's own
// habit), and the place of every value in it, so that whoever finds a fault in a value can say where it stands. One thread.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/fault.h"
#include "base/json.h"

namespace jobcast {

class ConfigFile {
 public:
  // Reads a file of at most 1 MiB; its faults, and those that are found later, go into `faults`, which must outlive this. What can be
  // guessed behind a slip is read on, so that the faults behind it are found too.
  ConfigFile(std::string path, Faults& faults);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] JsonView view() const { return json_.view(); }  // does not exist when nothing could be read
  [[nodiscard]] Json take() { return std::move(json_); }

  // A fault of a value of this document, or of the key that it stands under; where it does not exist, of the whole file.
  void fail(JsonView value, std::string key, std::string problem, Severity severity = Severity::fatal);
  void fail_key(JsonView value, std::string key, std::string problem, Severity severity = Severity::fatal);

 private:
  void add(size_t at, std::string key, std::string problem, Severity severity);

  std::string path_, original_, text_;
  std::vector<size_t> original_at_;  // of each byte of text_ the offset in original_; empty while they are the same
  Json json_;
  Faults& faults_;
};

// For a file that is either right or not used at all. Errors: as read_file's, or invalid (path:line:column: the first fault).
[[nodiscard]] Result<Json> read_json_file(const std::string& path);

}  // namespace jobcast
