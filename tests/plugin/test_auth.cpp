// The token gate against every trap that is known of libjwt, with real signatures.
#include "lws-plugin/auth.h"

#include <jwt.h>
#include <openssl/err.h>

#include "base/log.h"
#include "lws-plugin/auth_keys.h"
#include "lws-plugin/auth_token.h"
#include "tests/cmocka.h"
#include "tests/plugin/tokens.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

constexpr int64_t kNow = 1'700'000'000;
const std::string kSecret = "0123456789abcdef0123456789abcdef";
const std::string kHs = R"({"alg":"HS256","typ":"JWT"})", kRs = R"({"alg":"RS256","typ":"JWT"})", kEs = R"({"alg":"ES256","typ":"JWT"})";
const std::string kAlice = R"({"sub":"alice","exp":1700000600})";

struct Room {
  Files files;
  static inline const Pkey rsa = rsa_key(2048), ec = ec_key("P-256");
  std::unique_ptr<Auth> auth;
  Time now{5'000'000'000'000, kNow * 1000};

  void use(std::vector<std::string> keys, std::string issuer = "", std::string audience = "", int64_t leeway_s = 0) {
    AuthOptions options;
    options.keys = std::move(keys);
    options.issuer = std::move(issuer);
    options.audience = std::move(audience);
    options.leeway_s = leeway_s;
    auto made = Auth::create(std::move(options));
    if (!made) print_error("%s\n", made.error().detail.c_str());
    assert_true(made.ok());
    auth = std::make_unique<Auth>(std::move(made).value());
  }
  void use_secret() { use({"HS256:" + files.write("secret", kSecret)}); }
  // The code of the refusal, "" if the token is good.
  std::string refusal(const std::string& token) {
    const auto verified = auth->verify(token, now);
    if (verified) return "";
    assert_true(verified.error().code == Errc::unauthorized);
    assert_true(token.empty() || verified.error().detail.find(token) == std::string::npos);
    return verified.error().field;
  }
  bool good(const std::string& token) { return refusal(token).empty(); }
  bool invalid(const std::string& token) {
    const uint64_t before = auth->stats().signatures;
    const bool refused = refusal(token) == "token_invalid";
    past_the_gate = auth->stats().signatures != before;
    return refused;
  }
  // Refused without the signature having been looked at.
  bool gate_refuses(const std::string& token) { return invalid(token) && !past_the_gate; }
  bool past_the_gate = false;
};

int make_room(void** state) {
  *state = new Room;
  return 0;
}
int end_room(void** state) {
  delete static_cast<Room*>(*state);
  return 0;
}
Room& room_of(void** state) { return *static_cast<Room*>(*state); }

std::string why_not(const std::vector<std::string>& keys) {
  AuthOptions options;
  options.keys = keys;
  const auto made = Auth::create(std::move(options));
  assert_false(made.ok());
  assert_string_equal(made.error().field.c_str(), "key");
  return made.error().detail;
}

#define assert_contains(text, part) assert_non_null(strstr(std::string(text).c_str(), part))

void tokens_of_all_three_algorithms_are_accepted(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret), "RS256:" + r.files.write("r.pem", pem(r.rsa.get())),
         "ES256:" + r.files.write("e.pem", pem(r.ec.get()))});
  assert_true(r.good(hs256_token(kHs, kAlice, kSecret)));
  assert_true(r.good(signed_token(kRs, kAlice, r.rsa.get())));
  assert_true(r.good(signed_token(kEs, kAlice, r.ec.get())));
  assert_true(r.good(hs256_token(R"({"alg":"HS256"})", kAlice, kSecret)));
  assert_int_equal(r.auth->stats().signatures, 4);
}

void tokens_made_by_libjwt_are_accepted(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  jwt_t* made = nullptr;
  assert_int_equal(jwt_new(&made), 0);
  jwt_add_grant(made, "sub", "alice");
  jwt_add_grant_int(made, "exp", kNow + 60);
  jwt_set_alg(made, JWT_ALG_HS256, reinterpret_cast<const unsigned char*>(kSecret.data()), static_cast<int>(kSecret.size()));
  char* text = jwt_encode_str(made);
  const std::string token = text;
  std::free(text);
  jwt_free(made);
  assert_true(r.good(token));
}

