// Header and claims, each of the type that it must have.
#include "lws-plugin/auth_token.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"

namespace jobcast::plugin {
namespace {

constexpr int64_t kExpiresUnixSMax = 253'370'764'800;  // the year 9999: "for ever" still has milliseconds and a date
constexpr size_t kKidBytesMax = 128, kSubBytesMax = 128;

constexpr std::array<int8_t, 256> kSextets = [] {
  std::array<int8_t, 256> table{};
  table.fill(-1);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (size_t i = 0; i < kAlphabet.size(); ++i) table[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return table;
}();

Result<Json> read_segment(std::string_view segment, const char* what) {
  const auto text = decode_base64url(segment);
  if (!text) return token_invalid(std::string("the token's ") + what + " is not canonical base64url");
  auto parsed = Json::parse(*text, {kTokenBytesMax, 16});
  if (!parsed || !parsed->view().is_object())
    return token_invalid(std::string("the token's ") + what + " is not a JSON object without duplicate keys");
  return parsed;
}

bool has_control_characters(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (byte < 0x20 || byte == 0x7f) return true;
    if (byte == 0xc2 && i + 1 < text.size() && static_cast<uint8_t>(text[i + 1]) < 0xa0) return true;  // U+0080 … U+009F
  }
  return false;
}

Result<void> read_header(Token& token, JsonView header) {
  const auto alg = parse_alg(header.get("alg").string().value_or(""));
  if (!alg) return token_invalid("the token's alg is none of HS256, RS256 and ES256");
  token.alg = *alg;
  if (header.get("crit").exists()) return token_invalid("the token has critical extensions (crit), of which none is known here");
  if (const JsonView typ = header.get("typ"); typ.exists() && typ.string() != "JWT") return token_invalid("the token's typ is not JWT");
  if (const JsonView kid = header.get("kid"); kid.exists()) {
    if (!kid.string() || kid.string()->empty() || kid.string()->size() > kKidBytesMax)
      return token_invalid("the token's kid is not a string of 1 to 128 bytes");
    token.kid = *kid.string();
  }
  return {};
}

bool names_audience(JsonView aud, std::string_view wanted) {
  if (aud.string()) return *aud.string() == wanted;
  bool found = false;
  for (JsonView one = aud.is_array() ? aud.first() : JsonView(); one.exists(); one = one.next()) {
    if (!one.string()) return false;
    found = found || *one.string() == wanted;
  }
  return found;
}

Result<void> read_scope(Identity& who, JsonView scope) {
  if (!scope.exists()) return {};
  if (!scope.string()) return token_invalid("the token's scope is not a string of words");
  for (std::string_view rest = *scope.string(); !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    if (word == "jobs:submit") who.may_submit = true;
    if (word == "jobs:cancel") who.may_cancel = true;
    if (word == "jobs:read:any") who.may_read_any = true;
    if (word == "admin") who.admin = who.may_submit = who.may_cancel = who.may_read_any = true;
  }
  return {};
}

Result<void> read_claims(Token& token, JsonView claims, const AuthOptions& options) {
  const auto sub = claims.get("sub").string();
  if (!sub || sub->empty() || sub->size() > kSubBytesMax || has_control_characters(*sub))
    return token_invalid("the token's sub is not a user: a string of 1 to 128 bytes without control characters");
  token.who.user = *sub;

  const auto exp = claims.get("exp").integer();
  if (!exp || *exp <= 0) return token_invalid("the token's exp is not a whole number of seconds");
  token.who.expires_unix_s = std::min(*exp + options.leeway_s, kExpiresUnixSMax);

  if (const JsonView nbf = claims.get("nbf"); nbf.exists()) {
    if (!nbf.integer()) return token_invalid("the token's nbf is not a whole number of seconds");
    token.not_before_unix_s = *nbf.integer() - options.leeway_s;
  }
  if (!options.issuer.empty() && claims.get("iss").string() != std::string_view(options.issuer))
    return token_invalid("the token's iss is not the issuer that this server trusts");
  if (!options.audience.empty() && !names_audience(claims.get("aud"), options.audience))
    return token_invalid("the token's aud does not name this server");
  return read_scope(token.who, claims.get("scope"));
}

}  // namespace

const char* name(Alg alg) {
  switch (alg) {
    case Alg::hs256: return "HS256";
    case Alg::rs256: return "RS256";
    case Alg::es256: return "ES256";
  }
  return "";
}

std::optional<Alg> parse_alg(std::string_view text) {
  for (const Alg alg : {Alg::hs256, Alg::rs256, Alg::es256})
    if (text == name(alg)) return alg;
  return std::nullopt;
}

std::optional<std::string> decode_base64url(std::string_view text) {
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const int8_t sextet = kSextets[static_cast<uint8_t>(c)];
    if (sextet < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(sextet);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count);
    bits &= (1U << count) - 1;
  }
  if (bits != 0) return std::nullopt;
  return out;
}

Result<Token> read_token(std::string_view text, const AuthOptions& options) {
  if (text.size() > kTokenBytesMax) return token_invalid("the token is longer than 8 KiB");
  const size_t first = text.find('.');
  const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return token_invalid("the token does not have three segments");
  auto header = read_segment(text.substr(0, first), "header");
  if (!header) return header.error();
  auto claims = read_segment(text.substr(first + 1, second - first - 1), "payload");
  if (!claims) return claims.error();
  const auto signature = decode_base64url(text.substr(second + 1));
  if (!signature || signature->empty()) return token_invalid("the token's signature is not canonical base64url");
  Token token;
  if (auto read = read_header(token, header->view()); !read) return read.error();
  if (auto read = read_claims(token, claims->view(), options); !read) return read.error();
  return token;
}

Result<void> check_time(int64_t not_before_unix_s, int64_t expires_unix_s, const Time& now) {
  if (!now.wall_set)
    return {Errc::unauthorized,
            "the clock of this server is not set (it shows " + iso8601(now.unix_ms) + "): no token can be judged before it is",
            "clock_not_set"};
  if (now.unix_ms >= expires_unix_s * 1000) return {Errc::unauthorized, "the token has expired", "token_expired"};
  if (now.unix_ms < not_before_unix_s * 1000) return {Errc::unauthorized, "the token is not valid yet", "token_not_yet_valid"};
  return {};
}

}  // namespace jobcast::plugin
