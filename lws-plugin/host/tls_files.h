// A vhost's certificate and private key, as files: would they be served? One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/fault.h"

namespace jobcast::host {

struct TlsFault {
  const char* key;  // "host-ssl-cert", "host-ssl-key", …
  std::string problem;
  Severity severity = Severity::fatal;
  bool swapped = false;  // certificate and key stand in each other's place
};
// `unix_s`: the time at which the certificate must be valid.
[[nodiscard]] std::optional<TlsFault> look_at_tls_files(const std::string& cert, const std::string& key, int64_t unix_s);

// What else OpenSSL must accept; an empty one is not given. libwebsockets serves on with something else where it does not.
[[nodiscard]] std::vector<TlsFault> look_at_tls_settings(const std::string& ca, const std::string& ciphers,
                                                         const std::string& tls13_ciphers);

}  // namespace jobcast::host