void the_identity_is_what_the_claims_say(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret)}, "", "", 30);
  const auto who = r.auth->verify(
      hs256_token(kHs, R"({"sub":"al\u00efce","exp":1700000600,"scope":"jobs:submit  openid jobs:cancel"})", kSecret), r.now);
  assert_true(who.ok());
  assert_string_equal(who->user.c_str(), "al\u00efce");
  assert_int_equal(who->expires_unix_s, 1'700'000'630);
  assert_true(who->may_submit && who->may_cancel && !who->may_read_any && !who->admin);
  assert_true(who->may_see(who->user) && !who->may_see("bob"));
  const auto admin = r.auth->verify(hs256_token(kHs, R"({"sub":"root","exp":1700000600,"scope":"admin"})", kSecret), r.now);
  assert_true(admin->admin && admin->may_submit && admin->may_cancel && admin->may_see("bob"));
  const auto nobody = r.auth->verify(hs256_token(kHs, R"({"sub":"x","exp":1700000600,"scope":"jobs:submitter adminx"})", kSecret), r.now);
  assert_false(nobody->admin || nobody->may_submit || nobody->may_cancel || nobody->may_read_any);
}

void hs256_signed_with_the_public_pem_is_refused(void** state) {
  Room& r = room_of(state);
  const std::string public_pem = pem(r.rsa.get());
  r.use({"RS256:" + r.files.write("r.pem", public_pem) + "#main"});
  const std::string confused = hs256_token(R"({"alg":"HS256","kid":"main"})", kAlice, public_pem);
  jwt_t* fooled = nullptr;  // the trap is real: libjwt alone takes it
  assert_int_equal(
      jwt_decode(&fooled, confused.c_str(), reinterpret_cast<const unsigned char*>(public_pem.data()), static_cast<int>(public_pem.size())),
      0);
  jwt_free(fooled);
  assert_true(r.gate_refuses(confused));
  assert_true(r.gate_refuses(hs256_token(kHs, kAlice, public_pem)));
}

void alg_none_and_other_algorithms_are_refused(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  for (const std::string alg : {"none", "None", "NONE", "hs256", "HS384", "HS512", "RS512", "ES384", "PS256", "EdDSA", ""}) {
    const std::string header = R"({"alg":")" + alg + "\"}";
    assert_true(r.gate_refuses(unsigned_part(header, kAlice) + "."));
    assert_true(r.gate_refuses(hs256_token(header, kAlice, kSecret)));
  }
  assert_true(r.gate_refuses(hs256_token(R"({"typ":"JWT"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":null})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":["HS256"]})", kAlice, kSecret)));
}

void a_token_without_a_signature_is_refused(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  assert_true(r.gate_refuses(unsigned_part(kHs, kAlice) + "."));
  assert_true(r.gate_refuses(unsigned_part(kHs, kAlice)));
  assert_true(r.gate_refuses(""));
  assert_true(r.gate_refuses("."));
  assert_true(r.gate_refuses(".."));
  assert_true(r.gate_refuses("..."));
  assert_true(r.gate_refuses(hs256_token(kHs, kAlice, kSecret) + ".x"));
}

void a_wrong_signature_is_refused(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret), "RS256:" + r.files.write("r.pem", pem(r.rsa.get())),
         "ES256:" + r.files.write("e.pem", pem(r.ec.get()))});
  assert_true(r.invalid(hs256_token(kHs, kAlice, std::string(32, 'x'))));
  assert_true(r.past_the_gate);
  assert_true(r.invalid(hs256_token(kHs, kAlice, "")));
  assert_true(r.invalid(signed_token(kRs, kAlice, rsa_key(2048).get())));
  assert_true(r.invalid(signed_token(kEs, kAlice, ec_key("P-256").get())));
  const std::string token = signed_token(kEs, kAlice, r.ec.get());
  const std::string mine = unsigned_part(kEs, R"({"sub":"bob","exp":1700000600})") + token.substr(token.rfind('.'));
  assert_true(r.invalid(mine));
  assert_true(r.invalid(unsigned_part(kEs, kAlice) + "." + base64url(std::string(64, '\0'))));
  assert_true(r.invalid(unsigned_part(kEs, kAlice) + "." + base64url(signed_by(unsigned_part(kEs, kAlice), r.ec.get()) + "x")));
  assert_true(r.good(token));
}

void a_bad_signature_leaves_no_openssl_error_behind_for_tls_to_find(void** state) {
  Room& r = room_of(state);
  r.use({"RS256:" + r.files.write("r.pem", pem(r.rsa.get())), "ES256:" + r.files.write("e.pem", pem(r.ec.get()))});
  assert_true(r.invalid(unsigned_part(kRs, kAlice) + "." + base64url(std::string(256, 'x'))) && r.past_the_gate);
  assert_true(r.invalid(unsigned_part(kEs, kAlice) + "." + base64url(std::string(64, 'x'))) && r.past_the_gate);
  assert_true(r.invalid(unsigned_part(kEs, kAlice) + "." + base64url("x")) && r.past_the_gate);
  assert_int_equal(ERR_peek_error(), 0);
}

