// Any bytes as a token; and any bytes as header and payload of a token that is signed well, so that libjwt is reached. What is let in is
// a user with a future, what is refused has a code and no secret in its words.
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/invariant.h"
#include "base/json.h"
#include "lws-plugin/auth.h"
#include "lws-plugin/auth_token.h"

namespace {

using namespace jobcast;
using namespace jobcast::plugin;

const std::string kSecret = "0123456789abcdef0123456789abcdef";
constexpr Time kNow{1'000'000'000, 1'700'000'000'000};

Auth& gate() {
  static Auth auth = [] {
    char path[] = "/tmp/jobcast-fuzz-XXXXXX";
    const int fd = mkstemp(path);
    invariant(fd >= 0 && write(fd, kSecret.data(), kSecret.size()) == static_cast<ssize_t>(kSecret.size()));
    close(fd);
    AuthOptions options;
    options.keys = {std::string("HS256:") + path};
    auto made = Auth::create(std::move(options));
    invariant(made.ok());
    unlink(path);  // never looked at again: the clock of this program stands still
    return std::move(made).value();
  }();
  return auth;
}

std::string base64url(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(bytes.size() - i, 3);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : 0U);
    for (size_t j = 0; j <= count; ++j) out += kAlphabet[bits >> (18 - 6 * j) & 63];
  }
  return out;
}

std::string signed_well(std::string_view header, std::string_view payload) {
  const std::string text = base64url(header) + "." + base64url(payload);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned bytes = 0;
  HMAC(EVP_sha256(), kSecret.data(), static_cast<int>(kSecret.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
       mac, &bytes);
  return text + "." + base64url({reinterpret_cast<const char*>(mac), bytes});
}

void check(const std::string& token) {
  const auto first = gate().verify(token, kNow), again = gate().verify(token, kNow);
  invariant(first.ok() == again.ok());
  if (first) {
    invariant(!first->user.empty() && first->user.size() <= 128 && is_utf8(first->user) && first->user == again->user);
    invariant(first->expires_unix_s * 1000 > kNow.unix_ms);
    invariant(!first->admin || (first->may_submit && first->may_cancel && first->may_read_any));
    return;
  }
  const Error& error = first.error();
  invariant(error.code == Errc::unauthorized && !error.detail.empty() && error.detail.size() < 200);
  invariant(error.field == "token_invalid" || error.field == "token_expired" || error.field == "token_not_yet_valid");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text);
  if (const auto bytes = decode_base64url(text)) invariant(base64url(*bytes) == text);
  const size_t line = std::min(text.find('\n'), size);
  check(signed_well(text.substr(0, line), text.substr(std::min(line + 1, size))));
  return 0;
}
