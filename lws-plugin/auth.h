// Who is asking: JWTs through a strict gate (DESIGN §7, FIELD §3). The auth files are the only ones that know libjwt and OpenSSL.
// Service thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "lws-plugin/limits.h"
#include "lws-plugin/metrics.h"

namespace jobcast::plugin {

struct Identity {
  std::string user;            // `sub`; 1–128 bytes
  int64_t expires_unix_s = 0;  // `exp` and the leeway: what clients are told
  // When this server stops to honour it, by the clock that nobody sets: a wall clock that jumps ends nothing early and prolongs nothing.
  int64_t ends_mono_ms = 0;
  uint64_t key = 0;            // Auth's number for the key that signed the token
  bool key_withdrawn = false;  // it has been withdrawn since: `ends_mono_ms` says until when that is borne
  bool may_submit = false;     // jobs:submit
  bool may_cancel = false;     // jobs:cancel (of the user's own jobs; admin: of any)
  bool may_read_any = false;   // jobs:read:any
  bool admin = false;          // admin: sets the others as well

  [[nodiscard]] bool ended(const Time& now) const { return now.mono_ms() >= ends_mono_ms; }
  // The token is good now: what it has left begins to run.
  void begin(const Time& now) { ends_mono_ms = now.mono_ms() + expires_unix_s * 1000 - now.unix_ms; }
  // Its key was withdrawn, which is borne until then.
  void withdraw(int64_t until_mono_ms) {
    if (until_mono_ms < ends_mono_ms) ends_mono_ms = until_mono_ms, key_withdrawn = true;
  }
  [[nodiscard]] bool may_see(std::string_view owner) const { return may_read_any || owner == user; }
};

struct AuthOptions {
  // Files, each with the algorithm it serves: "HS256:/path", "RS256:/path.pem", "ES256:/path.pem", optional "#kid" at the end; or
  // "jwks:/path.json". An HMAC key is the file's bytes without one newline at the end; PEMs are public keys. Re-read when a file
  // changes, looked at no more than once a second; a bad new file is logged and the old keys stay.
  std::vector<std::string> keys;
  std::string issuer, audience;  // "": not checked
  int64_t leeway_s = 0;          // 0 … 300, for exp and nbf
};

class Auth {
 public:
  // Refuses RSA < 2048 bit, HMAC < 32 bytes, a PEM as an HMAC key, duplicate kids; each error names the key file and the remedy.
  [[nodiscard]] static Result<Auth> create(AuthOptions options);
  Auth(Auth&&) noexcept;
  Auth& operator=(Auth&&) noexcept;
  ~Auth();

  // Errors: unauthorized, with a detail that is safe to show and never the token; `field` is the code of `auth_error`: token_expired,
  // token_not_yet_valid, token_invalid or clock_not_set. A signature costs up to half a millisecond (RS256), a token seen lately or refused
  // before its signature some microseconds. `may_check` is asked before a signature is checked, with the user that the token claims; false:
  // retry.
  using MayCheck = std::function<bool(std::string_view user)>;
  [[nodiscard]] Result<Identity> verify(std::string_view token, const Time& now, const MayCheck& may_check = {});

  // Looks at the key files as verify() does. Answers the keys that were withdrawn since the last call (Identity::key): no token of theirs
  // is good any more, and what they let in is the caller's to end.
  [[nodiscard]] std::vector<uint64_t> withdrawn(const Time& now);

  struct Stats : Metrics {
    Counter signatures{*this, "jobcast_token_signatures", "Signatures of tokens checked, good or bad."};
    Counter remembered{*this, "jobcast_tokens_remembered", "Tokens accepted because they were verified before."};
    Counter refused{*this, "jobcast_tokens_refused", "Tokens refused, on any transport."};
    Counter reloads{*this, "jobcast_key_reloads", "Changed key files taken over."};
    Counter reload_failures{*this, "jobcast_key_reload_failures", "Changed key files that could not be read: the old keys stay."};
    Gauge keys{*this, "jobcast_keys", "Keys that tokens are verified with."};
  };
  [[nodiscard]] const Stats& stats() const;

 private:
  struct Impl;
  explicit Auth(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobcast::plugin