void an_enormous_token_is_refused_at_once(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  const std::string padding = R"({"sub":"alice","exp":1700000600,"pad":")" + std::string(9 << 20, 'x') + "\"}";
  assert_true(r.gate_refuses(hs256_token(kHs, padding, kSecret)));
  const auto of_size = [&](size_t pad) {
    return hs256_token(kHs, R"({"sub":"alice","exp":1700000600,"pad":")" + std::string(pad, 'x') + "\"}", kSecret);
  };
  size_t pad = 6000;
  while (of_size(pad + 1).size() <= kTokenBytesMax) ++pad;
  assert_true(r.good(of_size(pad)));
  assert_true(r.gate_refuses(of_size(pad + 3)));
}

void duplicate_keys_are_refused(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","alg":"none"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"none","alg":"HS256"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","\u0061lg":"none"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(kHs, R"({"sub":"alice","sub":"bob","exp":1700000600})", kSecret)));
  assert_true(r.gate_refuses(hs256_token(kHs, R"({"sub":"alice","exp":1,"exp":1700000600})", kSecret)));
}

void header_names_are_matched_exactly(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  assert_true(r.gate_refuses(hs256_token(R"({"ALG":"HS256"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(kHs, R"({"SUB":"alice","exp":1700000600})", kSecret)));
}

void only_canonical_base64url_passes(void** state) {
  Room& r = room_of(state);
  r.use({"RS256:" + r.files.write("r.pem", pem(r.rsa.get())), "HS256:" + r.files.write("s", kSecret)});
  const std::string token = signed_token(kRs, kAlice, r.rsa.get());
  assert_true(r.good(token));
  for (const std::string tail : {"=", "==", " ", "\n", "AAA", "+", "/", "%3D"}) assert_true(r.gate_refuses(token + tail));
  assert_true(r.invalid(token + "A") && r.invalid(token + "AAAA"));  // other bytes, canonical
  assert_true(r.gate_refuses(" " + token));
  assert_true(r.gate_refuses(std::string(token).insert(5, "\n")));
  assert_true(r.gate_refuses(std::string(token).insert(5, std::string(1, '\0'))));
  // The last character of a 256-byte signature carries four unused bits: all 15 other spellings of the same bytes are refused.
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const size_t last = alphabet.find(token.back());
  assert_int_equal(last % 16, 0);
  for (size_t bits = 1; bits < 16; ++bits) assert_true(r.gate_refuses(token.substr(0, token.size() - 1) + alphabet[last + bits]));
  std::string plain = token;  // the other alphabet
  for (char& c : plain) c = c == '-' ? '+' : c == '_' ? '/' : c;
  assert_true(plain != token);
  assert_true(r.gate_refuses(plain));
  // And in the signed part: signed all the same, refused all the same.
  const std::string loose = base64url(kHs) + "=." + base64url(kAlice);
  assert_true(r.gate_refuses(loose + "." + base64url(hs256(loose, kSecret))));
}

void base64url_is_decoded_as_the_rfc_has_it(void**) {
  assert_true(decode_base64url("") == "");
  assert_true(decode_base64url("Zg") == "f");
  assert_true(decode_base64url("Zm8") == "fo");
  assert_true(decode_base64url("Zm9v") == "foo");
  assert_true(decode_base64url("-_-_") == "\xfb\xff\xbf");
  for (const char* text : {"Z", "Zh", "Zm9", "Zg==", "+/+/", "Zm9vZ", "Z g"}) assert_false(decode_base64url(text).has_value());
}

void an_expired_token_is_refused_and_the_leeway_counts(void** state) {
  Room& r = room_of(state);
  const std::string path = r.files.write("s", kSecret);
  r.use({"HS256:" + path});
  const auto until = [](int64_t exp) { return hs256_token(kHs, R"({"sub":"alice","exp":)" + std::to_string(exp) + "}", kSecret); };
  assert_string_equal(r.refusal(until(kNow)).c_str(), "token_expired");
  assert_string_equal(r.refusal(until(kNow - 1'000'000)).c_str(), "token_expired");
  assert_true(r.good(until(kNow + 1)));
  r.now.unix_ms += 1000;
  assert_string_equal(r.refusal(until(kNow + 1)).c_str(), "token_expired");  // a remembered one too
  r.use({"HS256:" + path}, "", "", 10);
  assert_true(r.good(until(kNow)));
  r.now.unix_ms += 9000;
  assert_string_equal(r.refusal(until(kNow)).c_str(), "token_expired");
}

void an_exp_for_ever_is_the_year_9999(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret)});
  const auto who = r.auth->verify(hs256_token(kHs, R"({"sub":"alice","exp":9007199254740991})", kSecret), r.now);
  assert_true(bool(who));
  assert_int_equal(who->expires_unix_s, 253'370'764'800);
}

void exp_must_be_there_and_whole(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  for (const std::string exp : {"", R"(,"exp":null)", R"(,"exp":"1700000600")", R"(,"exp":1700000600.5)", R"(,"exp":0)", R"(,"exp":-1)",
                                R"(,"exp":1e300)", R"(,"exp":true)", R"(,"exp":[1700000600])", R"(,"exp":99999999999999999999)"})
    assert_true(r.gate_refuses(hs256_token(kHs, R"({"sub":"alice")" + exp + "}", kSecret)));
}

void a_token_that_is_not_valid_yet_is_refused(void** state) {
  Room& r = room_of(state);
  const std::string path = r.files.write("s", kSecret);
  const auto from = [](const std::string& nbf) {
    return hs256_token(kHs, R"({"sub":"alice","exp":1700000600,"nbf":)" + nbf + "}", kSecret);
  };
  r.use({"HS256:" + path});
  assert_string_equal(r.refusal(from("1700000001")).c_str(), "token_not_yet_valid");
  assert_true(r.good(from("1700000000")));
  assert_true(r.gate_refuses(from("\"1700000000\"")));
  assert_true(r.gate_refuses(from("1.5")));
  r.use({"HS256:" + path}, "", "", 1);
  assert_true(r.good(from("1700000001")));
  r.now.unix_ms -= 1000;  // a remembered one, and the clock goes back
  assert_string_equal(r.refusal(from("1700000001")).c_str(), "token_not_yet_valid");
}

void the_issuer_and_the_audience_are_checked_where_configured(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret)}, "https://id.example", "jobcast");
  const auto with = [](const std::string& claims) {
    return hs256_token(kHs, R"({"sub":"alice","exp":1700000600)" + claims + "}", kSecret);
  };
  const std::string iss = R"(,"iss":"https://id.example")";
  assert_true(r.good(with(iss + R"(,"aud":"jobcast")")));
  assert_true(r.good(with(iss + R"(,"aud":["other","jobcast"])")));
  for (const std::string aud : {"", R"(,"aud":"other")", R"(,"aud":[])", R"(,"aud":["other"])", R"(,"aud":"jobcast2")", R"(,"aud":null)",
                                R"(,"aud":{"jobcast":1})", R"(,"aud":["jobcast",1])", R"(,"aud":[["jobcast"]])"})
    assert_true(r.gate_refuses(with(iss + aud)));
  for (const std::string other : {"", R"(,"iss":"https://id.example/")", R"(,"iss":["https://id.example"])", R"(,"iss":null)"})
    assert_true(r.gate_refuses(with(other + R"(,"aud":"jobcast")")));
}

void sub_must_name_a_user(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  const auto of = [](const std::string& sub) { return hs256_token(kHs, R"({"sub":)" + sub + R"(,"exp":1700000600})", kSecret); };
  assert_true(r.good(of("\"" + std::string(128, 'x') + "\"")));
  for (const std::string sub : {"\"\"", "null", "7", "[\"alice\"]", R"("a\u0000b")", R"("a\nb")", R"("a\u007fb")", R"("a\u0085b")"})
    assert_true(r.gate_refuses(of(sub)));
  assert_true(r.gate_refuses(of("\"" + std::string(129, 'x') + "\"")));
  assert_true(r.gate_refuses(of("\"\xff\"")));
  assert_true(r.gate_refuses(of(R"("\ud800")")));
  assert_true(r.gate_refuses(hs256_token(kHs, R"({"exp":1700000600})", kSecret)));
  assert_true(r.gate_refuses(hs256_token(kHs, R"({"sub":"alice","exp":1700000600,"scope":["admin"]})", kSecret)));
}

void crit_and_other_typs_are_refused(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","crit":["exp"]})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","crit":[]})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","crit":null})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","crit":["b64"],"b64":false})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","typ":"JWE"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","typ":1})", kAlice, kSecret)));
}

