// Cuts a log where characters and lines end.
#include "engine/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/handle.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

constexpr size_t kCharacterMax = 4;  // bytes of one in UTF-8
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

size_t json_cost(std::string_view character) {
  const char c = character.front();
  if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') return 2;
  return static_cast<unsigned char>(c) < 0x20 ? 6 : character.size();
}

// The end of `bytes` may be the beginning of a character whose rest is not there.
bool may_be_cut(std::string_view bytes, size_t at) {
  const auto lead = static_cast<unsigned char>(bytes[at]);
  const size_t wanted = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  const std::string_view rest = bytes.substr(at + 1);
  return rest.size() + 1 < wanted && std::all_of(rest.begin(), rest.end(), continues);
}

}  // namespace

Result<LogPiece> read_log(const std::string& path, int64_t offset, int64_t limit, bool complete, size_t json_bytes_max) {
  LogPiece piece;
  const auto own = open_own_file(path, O_RDONLY);
  if (!own && own.error().code == Errc::not_found) {
    piece.json = "\"\"";
    return piece;
  }
  if (!own) {
    log::warning("job_log_refused", {{"error", own.error().detail}});
    if (own.error().code == Errc::corrupt)
      return {Errc::not_found, "the log of this job is gone: its program put something else in the place of the file"};
    return {Errc::internal, "the log cannot be read; the engine's log says why"};
  }
  const Fd& fd = *own;
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return {Errc::internal, "the log cannot be read: " + std::string(std::strerror(errno))};
  piece.size = info.st_size;
  piece.offset = std::clamp<int64_t>(offset < 0 ? piece.size + offset : offset, 0, piece.size);
  std::string bytes(static_cast<size_t>(std::min(std::max<int64_t>(limit, kCharacterMax), piece.size - piece.offset)), '\0');
  const ssize_t got = pread(fd.get(), bytes.data(), bytes.size(), piece.offset);
  if (got < 0) return {Errc::internal, "the log cannot be read: " + std::string(std::strerror(errno))};
  bytes.resize(static_cast<size_t>(got));

  size_t at = 0;
  if (offset < 0)  // counted from the end it may hit the middle of a character: begin with the next one
    while (at < std::min(bytes.size(), kCharacterMax - 1) && continues(bytes[at])) ++at;
  piece.offset += static_cast<int64_t>(at);
  const size_t start = at;
  const bool last = complete && piece.offset - static_cast<int64_t>(start) + got >= piece.size;
  std::string text;
  for (size_t cost = 2; at < bytes.size();) {
    const size_t length = utf8_length(bytes, at);
    if (length == 0 && !last && may_be_cut(bytes, at)) break;
    const std::string_view character = length > 0 ? std::string_view(bytes).substr(at, length) : kReplacement;
    cost += json_cost(character);
    if (cost > json_bytes_max) break;
    text += character;
    at += std::max<size_t>(length, 1);
  }
  append_json_string(piece.json, text);
  piece.next_offset = piece.offset + static_cast<int64_t>(at - start);
  return piece;
}

}  // namespace jobcast::engine
