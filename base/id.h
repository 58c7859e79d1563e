// Job ids: UUIDv7 (RFC 9562), 16 bytes in memory, 36 lower-case characters on every wire.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace jobcast {

struct JobId {
  std::array<uint8_t, 16> bytes{};

  auto operator<=>(const JobId&) const = default;
  [[nodiscard]] std::string text() const;
  // Exactly 8-4-4-4-12 hexadecimal digits, either case; anything else is nullopt. Any UUID version is taken.
  [[nodiscard]] static std::optional<JobId> parse(std::string_view text);
};

// Makes ids that grow within one process even inside a millisecond (RFC 9562 method 1: a counter in rand_a). Not thread-safe.
class JobIdSource {
 public:
  [[nodiscard]] JobId next(int64_t unix_ms);

 private:
  int64_t last_ms_ = 0;
  uint32_t counter_ = 0;
};

// `count` bytes of the kernel's randomness as lower-case hexadecimal (2 × count characters).
[[nodiscard]] std::string random_hex(size_t count);
void random_bytes(void* out, size_t count);

}  // namespace jobcast

template <>
struct std::hash<jobcast::JobId> {
  size_t operator()(const jobcast::JobId& id) const noexcept {
    return std::hash<std::string_view>{}({reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()});
  }
};