void keys_inside_the_token_are_not_looked_at(void** state) {
  Room& r = room_of(state);
  r.use({"RS256:" + r.files.write("r.pem", pem(r.rsa.get())) + "#main"});
  const Pkey own = rsa_key(2048);
  const std::string header = R"({"alg":"RS256","kid":"main","jku":"https://evil.example","jwk":)" + jwk(own.get(), "main") + "}";
  assert_true(r.invalid(signed_token(header, kAlice, own.get())));
}

void the_kid_picks_the_key_and_a_wrong_one_is_refused(void** state) {
  Room& r = room_of(state);
  const Pkey next = rsa_key(2048);
  r.use({"RS256:" + r.files.write("r1.pem", pem(r.rsa.get())) + "#2026-1", "RS256:" + r.files.write("r2.pem", pem(next.get())) + "#2026-2",
         "ES256:" + r.files.write("e.pem", pem(r.ec.get())) + "#es", "HS256:" + r.files.write("s", kSecret)});
  const auto rs = [](const std::string& kid) { return R"({"alg":"RS256","kid":")" + kid + "\"}"; };
  assert_true(r.good(signed_token(rs("2026-1"), kAlice, r.rsa.get())));
  assert_true(r.good(signed_token(rs("2026-2"), kAlice, next.get())));
  assert_true(r.invalid(signed_token(rs("2026-2"), kAlice, r.rsa.get())));
  for (const std::string kid : {"2026-3", "2026", "es", "../r1.pem", "' OR 1=1"})
    assert_true(r.gate_refuses(signed_token(rs(kid), kAlice, r.rsa.get())));
  assert_true(r.gate_refuses(signed_token(kRs, kAlice, r.rsa.get())));  // no kid, and no RS256 key without one
  assert_true(r.gate_refuses(signed_token(R"({"alg":"RS256","kid":""})", kAlice, r.rsa.get())));
  assert_true(r.gate_refuses(signed_token(R"({"alg":"RS256","kid":7})", kAlice, r.rsa.get())));
  assert_true(r.gate_refuses(signed_token(R"({"alg":"RS256","kid":")" + std::string(129, 'k') + "\"}", kAlice, r.rsa.get())));
  assert_true(r.good(hs256_token(kHs, kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","kid":"es"})", kAlice, kSecret)));
}

