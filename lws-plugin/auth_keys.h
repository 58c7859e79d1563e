// The keys that tokens are checked with: read from files, refused when weak. Service thread only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "lws-plugin/auth_token.h"

namespace jobcast::plugin {

struct Key {
  Alg alg = Alg::hs256;
  std::string kid;    // "": for tokens without one
  std::string bytes;  // as libjwt wants them: the secret, or the public key's PEM
  uint64_t id = 0;    // given by Auth; the same for as long as the key is
};

// What AuthOptions::keys names: "HS256:/path#kid", "jwks:/path", …
struct KeySource {
  bool jwks = false;
  Alg alg = Alg::hs256;
  std::string path, kid;
};
[[nodiscard]] Result<KeySource> parse_key_source(std::string_view text);

// All keys of all sources. Errors: invalid or not_found, naming the file and the remedy.
[[nodiscard]] Result<std::vector<Key>> load_keys(const std::vector<KeySource>& sources);

// The key for a token: that of its kid, or, without a kid, the one without a kid for its alg. Null: none. Its alg is still to be compared.
[[nodiscard]] const Key* find_key(const std::vector<Key>& keys, const Token& token);

}  // namespace jobcast::plugin
