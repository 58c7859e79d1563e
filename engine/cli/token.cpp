// Claims, signed with the key of a file.
#include "engine/cli/token.h"

#include <jwt.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/handle.h"
#include "base/json.h"

namespace jobcast::cli {
namespace {

constexpr std::array<std::string_view, 4> kScopes{"jobs:submit", "jobs:cancel", "jobs:read:any", "admin"};
constexpr size_t kHmacBytesMin = 32;

Result<void> check_scope(std::string_view scope) {
  while (!scope.empty()) {
    const std::string_view word = scope.substr(0, scope.find(' '));
    scope.remove_prefix(std::min(scope.size(), word.size() + 1));
    if (word.empty() || std::find(kScopes.begin(), kScopes.end(), word) != kScopes.end()) continue;
    return {Errc::invalid,
            "there is no scope '" + std::string(word) + "': the scopes are jobs:submit, jobs:cancel, jobs:read:any and admin", "scope"};
  }
  return {};
}

// The algorithm that a PEM is for. OpenSSL is asked, because libjwt would sign with a weak key, or with a curve that is not the alg's.
Result<std::string> algorithm_of_pem(std::string_view pem) {
  const Handle<BIO, BIO_free_all> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_password = [](char*, int, int, void*) { return -1; };  // never ask on the terminal
  const Handle<EVP_PKEY, EVP_PKEY_free> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!key)
    return {Errc::invalid, "the key file is a PEM, but not of an unencrypted private key: a token is signed with the private half", "key"};
  if (EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA) {
    if (EVP_PKEY_get_bits(key.get()) < 2048)
      return {Errc::invalid, "the RSA key has less than 2048 bits: `openssl genrsa 2048` makes one", "key"};
    return std::string("RS256");
  }
  std::array<char, 64> curve{};
  if (EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_EC && EVP_PKEY_get_group_name(key.get(), curve.data(), curve.size(), nullptr) == 1 &&
      std::string_view(curve.data()) == "prime256v1")
    return std::string("ES256");
  return {Errc::invalid, "the key must be RSA or EC on the curve P-256", "key"};
}

}  // namespace

Result<std::string> mint(std::string_view key, const TokenRequest& request, int64_t now_unix_s) {
  if (request.user.empty() || request.user.size() > 128 || !is_utf8(request.user))
    return {Errc::invalid, "the user must be 1 to 128 bytes of UTF-8", "user"};
  if (auto checked = check_scope(request.scope); !checked) return checked.error();

  std::string fitting = "HS256";
  if (key.find("-----BEGIN ") != std::string_view::npos) {
    auto found = algorithm_of_pem(key);
    if (!found) return found.error();
    fitting = *found;
  } else {
    if (key.ends_with('\n')) key.remove_suffix(1);
    if (key.size() < kHmacBytesMin)
      return {Errc::invalid,
              "the key has " + std::to_string(key.size()) + " bytes, HS256 wants 32 or more: `openssl rand -hex 32` makes some", "key"};
  }
  if (!request.alg.empty() && request.alg != fitting)
    return {Errc::invalid, "this key is for " + fitting + ", not for " + request.alg, "alg"};

  jwt_t* made = nullptr;
  if (jwt_new(&made) != 0) return {Errc::internal, "libjwt: out of memory"};
  const Handle<jwt_t, jwt_free> jwt(made);
  bool good = jwt_add_grant(made, "sub", request.user.c_str()) == 0 && jwt_add_grant_int(made, "iat", now_unix_s) == 0 &&
              jwt_add_grant_int(made, "exp", now_unix_s + request.expires_in_s) == 0;
  const auto add = [&](const char* claim, const std::string& value) {
    if (!value.empty()) good = good && jwt_add_grant(made, claim, value.c_str()) == 0;
  };
  add("scope", request.scope);
  add("iss", request.issuer);
  add("aud", request.audience);
  if (!request.kid.empty()) good = good && jwt_add_header(made, "kid", request.kid.c_str()) == 0;
  good = good && jwt_set_alg(made, jwt_str_alg(fitting.c_str()), reinterpret_cast<const unsigned char*>(key.data()),
                             static_cast<int>(key.size())) == 0;
  const Handle<char, std::free> token(good ? jwt_encode_str(made) : nullptr);
  if (!token) return {Errc::internal, "libjwt could not sign the token"};
  return std::string(token.get());
}

}  // namespace jobcast::cli