void weak_and_mistaken_keys_are_refused_at_start(void** state) {
  Room& r = room_of(state);
  assert_contains(why_not({"RS256:" + r.files.write("weak.pem", pem(rsa_key(1024).get()))}), "weak.pem: is an RSA key of 1024 bits");
  assert_contains(why_not({"HS256:" + r.files.write("short", std::string(31, 'x'))}), "short: has 31 bytes: HS256 wants 32 or more");
  assert_contains(why_not({"HS256:" + r.files.write("short", std::string(31, 'x') + "\n")}), "has 31 bytes");
  assert_contains(why_not({"HS256:" + r.files.write("none", "")}), "has 0 bytes");
  assert_contains(why_not({"HS256:" + r.files.write("r.pem", pem(r.rsa.get()))}), "r.pem: is a PEM");
  assert_contains(why_not({"HS256:" + r.files.write("sec.pem", pem(r.ec.get(), true))}), "is a PEM");
  assert_contains(why_not({"RS256:" + r.files.write("sec.pem", pem(r.rsa.get(), true))}), "openssl pkey -pubout");
  assert_contains(why_not({"RS256:" + r.files.write("e.pem", pem(r.ec.get()))}), "is not an RSA key");
  assert_contains(why_not({"ES256:" + r.files.write("r.pem", pem(r.rsa.get()))}), "is not an EC key on P-256");
  assert_contains(why_not({"ES256:" + r.files.write("e384.pem", pem(ec_key("P-384").get()))}), "is not an EC key on P-256");
  assert_contains(why_not({"RS256:" + r.files.write("x.pem", "nonsense")}), "BEGIN PUBLIC KEY");
  assert_contains(why_not({"RS256:" + r.files.dir + "/absent.pem"}), "absent.pem");
  assert_contains(why_not({}), "no key is configured");
  for (const std::string source : {"", "HS256", "HS256:", "HS512:/x", "hs256:/x", "/etc/key", "jwks:", "HS256:/x#"})
    assert_true(!why_not({source}).empty());
}

