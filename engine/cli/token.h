// Makes JWTs for users (DESIGN §7). The only file pair of the command that knows libjwt and OpenSSL. Pure but for the key's bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobcast::cli {

struct TokenRequest {
  std::string user{};                // `sub`, 1–128 bytes
  std::string scope{};               // words of kScopes with a space between; "": none
  std::string issuer{}, audience{};  // "": left out
  std::string kid{};                 // names the key in the token's header; "": left out
  std::string alg{};                 // HS256, RS256, ES256; "": what fits the key
  int64_t expires_in_s = 3600;
};

// `key` is what the key file holds: an HMAC secret of at least 32 bytes (one newline at its end is not part of it), or the PEM of a
// private key, RSA of at least 2048 bits or EC P-256. Errors: invalid with the remedy, internal.
[[nodiscard]] Result<std::string> mint(std::string_view key, const TokenRequest& request, int64_t now_unix_s);

}  // namespace jobcast::cli
