// A vhost's certificate and private key, as files: would they be served? One thread.
#pragma once

#include <optional>
#include <string>

#include "base/fault.h"

namespace jobcast::host {

struct TlsFault {
  const char* key;  // "host-ssl-cert" or "host-ssl-key"
  std::string problem;
  Severity severity = Severity::fatal;
};
// `unix_s`: the time at which the certificate must be valid.
[[nodiscard]] std::optional<TlsFault> look_at_tls_files(const std::string& cert, const std::string& key, int64_t unix_s);

}  // namespace jobcast::host