void key_that_strangers_can_read_is_refused(void** state) {
  Room& r = room_of(state);
  constexpr auto kOpen = std::filesystem::perms{0644}, kWritable = std::filesystem::perms{0666};
  assert_contains(why_not({"HS256:" + r.files.write("open", kSecret, kOpen)}), "chmod o-rwx");
  const std::string oct = R"({"keys":[{"kty":"oct","k":")" + base64url(kSecret) + "\"}]}";
  assert_contains(why_not({"jwks:" + r.files.write("oct.json", oct, kOpen)}), "chmod o-rwx");
  // A public key may be read by everybody, but not replaced.
  r.use({"RS256:" + r.files.write("r.pem", pem(r.rsa.get()), kOpen)});
  assert_contains(why_not({"RS256:" + r.files.write("r.pem", pem(r.rsa.get()), kWritable)}), "chmod o-w");
  assert_contains(why_not({"jwks:" + r.files.write("r.json", R"({"keys":[]})", kWritable)}), "chmod o-w");
}

void two_keys_with_one_name_are_refused(void** state) {
  Room& r = room_of(state);
  const std::string secret = r.files.write("s", kSecret), other = r.files.write("t", std::string(32, 't')),
                    rsa = r.files.write("r.pem", pem(r.rsa.get()));
  assert_contains(why_not({"HS256:" + secret + "#a", "HS256:" + other + "#a"}), "two keys have the kid \"a\"");
  assert_contains(why_not({"HS256:" + secret + "#a", "RS256:" + rsa + "#a"}), "two keys have the kid \"a\"");
  assert_contains(why_not({"HS256:" + secret, "HS256:" + other}), "two keys for HS256 have no kid");
  r.use({"HS256:" + secret, "RS256:" + rsa, "HS256:" + other + "#t"});
}

void a_number_sign_in_a_directorys_name_starts_no_kid(void**) {
  const auto plain = parse_key_source("HS256:/srv/demo #2/hs256.key"), named = parse_key_source("HS256:/srv/demo #2/hs256.key#2026");
  assert_string_equal(plain->path.c_str(), "/srv/demo #2/hs256.key");
  assert_string_equal(plain->kid.c_str(), "");
  assert_string_equal(named->path.c_str(), "/srv/demo #2/hs256.key");
  assert_string_equal(named->kid.c_str(), "2026");
}

void a_secret_files_newline_is_not_part_of_the_secret(void** state) {
  Room& r = room_of(state);
  r.use({"HS256:" + r.files.write("s", kSecret + "\n")});
  assert_true(r.good(hs256_token(kHs, kAlice, kSecret)));
  r.use({"HS256:" + r.files.write("s", kSecret + "\n\n")});
  assert_true(r.good(hs256_token(kHs, kAlice, kSecret + "\n")));
}

