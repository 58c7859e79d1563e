// Pieces of a job's log file as text that fits an answer. Loop thread: the file is small, capped and fresh in the page cache.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace jobcast::engine {

struct LogPiece {
  std::string json;                               // the text as a JSON string, quotes included
  int64_t offset = 0, next_offset = 0, size = 0;  // bytes of the file
};

// At most `limit` bytes of the file from `offset` (below 0: from the end; beyond the end: nothing, at the end). Bytes that are no UTF-8,
// and NUL, become U+FFFD. A character that the piece would cut is left to the next one, unless the log is `complete` and ends inside it.
// The piece is cut early where its JSON would pass `json_bytes_max`. No file: an empty log. Errors: not_found (the
// job's program put something else in its place); internal.
[[nodiscard]] Result<LogPiece> read_log(const std::string& path, int64_t offset, int64_t limit, bool complete, size_t json_bytes_max);

}  // namespace jobcast::engine
