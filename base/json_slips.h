// The usual slips of people who write JSON by hand, named and mended, so that one reading finds all of them. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_fault.h"

namespace jobcast {

struct Slip {
  size_t at = 0;  // byte offset in the text as it was given
  std::string problem;
  std::string key = {};  // where it concerns one: "queues.default"
};

// Every slip of `text`, by place. `text` becomes what was probably meant, as far as that can be known; positions in it are turned into
// those of the original by `original()`.
class MendedJson {
 public:
  explicit MendedJson(std::string text);

  [[nodiscard]] const std::vector<Slip>& slips() const { return slips_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool whole() const { return whole_; }  // text() is JSON now
  [[nodiscard]] size_t original(size_t at) const;      // of an offset in text()

 private:
  struct Scene;
  void note(size_t at, std::string problem);
  void blank(size_t from, size_t to);
  void insert(size_t at, std::string_view what);
  [[nodiscard]] bool mend_bytes();
  void mend_twins();
  // Each names the slip at hand, and returns true if it mended it.
  [[nodiscard]] bool mend(size_t at, const std::string& what, bool of_cjson);
  [[nodiscard]] bool mend_string(const Scene& scene, const std::string& what);
  [[nodiscard]] bool mend_end(const Scene& scene);
  [[nodiscard]] bool mend_closing(const Scene& scene);
  [[nodiscard]] bool mend_quotes(const Scene& scene);
  [[nodiscard]] bool mend_key(const Scene& scene);
  [[nodiscard]] bool mend_behind_key(const Scene& scene);
  [[nodiscard]] bool mend_value(const Scene& scene, const std::string& what);
  [[nodiscard]] bool mend_behind_value(const Scene& scene);
  [[nodiscard]] std::string place(size_t at) const;  // "line 3, column 5"

  std::string original_, text_;
  std::vector<size_t> inserted_;  // offsets in text_ of what stands in no file
  std::vector<Slip> slips_;
  bool whole_ = false;
};

// Line and column, from 1, of a byte offset; columns count characters.
struct Position {
  int line = 0, column = 0;
};
[[nodiscard]] Position position_of(std::string_view text, size_t at);

}  // namespace jobcast