void a_jwks_file_serves_its_keys_and_passes_over_others(void** state) {
  Room& r = room_of(state);
  const std::string other = R"({"kty":"OKP","crv":"Ed25519","kid":"o","x":"AA"},{"kty":"RSA","kid":"enc","use":"enc","n":"AA","e":"AA"},
      {"kty":"RSA","kid":"ps","alg":"PS256","n":"AA","e":"AA"},)";
  r.use(
      {"jwks:" + r.files.write("jwks.json", "{\"keys\":[" + other + jwk(r.rsa.get(), "r", R"(,"use":"sig","alg":"RS256")") + "," +
                                                jwk(r.ec.get(), "e") + R"(,{"kty":"oct","kid":"h","k":")" + base64url(kSecret) + "\"}]}")});
  assert_int_equal(r.auth->stats().keys, 3);
  assert_true(r.good(signed_token(R"({"alg":"RS256","kid":"r"})", kAlice, r.rsa.get())));
  assert_true(r.good(signed_token(R"({"alg":"ES256","kid":"e"})", kAlice, r.ec.get())));
  assert_true(r.good(hs256_token(R"({"alg":"HS256","kid":"h"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(hs256_token(R"({"alg":"HS256","kid":"r"})", kAlice, kSecret)));
  assert_true(r.gate_refuses(signed_token(R"({"alg":"RS256","kid":"ps"})", kAlice, r.rsa.get())));
}

void a_bad_jwks_file_is_refused(void** state) {
  Room& r = room_of(state);
  const auto why = [&](const std::string& text) { return why_not({"jwks:" + r.files.write("jwks.json", text)}); };
  assert_contains(why("nonsense"), "jwks.json");
  assert_contains(why("{}"), "is not a JWKS");
  assert_contains(why("{\"keys\":[]}"), "has no key");
  assert_contains(why(R"({"keys":[{"kty":"OKP","kid":"o"}]})"), "has no key");
  assert_contains(why("{\"keys\":[" + jwk(rsa_key(1024).get(), "weak") + "]}"), "key \"weak\": is an RSA key of 1024 bits");
  assert_contains(why(R"({"keys":[{"kty":"oct","kid":"s","k":"c2hvcnQ"}]})"), "key \"s\": has 5 bytes");
  assert_contains(why(R"({"keys":[{"kty":"RSA","kid":"x","n":"AQAB"}]})"), "key \"x\": is not well-formed");
  assert_contains(why(R"({"keys":[{"kty":"EC","crv":"P-256","kid":"x","x":")" + base64url(std::string(32, '\1')) + R"(","y":")" +
                      base64url(std::string(32, '\2')) + "\"}]}"),
                  "is not well-formed");  // not on the curve
  assert_contains(why("{\"keys\":[" + jwk(r.ec.get(), "e") + "," + jwk(r.ec.get(), "e") + "]}"), "two keys have the kid \"e\"");
}

std::string g_logged;

void changed_keys_are_taken_up_without_a_restart(void** state) {
  Room& r = room_of(state);
  log::set_sink([](void*, log::Level, std::string_view line) { g_logged += line; });
  g_logged.clear();
  const std::string path = r.files.write("s", kSecret), next(32, 'n');
  r.use({"HS256:" + path});
  const std::string old_token = hs256_token(kHs, kAlice, kSecret), new_token = hs256_token(kHs, kAlice, next);
  assert_true(r.good(old_token) && r.invalid(new_token));
  r.files.write("s", next);
  r.now.mono_ns += 999'999'999;
  assert_true(r.good(old_token));  // looked at once a second
  r.now.mono_ns += 1;
  assert_true(r.good(new_token));
  assert_true(r.invalid(old_token));  // not remembered beyond its key
  assert_int_equal(r.auth->stats().reloads, 1);

  r.files.write("s", "too short");
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.good(new_token));  // a bad new file keeps the old keys
  assert_contains(g_logged, "HS256 wants 32 or more");
  g_logged.clear();
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.good(new_token));
  assert_string_equal(g_logged.c_str(), "");  // said once
  std::filesystem::remove(path);
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.good(new_token));
  assert_int_equal(r.auth->stats().reload_failures, 2);
  r.files.write("s", kSecret);
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.good(old_token) && r.invalid(new_token));
  assert_true(g_logged.find(kSecret) == std::string::npos && g_logged.find(next) == std::string::npos);
  log::set_sink(nullptr);
}

void a_token_seen_before_costs_no_signature(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  const std::string token = hs256_token(kHs, kAlice, kSecret);
  for (int i = 0; i < 5; ++i) assert_true(r.good(token));
  assert_int_equal(r.auth->stats().signatures, 1);
  assert_int_equal(r.auth->stats().remembered, 4);
  const auto user = [](int i) { return hs256_token(kHs, R"({"sub":"u)" + std::to_string(i) + R"(","exp":1700000600})", kSecret); };
  for (int i = 0; i < 5000; ++i) {  // the memory of them is bounded; what is in use stays
    assert_true(r.good(user(i)));
    if (i % 100 == 0) assert_true(r.good(token));
  }
  assert_int_equal(r.auth->stats().signatures, 5001);
  assert_true(r.good(user(0)));
  assert_int_equal(r.auth->stats().signatures, 5002);
}

void signatures_beyond_the_budget_say_retry(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  Rate budget(10, 2);
  const auto may = [&](std::string_view) { return budget.take(r.now.mono_ns); };
  const auto user = [](int i) { return hs256_token(kHs, R"({"sub":"u)" + std::to_string(i) + R"(","exp":1700000600})", kSecret); };
  assert_true(r.auth->verify(user(1), r.now, may).ok());
  assert_true(r.auth->verify(user(1), r.now, may).ok());
  assert_true(r.auth->verify(user(2), r.now, may).ok());
  assert_true(r.auth->verify(user(3), r.now, may).error().code == Errc::retry);
  assert_true(r.auth->verify(user(1), r.now, may).ok());  // remembered: free
  assert_true(r.auth->verify("nonsense", r.now, may).error().code == Errc::unauthorized);
  r.now.mono_ns += 100'000'000;
  assert_true(r.auth->verify(user(3), r.now, may).ok());
}

}  // namespace

#define ROOM(name) cmocka_unit_test_setup_teardown(name, make_room, end_room)

