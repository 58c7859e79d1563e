// UUIDv7 from the clock and the system's random bytes.
#include "base/id.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace jobcast {
namespace {

constexpr char kHex[] = "0123456789abcdef";

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_before(size_t byte) { return byte == 4 || byte == 6 || byte == 8 || byte == 10; }

}  // namespace

std::string JobId::text() const {
  std::string out;
  out.reserve(36);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (dash_before(i)) out += '-';
    out += kHex[bytes[i] >> 4];
    out += kHex[bytes[i] & 15];
  }
  return out;
}

std::optional<JobId> JobId::parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  JobId id;
  size_t at = 0;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    if (dash_before(i) && text[at++] != '-') return std::nullopt;
    const int high = nibble(text[at++]);
    const int low = nibble(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return id;
}

void random_bytes(void* out, size_t count) {
  auto* at = static_cast<uint8_t*>(out);
  while (count > 0) {
    const ssize_t got = getrandom(at, count, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();  // no randomness, no ids and no keys: nothing could be trusted
    }
    at += got;
    count -= static_cast<size_t>(got);
  }
}

std::string random_hex(size_t count) {
  std::string raw(count, '\0');
  random_bytes(raw.data(), raw.size());
  std::string out;
  out.reserve(2 * count);
  for (const char c : raw) {
    out += kHex[static_cast<uint8_t>(c) >> 4];
    out += kHex[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

JobId JobIdSource::next(int64_t unix_ms) {
  JobId id;
  random_bytes(id.bytes.data() + 6, 10);
  if (unix_ms > last_ms_) {
    last_ms_ = unix_ms;
    counter_ = static_cast<uint32_t>((id.bytes[6] << 8 | id.bytes[7]) & 0x7ff);  // top bit free, so that there is room to count
  } else if (++counter_ > 0xfff) {
    ++last_ms_;  // the millisecond is used up: borrow from the next one
    counter_ = 0;
  }
  for (size_t i = 0; i < 6; ++i) id.bytes[i] = static_cast<uint8_t>(last_ms_ >> (8 * (5 - i)));
  id.bytes[6] = static_cast<uint8_t>(0x70 | counter_ >> 8);
  id.bytes[7] = static_cast<uint8_t>(counter_);
  id.bytes[8] = static_cast<uint8_t>(0x80 | (id.bytes[8] & 0x3f));
  return id;
}

}  // namespace jobcast
