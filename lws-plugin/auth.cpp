// The way of a token: remembered, read, timely, signed.
#include "lws-plugin/auth.h"

#include <jwt.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <compare>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/handle.h"
#include "base/log.h"
#include "lws-plugin/auth_keys.h"
#include "lws-plugin/auth_token.h"

namespace jobcast::plugin {
namespace {

// Looks a file over without reading it; all zero when it is not there.
struct Stamp {
  uint64_t inode = 0;
  int64_t bytes = 0, changed_ns = 0, modified_ns = 0;
  auto operator<=>(const Stamp&) const = default;
};

Stamp stamp(const std::string& path) {
  struct stat at = {};
  if (::stat(path.c_str(), &at) != 0) return {};
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {at.st_ino, at.st_size, ns(at.st_ctim), ns(at.st_mtim)};
}

using Digest = std::array<uint8_t, SHA256_DIGEST_LENGTH>;

struct DigestHash {
  size_t operator()(const Digest& digest) const {
    size_t head = 0;
    std::memcpy(&head, digest.data(), sizeof head);
    return head;
  }
};

Digest digest(std::string_view token) {
  Digest out;
  SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), out.data());
  return out;
}

// Tokens that were verified lately, so that a client that polls or reconnects costs a hash and no signature. Two halves: the older one
// is dropped when the newer one is full, what is asked for moves over.
class Remembered {
 public:
  struct Entry {
    Identity who;
    int64_t not_before_unix_s = 0;
  };

  const Entry* find(const Digest& key) {
    if (const auto found = young_.find(key); found != young_.end()) return &found->second;
    auto old = old_.extract(key);
    return old.empty() ? nullptr : put(key, std::move(old.mapped()));
  }

  const Entry* put(const Digest& key, Entry entry) {
    if (young_.size() >= kHalf) old_ = std::exchange(young_, {});
    return &young_.insert_or_assign(key, std::move(entry)).first->second;
  }

  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  static constexpr size_t kHalf = 512;
  std::unordered_map<Digest, Entry, DigestHash> young_, old_;
};

jwt_alg_t libjwt_alg(Alg alg) {
  switch (alg) {
    case Alg::hs256: return JWT_ALG_HS256;
    case Alg::rs256: return JWT_ALG_RS256;
    case Alg::es256: return JWT_ALG_ES256;
  }
  return JWT_ALG_INVAL;
}

Identity begun(Identity who, const Time& now) {
  who.begin(now);
  return who;
}

bool signed_with(const Key& key, std::string_view token) {
  jwt_t* decoded = nullptr;
  const int failed = jwt_decode(&decoded, std::string(token).c_str(), reinterpret_cast<const unsigned char*>(key.bytes.data()),
                                static_cast<int>(key.bytes.size()));
  const Handle<jwt_t, jwt_free> jwt(decoded);
  ERR_clear_error();  // what libjwt leaves there would be taken for the next TLS connection's fault
  return failed == 0 && jwt && jwt_get_alg(jwt.get()) == libjwt_alg(key.alg);
}

}  // namespace

struct Auth::Impl {
  AuthOptions options;
  std::vector<KeySource> sources;
  std::vector<Stamp> stamps;
  std::vector<Key> keys;
  Remembered remembered, forgeries;
  std::vector<uint64_t> withdrawn;
  uint64_t last_id = 0;
  int64_t looked_ns = 0;
  Stats stats;

  std::vector<Stamp> look() const {
    std::vector<Stamp> seen;
    for (const KeySource& source : sources) seen.push_back(stamp(source.path));
    return seen;
  }

  Result<void> load() {
    auto seen = look();  // before reading: what changes meanwhile is read again
    auto loaded = load_keys(sources);
    stamps = std::move(seen);
    if (!loaded) return loaded.error();
    take(std::move(loaded).value());
    stats.keys = keys.size();
    remembered.clear();
    forgeries.clear();
    return {};
  }

