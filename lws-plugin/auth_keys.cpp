// PEM, JWKS and secrets as keys, and why one of them is refused.
#include "lws-plugin/auth_keys.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <array>
#include <new>
#include <utility>

#include "base/config_file.h"
#include "base/handle.h"
#include "base/json.h"
#include "base/secret.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kHmacBytesMin = 32;
constexpr int kRsaBitsMin = 2048, kRsaBitsMax = 8192;  // above, one check costs more than any user is worth

using Bio = Handle<BIO, BIO_free_all>;
using Pkey = Handle<EVP_PKEY, EVP_PKEY_free>;

Error bad(const std::string& where, const std::string& why) { return {Errc::invalid, where + ": " + why, "key"}; }

// Why a public key does not fit its alg, or "".
std::string weakness(const EVP_PKEY* key, Alg alg) {
  if (alg == Alg::rs256) {
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) return "is not an RSA key: RS256 wants one";
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kRsaBitsMin) return "is an RSA key of " + std::to_string(bits) + " bits: take 2048 or more";
    if (bits > kRsaBitsMax) return "is an RSA key of " + std::to_string(bits) + " bits: take 8192 or fewer";
    return "";
  }
  std::array<char, 64> curve{};
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_group_name(key, curve.data(), curve.size(), nullptr) != 1 ||
      std::string_view(curve.data()) != "prime256v1")
    return "is not an EC key on P-256: ES256 wants one";
  return "";
}

Result<Key> public_key(EVP_PKEY* key, Alg alg, std::string kid, const std::string& where) {
  if (const std::string why = weakness(key, alg); !why.empty()) return bad(where, why);
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PUBKEY(out.get(), key) != 1) return {Errc::internal, where + ": OpenSSL cannot write the key"};
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(out.get(), &text);
  return Key{alg, std::move(kid), std::string(text, static_cast<size_t>(bytes))};
}

Result<Key> secret_key(std::string bytes, std::string kid, const std::string& where) {
  if (bytes.find("-----BEGIN ") != std::string::npos)
    return bad(
        where,
        "is a PEM, and a public key is no secret: for HS256 take random bytes (openssl rand -hex 32), or name the PEM's own algorithm");
  if (bytes.size() < kHmacBytesMin)
    return bad(where, "has " + std::to_string(bytes.size()) + " bytes: HS256 wants 32 or more (openssl rand -hex 32)");
  return Key{Alg::hs256, std::move(kid), std::move(bytes)};
}

