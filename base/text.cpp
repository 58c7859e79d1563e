// UTF-8, byte by byte.
#include "base/text.h"

#include <algorithm>

namespace jobcast {

size_t utf8_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t offset) -> unsigned {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto tail = [&](size_t offset) { return (byte(offset) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead == 0) return 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF && tail(1)) return 2;
  if (lead >= 0xE0 && lead <= 0xEF && tail(1) && tail(2) && !(lead == 0xE0 && byte(1) < 0xA0) && !(lead == 0xED && byte(1) > 0x9F))
    return 3;
  if (lead >= 0xF0 && lead <= 0xF4 && tail(1) && tail(2) && tail(3) && !(lead == 0xF0 && byte(1) < 0x90) &&
      !(lead == 0xF4 && byte(1) > 0x8F))
    return 4;
  return 0;
}

std::string to_utf8(std::string_view bytes, size_t bytes_max) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = utf8_length(bytes, i);
    const std::string_view character = length > 0 ? bytes.substr(i, length) : kReplacement;
    if (character.size() > bytes_max - out.size()) break;
    out += character;
    i += length > 0 ? length : 1;
  }
  return out;
}

std::string without_paths(std::string_view text) {
  constexpr std::string_view kBefore = " \t\n\"'`(=:,;<[", kBehind = " \t\n\"'`),;>]";
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const bool begins = text[at] == '/' && (at == 0 || kBefore.find(text[at - 1]) != std::string_view::npos);
    size_t end = begins ? std::min(text.find_first_of(kBehind, at), text.size()) : at + 1;
    while (begins && end > at + 1 && (text[end - 1] == ':' || text[end - 1] == '.')) --end;  // the sentence's, not the path's
    const bool path = begins && text.substr(at + 1, end - at - 1).find('/') != std::string_view::npos && text.substr(at, 2) != "//";
    out += path ? std::string_view("a file of the server") : text.substr(at, end - at);
    at = end;
  }
  return out;
}

std::string printable(std::string_view bytes, size_t bytes_max) {
  std::string out = to_utf8(bytes.substr(0, bytes_max + 3), bytes_max);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (bytes.size() > bytes_max) out += "...";
  return out;
}

}  // namespace jobcast