void token_is_refused_while_the_clock_is_not_set(void** state) {
  Room& r = room_of(state);
  r.use_secret();
  const std::string alice = hs256_token(kHs, kAlice, kSecret);
  assert_true(r.good(alice));
  const Time set = r.now;
  r.now.unix_ms = 10'000;
  r.now.wall_set = false;
  assert_string_equal(r.refusal(alice).c_str(), "clock_not_set");  // a remembered one too
  assert_contains(r.auth->verify(alice, r.now).error().detail, "the clock of this server is not set (it shows 1970-01-01T00:00:10");
  r.now = set;
  assert_true(r.good(alice));
}

void withdrawn_keys_are_named_once_and_the_others_keep_their_number(void** state) {
  Room& r = room_of(state);
  const auto number_of = [&](const std::string& kid, const std::string& secret) {
    return r.auth->verify(hs256_token(R"({"alg":"HS256","kid":")" + kid + "\"}", kAlice, secret), r.now)->key;
  };
  const auto jwks = [&](const std::vector<std::string>& kids) {
    std::string list;
    for (const std::string& kid : kids)
      list += (list.empty() ? "" : ",") + (R"({"kty":"oct","kid":")" + kid + R"(","k":")" + base64url(std::string(32, kid[0])) + "\"}");
    return r.files.write("jwks.json", "{\"keys\":[" + list + "]}");
  };
  r.use({"jwks:" + jwks({"a", "b"})});
  const uint64_t a = number_of("a", std::string(32, 'a')), b = number_of("b", std::string(32, 'b'));
  assert_int_not_equal(a, b);
  assert_true(r.auth->withdrawn(r.now).empty());
  jwks({"c", "b"});  // one kid is taken out of the set
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.auth->withdrawn(r.now) == std::vector{a});
  assert_true(r.auth->withdrawn(r.now).empty());
  assert_int_equal(number_of("b", std::string(32, 'b')), b);
  r.files.write("jwks.json", "nonsense");  // withdraws nothing
  r.now.mono_ns += 1'000'000'000;
  assert_true(r.auth->withdrawn(r.now).empty());
  assert_int_equal(number_of("b", std::string(32, 'b')), b);
}

int main() {
  const CMUnitTest tests[] = {
      ROOM(token_is_refused_while_the_clock_is_not_set),
      ROOM(withdrawn_keys_are_named_once_and_the_others_keep_their_number),
      ROOM(tokens_of_all_three_algorithms_are_accepted),
      ROOM(tokens_made_by_libjwt_are_accepted),
      ROOM(the_identity_is_what_the_claims_say),
      ROOM(hs256_signed_with_the_public_pem_is_refused),
      ROOM(alg_none_and_other_algorithms_are_refused),
      ROOM(a_token_without_a_signature_is_refused),
      ROOM(a_wrong_signature_is_refused),
      ROOM(a_bad_signature_leaves_no_openssl_error_behind_for_tls_to_find),
      ROOM(an_enormous_token_is_refused_at_once),
      ROOM(duplicate_keys_are_refused),
      ROOM(header_names_are_matched_exactly),
      ROOM(only_canonical_base64url_passes),
      cmocka_unit_test(base64url_is_decoded_as_the_rfc_has_it),
      ROOM(an_expired_token_is_refused_and_the_leeway_counts),
      ROOM(an_exp_for_ever_is_the_year_9999),
      ROOM(exp_must_be_there_and_whole),
      ROOM(a_token_that_is_not_valid_yet_is_refused),
      ROOM(the_issuer_and_the_audience_are_checked_where_configured),
      ROOM(sub_must_name_a_user),
      ROOM(crit_and_other_typs_are_refused),
      ROOM(keys_inside_the_token_are_not_looked_at),
      ROOM(the_kid_picks_the_key_and_a_wrong_one_is_refused),
      ROOM(weak_and_mistaken_keys_are_refused_at_start),
      ROOM(key_that_strangers_can_read_is_refused),
      ROOM(two_keys_with_one_name_are_refused),
      cmocka_unit_test(a_number_sign_in_a_directorys_name_starts_no_kid),
      ROOM(a_secret_files_newline_is_not_part_of_the_secret),
      ROOM(a_jwks_file_serves_its_keys_and_passes_over_others),
      ROOM(a_bad_jwks_file_is_refused),
      ROOM(changed_keys_are_taken_up_without_a_restart),
      ROOM(a_token_seen_before_costs_no_signature),
      ROOM(signatures_beyond_the_budget_say_retry),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