Result<Key> read_pem(const std::string& text, const KeySource& source) {
  if (text.find("PRIVATE KEY-----") != std::string::npos)
    return bad(source.path, "is a private key: a server that only checks tokens wants the public half (openssl pkey -pubout)");
  const Bio in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const Pkey key(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  if (!key) return bad(source.path, "is not a PEM of a public key (-----BEGIN PUBLIC KEY-----)");
  return public_key(key.get(), source.alg, source.kid, source.path);
}

// ---- JSON Web Keys (RFC 7517, 7518 §6)

Pkey make_public(const char* type, OSSL_PARAM_BLD* parts) {
  const Handle<OSSL_PARAM, OSSL_PARAM_free> params(OSSL_PARAM_BLD_to_param(parts));
  const Handle<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return Pkey(made);
}

using Bignum = Handle<BIGNUM, BN_free>;
using Builder = Handle<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;

std::string member_bytes(JsonView jwk, const char* name) { return decode_base64url(jwk.get(name).string().value_or("")).value_or(""); }

Bignum bignum(const std::string& bytes) {
  return Bignum(bytes.empty() || bytes.size() > 1024
                    ? nullptr
                    : BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

Pkey rsa_of(JsonView jwk) {
  const Bignum n = bignum(member_bytes(jwk, "n")), e = bignum(member_bytes(jwk, "e"));
  const Builder parts(OSSL_PARAM_BLD_new());
  if (!n || !e || !parts || OSSL_PARAM_BLD_push_BN(parts.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(parts.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  return make_public("RSA", parts.get());
}

Pkey ec_of(JsonView jwk) {
  const std::string x = member_bytes(jwk, "x"), y = member_bytes(jwk, "y");
  if (x.size() != 32 || y.size() != 32) return nullptr;
  const std::string point = '\x04' + x + y;  // OpenSSL refuses one that is not on the curve
  const Builder parts(OSSL_PARAM_BLD_new());
  if (!parts || OSSL_PARAM_BLD_push_utf8_string(parts.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(parts.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return nullptr;
  return make_public("EC", parts.get());
}

// Which of our algorithms a JWK serves; none: it is for something else (another algorithm, encryption) and is passed over.
std::optional<Alg> alg_of(JsonView jwk) {
  const auto kty = jwk.get("kty").string(), alg = jwk.get("alg").string(), use = jwk.get("use").string();
  if (use && *use != "sig") return std::nullopt;
  std::optional<Alg> fitting;
  if (kty == "oct") fitting = Alg::hs256;
  if (kty == "RSA") fitting = Alg::rs256;
  if (kty == "EC" && jwk.get("crv").string() == "P-256") fitting = Alg::es256;
  return fitting && alg && *alg != name(*fitting) ? std::nullopt : fitting;
}

Error of_key(const Error& error) { return {error.code, error.detail, "key"}; }

Result<void> read_jwks(const std::string& path, std::vector<Key>& keys) {
  if (auto guarded = check_guarded(path, Guarded::from_writing); !guarded) return of_key(guarded.error());
  auto file = read_json_file(path);
  if (!file) return of_key(file.error());
  const JsonView list = file->view().get("keys");
  if (!list.is_array()) return bad(path, "is not a JWKS: {\"keys\":[…]} is wanted");
  const size_t before = keys.size();
  for (JsonView jwk = list.first(); jwk.exists(); jwk = jwk.next()) {
    const auto alg = alg_of(jwk);
    if (!alg) continue;
    std::string kid(jwk.get("kid").string().value_or(""));
    const std::string where = path + ", key \"" + kid + "\"";
    Result<Key> key = bad(where, "is not well-formed (RFC 7518)");
    if (*alg == Alg::hs256) {
      if (auto guarded = check_guarded(path, Guarded::from_reading); !guarded) return of_key(guarded.error());
      key = secret_key(member_bytes(jwk, "k"), std::move(kid), where);
    } else if (const Pkey pkey = *alg == Alg::rs256 ? rsa_of(jwk) : ec_of(jwk)) {
      key = public_key(pkey.get(), *alg, std::move(kid), where);
    }
    ERR_clear_error();
    if (!key) return key.error();
    keys.push_back(std::move(key).value());
  }
  if (keys.size() == before) return bad(path, "has no key for HS256, RS256 or ES256");
  return {};
}

// A secret in its path's place can begin with / as well, as base64 may; but then no such directory exists.
bool may_be_a_secret(const std::string& path) {
  const size_t second = path.find('/', 1);
  return access(path.c_str(), F_OK) != 0 && (second == std::string::npos || access(path.substr(0, second).c_str(), F_OK) != 0);
}

Result<void> read_source(const KeySource& source, std::vector<Key>& keys) {
  if (source.jwks) return read_jwks(source.path, keys);
  if (source.alg == Alg::hs256 && may_be_a_secret(source.path))
    return Error{Errc::not_found,
                 "what stands behind HS256: begins with / but holds no directory of this machine: the path of a secret's file is wanted",
                 "key"};
  const auto guarded = check_guarded(source.path, source.alg == Alg::hs256 ? Guarded::from_reading : Guarded::from_writing);
  if (!guarded) return of_key(guarded.error());
  auto text = read_file(source.path, 64 << 10);
  if (!text) return of_key(text.error());
  if (source.alg == Alg::hs256) {
    if (text->ends_with('\n')) text->pop_back();
    if (text->ends_with('\r')) text->pop_back();
  }
  auto key = source.alg == Alg::hs256 ? secret_key(std::move(text).value(), source.kid, source.path) : read_pem(*text, source);
  if (!key) return key.error();
  keys.push_back(std::move(key).value());
  return {};
}

}  // namespace

Result<KeySource> parse_key_source(std::string_view text) {
  KeySource source;
  const std::string_view kind = text.substr(0, text.find(':'));
  std::string_view rest = text.substr(std::min(kind.size() + 1, text.size()));
  source.jwks = kind == "jwks";
  const auto alg = parse_alg(kind);
  // What stands there may be the secret itself, so that no sentence repeats it.
  if (source.jwks ? false : !alg)
    return Error{Errc::invalid, "a key must be HS256:/path, RS256:/path.pem, ES256:/path.pem or jwks:/path.json", "key"};
  if (alg) {
    source.alg = *alg;
    if (const size_t hash = rest.rfind('#'); hash != std::string_view::npos && rest.find('/', hash) == std::string_view::npos) {
      source.kid = rest.substr(hash + 1);
      rest = rest.substr(0, hash);
      if (source.kid.empty() || source.kid.size() > 128)
        return Error{Errc::invalid, "the #kid behind a key's path must have 1 to 128 bytes", "key"};
    }
  }
  if (!rest.starts_with('/'))
    return Error{Errc::invalid,
                 "behind " + std::string(kind) + ": must stand the path of a file, beginning with /" +
                     (alg == Alg::hs256 ? ", and in that file the secret: never in this place, which others may read" : ""),
                 "key"};
  source.path = rest;
  return source;
}

Result<std::vector<Key>> load_keys(const std::vector<KeySource>& sources) {
  std::vector<Key> keys;
  for (const KeySource& source : sources)
    if (auto read = read_source(source, keys); !read) return read.error();
  for (size_t i = 0; i < keys.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (keys[i].kid == keys[j].kid && (!keys[i].kid.empty() || keys[i].alg == keys[j].alg))
        return Error{Errc::invalid,
                     keys[i].kid.empty()
                         ? std::string("two keys for ") + name(keys[i].alg) + " have no kid: give each one (#kid after the path)"
                         : "two keys have the kid \"" + keys[i].kid + "\": each wants its own",
                     "key"};
  return keys;
}

const Key* find_key(const std::vector<Key>& keys, const Token& token) {
  for (const Key& key : keys)
    if (key.kid == token.kid && (!key.kid.empty() || key.alg == token.alg)) return &key;
  return nullptr;
}

}  // namespace jobcast::plugin
