// Tokens: their claims, their algorithm by the key, and the keys that are refused.
#include <jwt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstring>

#include "base/handle.h"
#include "engine/cli/token.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;
using namespace jobcast::cli;

constexpr int64_t kNow = 1'795'440'010;
const std::string kSecret(32, 'k');

struct Pair {
  std::string private_pem, public_pem;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(length)};
}

Pair pair_of(EVP_PKEY* raw, const EVP_CIPHER* cipher = nullptr) {
  const Handle<EVP_PKEY, EVP_PKEY_free> key(raw);
  const Handle<BIO, BIO_free_all> secret(BIO_new(BIO_s_mem())), open(BIO_new(BIO_s_mem()));
  assert_int_equal(
      PEM_write_bio_PKCS8PrivateKey(secret.get(), key.get(), cipher, cipher ? "pass" : nullptr, cipher ? 4 : 0, nullptr, nullptr), 1);
  assert_int_equal(PEM_write_bio_PUBKEY(open.get(), key.get()), 1);
  return {text_of(secret.get()), text_of(open.get())};
}

// Decodes with the algorithm's own check and hands out the claims as libjwt reads them.
Handle<jwt_t, jwt_free> verified(const std::string& token, const std::string& key, jwt_alg_t alg) {
  jwt_t* jwt = nullptr;
  assert_int_equal(jwt_decode(&jwt, token.c_str(), reinterpret_cast<const unsigned char*>(key.data()), static_cast<int>(key.size())), 0);
  assert_int_equal(jwt_get_alg(jwt), alg);
  return Handle<jwt_t, jwt_free>(jwt);
}

void refused(std::string_view key, const TokenRequest& request, const char* because) {
  const auto token = mint(key, request, kNow);
  if (token) fail_msg("signed; it should have said: %s", because);
  if (!strstr(token.error().detail.c_str(), because)) fail_msg("said \"%s\" instead of \"%s\"", token.error().detail.c_str(), because);
}

void claims_are_those_that_were_asked_for(void**) {
  const auto token = mint(
      kSecret,
      {.user = "alice", .scope = "jobs:submit jobs:cancel", .issuer = "here", .audience = "there", .kid = "k1", .expires_in_s = 60}, kNow);
  assert_true(token.ok());
  const auto jwt = verified(*token, kSecret, JWT_ALG_HS256);
  assert_string_equal(jwt_get_grant(jwt.get(), "sub"), "alice");
  assert_string_equal(jwt_get_grant(jwt.get(), "scope"), "jobs:submit jobs:cancel");
  assert_string_equal(jwt_get_grant(jwt.get(), "iss"), "here");
  assert_string_equal(jwt_get_grant(jwt.get(), "aud"), "there");
  assert_string_equal(jwt_get_header(jwt.get(), "kid"), "k1");
  assert_int_equal(jwt_get_grant_int(jwt.get(), "iat"), kNow);
  assert_int_equal(jwt_get_grant_int(jwt.get(), "exp"), kNow + 60);
}

void what_is_not_asked_for_is_left_out(void**) {
  const auto token = mint(kSecret, {.user = "alice"}, kNow);
  const auto jwt = verified(*token, kSecret, JWT_ALG_HS256);
  for (const char* claim : {"scope", "iss", "aud"}) assert_null(jwt_get_grant(jwt.get(), claim));
  assert_null(jwt_get_header(jwt.get(), "kid"));
}

void the_key_decides_the_algorithm(void**) {
  const Pair rsa = pair_of(EVP_RSA_gen(2048)), ec = pair_of(EVP_EC_gen("P-256"));
  assert_non_null(verified(*mint(rsa.private_pem, {.user = "a"}, kNow), rsa.public_pem, JWT_ALG_RS256).get());
  assert_non_null(verified(*mint(ec.private_pem, {.user = "a"}, kNow), ec.public_pem, JWT_ALG_ES256).get());
  refused(rsa.private_pem, {.user = "a", .alg = "HS256"}, "this key is for RS256, not for HS256");
  refused(kSecret, {.user = "a", .alg = "none"}, "this key is for HS256, not for none");
}

void a_newline_at_the_end_of_a_secret_is_not_part_of_it(void**) {
  assert_non_null(verified(*mint(kSecret + "\n", {.user = "a"}, kNow), kSecret, JWT_ALG_HS256).get());
}

void weak_and_wrong_keys_are_refused(void**) {
  refused("", {.user = "a"}, "HS256 wants 32 or more");
  refused(std::string(31, 'k') + "\n", {.user = "a"}, "the key has 31 bytes");
  refused(pair_of(EVP_RSA_gen(1024)).private_pem, {.user = "a"}, "less than 2048 bits");
  refused(pair_of(EVP_EC_gen("P-384")).private_pem, {.user = "a"}, "P-256");
  refused(pair_of(EVP_RSA_gen(2048)).public_pem, {.user = "a"}, "private half");
  refused(pair_of(EVP_EC_gen("P-256"), EVP_aes_256_cbc()).private_pem, {.user = "a"}, "unencrypted");
  refused("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", {.user = "a"}, "private half");
}

void users_and_scopes_are_checked(void**) {
  refused(kSecret, {.user = ""}, "1 to 128 bytes");
  refused(kSecret, {.user = std::string(129, 'u')}, "1 to 128 bytes");
  refused(kSecret, {.user = "a", .scope = "jobs:submit jobs:all"}, "there is no scope 'jobs:all'");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(claims_are_those_that_were_asked_for), cmocka_unit_test(what_is_not_asked_for_is_left_out),
      cmocka_unit_test(the_key_decides_the_algorithm),        cmocka_unit_test(a_newline_at_the_end_of_a_secret_is_not_part_of_it),
      cmocka_unit_test(weak_and_wrong_keys_are_refused),      cmocka_unit_test(users_and_scopes_are_checked),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