  // Numbers the new keys; those of the old ones that are no longer there are withdrawn.
  void take(std::vector<Key> fresh) {
    std::vector<Key> old = std::exchange(keys, std::move(fresh));
    for (Key& key : keys) {
      const auto same =
          std::ranges::find_if(old, [&](const Key& one) { return one.alg == key.alg && one.kid == key.kid && one.bytes == key.bytes; });
      key.id = same == old.end() ? ++last_id : same->id;
    }
    for (const Key& key : old)
      if (std::ranges::find(keys, key.id, &Key::id) == keys.end()) withdrawn.push_back(key.id);
  }

  void reload_if_changed(const Time& now) {
    if (now.mono_ns - looked_ns < 1'000'000'000) return;
    looked_ns = now.mono_ns;
    if (look() == stamps) return;
    if (auto loaded = load(); !loaded) {
      ++stats.reload_failures;
      log::error("keys_not_reloaded", {{"problem", loaded.error().detail}, {"using", "the old keys"}});
      return;
    }
    ++stats.reloads;
    log::notice("keys_reloaded", {{"keys", keys.size()}});
  }

  Result<Identity> verify(std::string_view text, const Time& now, const MayCheck& may_check) {
    if (text.size() > kTokenBytesMax) return token_invalid("the token is longer than 8 KiB");
    const Digest key = digest(text);
    if (const auto* known = remembered.find(key)) {
      if (auto timely = check_time(known->not_before_unix_s, known->who.expires_unix_s, now); !timely) return timely.error();
      ++stats.remembered;
      return begun(known->who, now);
    }
    auto token = read_token(text, options);
    if (!token) return token.error();
    if (auto timely = check_time(token->not_before_unix_s, token->who.expires_unix_s, now); !timely) return timely.error();
    const Key* with = find_key(keys, *token);
    if (!with)
      return token_invalid(token->kid.empty() ? "the token has no kid, and no key without one is for its alg"
                                              : "the token's kid is not known here");
    if (with->alg != token->alg) return token_invalid("the token's alg is not that of its key");
    const Error forged = token_invalid("the token's signature does not verify");
    if (forgeries.find(key)) return forged;
    if (may_check && !may_check(token->who.user)) return {Errc::retry, "too many new tokens at once: try again in a moment"};
    ++stats.signatures;
    if (!signed_with(*with, text)) {
      forgeries.put(key, {});
      return forged;
    }
    token->who.key = with->id;
    return begun(remembered.put(key, {token->who, token->not_before_unix_s})->who, now);
  }
};

std::vector<uint64_t> Auth::withdrawn(const Time& now) {
  impl_->reload_if_changed(now);
  return std::exchange(impl_->withdrawn, {});
}

Auth::Auth(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Auth::Auth(Auth&&) noexcept = default;
Auth& Auth::operator=(Auth&&) noexcept = default;
Auth::~Auth() = default;

Result<Auth> Auth::create(AuthOptions options) {
  auto impl = std::make_unique<Impl>();
  if (options.keys.empty()) return Error{Errc::invalid, "no key is configured: nobody could authenticate", "key"};
  for (const std::string& text : options.keys) {
    auto source = parse_key_source(text);
    if (!source) return source.error();
    impl->sources.push_back(std::move(source).value());
  }
  if (options.leeway_s < 0 || options.leeway_s > 300) return Error{Errc::invalid, "the leeway is 0 to 300 seconds", "leeway_s"};
  impl->options = std::move(options);
  if (auto loaded = impl->load(); !loaded) return loaded.error();
  return Auth(std::move(impl));
}

Result<Identity> Auth::verify(std::string_view token, const Time& now, const MayCheck& may_check) {
  impl_->reload_if_changed(now);
  auto verified = impl_->verify(token, now, may_check);
  impl_->stats.refused += !verified && verified.error().code != Errc::retry;
  return verified;
}

const Auth::Stats& Auth::stats() const { return impl_->stats; }

}  // namespace jobcast::plugin
