// Keys and tokens for tests, made with OpenSSL so that every header and every fault can be had.
#pragma once

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/handle.h"

namespace jobcast::plugin {

using Pkey = Handle<EVP_PKEY, EVP_PKEY_free>;

inline std::string base64url(std::string_view bytes) {
  static const char* const kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(bytes.size() - i, 3);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    for (size_t j = 0; j <= count; ++j) out += kAlphabet[bits >> (18 - 6 * j) & 63];
  }
  return out;
}

inline std::string hs256(std::string_view text, std::string_view key) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), out,
       &size);
  return {reinterpret_cast<const char*>(out), size};
}

// RS256 with an RSA key; with an EC key ES256, as the raw r and s that JWS wants.
inline std::string signed_by(std::string_view text, EVP_PKEY* key) {
  const Handle<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key);
  EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size());
  std::string out(size, '\0');
  EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size());
  out.resize(size);
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return out;
  const auto* der = reinterpret_cast<const unsigned char*>(out.data());
  const Handle<ECDSA_SIG, ECDSA_SIG_free> sig(d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(out.size())));
  std::string raw(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(sig.get()), reinterpret_cast<unsigned char*>(raw.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(sig.get()), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
  return raw;
}

inline std::string unsigned_part(std::string_view header, std::string_view claims) { return base64url(header) + "." + base64url(claims); }

inline std::string hs256_token(std::string_view header, std::string_view claims, std::string_view key) {
  const std::string text = unsigned_part(header, claims);
  return text + "." + base64url(hs256(text, key));
}

inline std::string signed_token(std::string_view header, std::string_view claims, EVP_PKEY* key) {
  const std::string text = unsigned_part(header, claims);
  return text + "." + base64url(signed_by(text, key));
}

inline Pkey rsa_key(unsigned bits) { return Pkey(EVP_RSA_gen(bits)); }
inline Pkey ec_key(const char* curve) { return Pkey(EVP_EC_gen(curve)); }

inline std::string pem(EVP_PKEY* key, bool secret = false) {
  const Handle<BIO, BIO_free_all> out(BIO_new(BIO_s_mem()));
  if (secret)
    PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  else
    PEM_write_bio_PUBKEY(out.get(), key);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(bytes)};
}

inline std::string number(EVP_PKEY* key, const char* name) {
  BIGNUM* value = nullptr;
  EVP_PKEY_get_bn_param(key, name, &value);
  const Handle<BIGNUM, BN_free> owned(value);
  std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
  BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
  return bytes;
}

inline std::string jwk(EVP_PKEY* key, const std::string& kid, const std::string& more = "") {
  const auto padded = [](std::string bytes) { return std::string(32 - std::min<size_t>(bytes.size(), 32), '\0') + bytes; };
  const std::string head = "{\"kid\":\"" + kid + "\"" + more;
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
    return head + R"(,"kty":"RSA","n":")" + base64url(number(key, OSSL_PKEY_PARAM_RSA_N)) + R"(","e":")" +
           base64url(number(key, OSSL_PKEY_PARAM_RSA_E)) + "\"}";
  return head + R"(,"kty":"EC","crv":"P-256","x":")" + base64url(padded(number(key, OSSL_PKEY_PARAM_EC_PUB_X))) + R"(","y":")" +
         base64url(padded(number(key, OSSL_PKEY_PARAM_EC_PUB_Y))) + "\"}";
}

// A directory that goes with its owner.
struct Files {
  std::string dir;
  Files() {
    std::string name = (std::filesystem::temp_directory_path() / "jobcast-XXXXXX").string();
    dir = ::mkdtemp(name.data());
  }
  ~Files() { std::filesystem::remove_all(dir); }
  std::string write(const std::string& name, const std::string& text, std::filesystem::perms mode = std::filesystem::perms{0600}) const {
    const std::string path = dir + "/" + name;
    {
      std::ofstream(path + ".new", std::ios::binary) << text;
    }
    std::filesystem::permissions(path + ".new", mode);
    std::filesystem::rename(path + ".new", path);
    return path;
  }
};

}  // namespace jobcast::plugin
