// The gate before the signature: what a token says, read strictly. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lws-plugin/auth.h"

namespace jobcast::plugin {

constexpr size_t kTokenBytesMax = 8192;  // libjwt crashes on megabytes

enum class Alg : uint8_t { hs256, rs256, es256 };
[[nodiscard]] const char* name(Alg alg);
[[nodiscard]] std::optional<Alg> parse_alg(std::string_view text);  // exactly as RFC 7518 writes it

// base64url (RFC 4648 §5) in its one canonical form: no padding, no other characters, unused bits zero.
[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);

struct Token {
  Alg alg = Alg::hs256;
  std::string kid;  // "": none
  Identity who;
  int64_t not_before_unix_s = 0;  // with the leeway taken off; 0: none
};

// Everything but the signature and the time: size, three canonical segments, strict JSON without duplicate keys, alg, crit, typ, sub,
// exp, nbf, iss, aud, scope. Errors as Auth::verify().
[[nodiscard]] Result<Token> read_token(std::string_view text, const AuthOptions& options);

// Whether the token's time is now. Errors: token_expired, token_not_yet_valid, clock_not_set.
[[nodiscard]] Result<void> check_time(int64_t not_before_unix_s, int64_t expires_unix_s, const Time& now);

[[nodiscard]] inline Error token_invalid(std::string why) { return {Errc::unauthorized, std::move(why), "token_invalid"}; }

}  // namespace jobcast::plugin
