// token: a JWT for a user, for a demo's host or one's own.
#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "engine/cli/demo_files.h"
#include "engine/cli/output.h"
#include "engine/cli/token.h"

namespace jobcast::cli {
namespace {

Exit run(const Invocation& invocation) {
  if (invocation.has("key") == invocation.has("state-dir"))
    return complain(invocation,
                    {Errc::invalid, "give either --state-dir DIR of a demo or --key FILE, which holds the key that signs", "key"});
  if (!invocation.has("user")) return complain(invocation, {Errc::invalid, "--user NAME is required: the token's subject", "user"});
  const auto seconds = invocation.integer("expires-in", 3600, 1, 10LL * 366 * 24 * 3600);
  if (!seconds) return complain(invocation, seconds.error());
  const std::string path = invocation.has("key") ? invocation.get("key") : DemoFiles{invocation.get("state-dir")}.key();
  auto key = read_secret_file(path, 64 * 1024);
  if (!key) {
    std::string remedy =
        invocation.has("key") || key.error().code == Errc::invalid ? "" : ": is this the state directory of a `jobcast demo`?";
    return complain(invocation, {Errc::invalid, key.error().detail + remedy, "key"});
  }
  const TokenRequest request{.user = invocation.get("user"),
                             .scope = invocation.get("scope", "jobs:submit jobs:cancel"),
                             .issuer = invocation.get("issuer"),
                             .audience = invocation.get("audience"),
                             .kid = invocation.get("kid"),
                             .alg = invocation.get("alg"),
                             .expires_in_s = *seconds};
  if (!now().wall_set)
    return complain(invocation, {Errc::invalid, "the clock of this machine is not set (it shows " + iso8601(now().unix_ms) +
                                                    "): set it first, for a token says until when it is good"});
  const int64_t now_s = now().unix_ms / 1000;
  const auto token = mint(*key, request, now_s);
  if (!token) return complain(invocation, token.error());
  if (invocation.json()) {
    Json out = Json::object();
    out.set("token", *token).set("user", request.user).set("scope", request.scope).set("expires_at", iso8601((now_s + *seconds) * 1000));
    print(out.dump() + "\n");
  } else {
    print(*token + "\n");
  }
  return Exit::ok;
}

constexpr Option kOptions[] = {
    {"user", 'u', "NAME", "whom the token stands for: the owner of the jobs they submit", false, false},
    {"scope", 's', "WORDS",
     "what they may do: jobs:submit, jobs:cancel (of their own jobs), jobs:read:any, admin; with spaces between (\"jobs:submit "
     "jobs:cancel\")"},
    {"expires-in", 'e', "SECONDS", "for how long (3600)"},
    {"state-dir", 0, "DIR", "sign with the key of the `jobcast demo` with this state directory", false, true},
    {"key", 'k', "FILE",
     "sign with this key: a secret of 32 bytes or more (HS256), or the PEM of a private key, RSA from 2048 bits (RS256) or EC P-256 "
     "(ES256)",
     false, true},
    {"alg", 0, "NAME", "insist on HS256, RS256 or ES256; by default what fits the key"},
    {"kid", 0, "ID", "name the key in the token's header"},
    {"issuer", 0, "NAME", "the claim `iss`, where the host checks it"},
    {"audience", 0, "NAME", "the claim `aud`, where the host checks it"},
};
constexpr Example kExamples[] = {
    {"token --state-dir /tmp/demo --user alice", "a token for alice, for an hour, for a running demo"},
    {"token --key /etc/jobcast/es256.pem --user bob --scope admin --expires-in 300", "a short one for an administrator of a real host"},
};

}  // namespace

extern const Command token_command{.name = "token",
                                   .operands = "",
                                   .operands_min = 0,
                                   .operands_max = 0,
                                   .summary = "make a token with which a user signs in",
                                   .text =
                                       "Prints a JSON Web Token. Who has it may act as the user until it expires: hand it\n"
                                       "over like a password.",
                                   .examples = kExamples,
                                   .options = kOptions,
                                   .speaks_to_engine = false,
                                   .run = run};

}  // namespace jobcast::cli
