// lwsws's configuration format, as far as jobcast-host serves it: DIR/conf with "global" and DIR/conf.d/* with "vhosts", or one file with
// both. What this host does not do is refused by name, never ignored. Reads files and looks at what they name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/fault.h"

namespace jobcast::host {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Mount {
  enum class Kind : uint8_t { file, callback };
  Kind kind = Kind::file;
  std::string mountpoint, origin;  // the origin without its scheme
  std::string fallback;            // "default": the file for the directory itself
  std::string basic_auth;
  int cache_max_age_s = 0;
  bool cache_reuse = false, cache_revalidate = false, cache_intermediaries = false;
  Pairs extra_mimetypes;
};

struct Protocol {
  std::string name;
  Pairs options;
};

struct VhostConfig {
  std::string name = "default";
  int port = 7681;  // 0: the system picks a free one
  std::string interface, unix_socket_perms, ssl_key, ssl_cert, ssl_ca, ciphers, tls13_ciphers, error_document_404;
  bool unix_socket = false, sts = false, ipv6 = true, strict_host = false, needs_subprotocol = false;
  int keepalive_s = 60;
  std::vector<Mount> mounts;
  std::vector<Protocol> protocols;
  Pairs headers;
};

struct HostConfig {
  std::string username, groupname, server_string;
  std::vector<std::string> plugin_dirs;
  int timeout_s = 30;
  uint32_t descriptors_max = 16'384;   // soft limit on open files: connections are refused before it is reached
  uint32_t header_bytes_max = 16'384;  // of one request
  bool ssl = false;
  std::string loop = "poll";  // or "libuv"
  std::vector<VhostConfig> vhosts;
};

// Reads the configuration and checks what it names outside of itself. Every fault goes into `faults`, with its place and its remedy; the
// config may be served unless one of them is fatal. `starting`: ports that are taken are fatal; else they may be this server's own.
[[nodiscard]] HostConfig read_config(const std::string& dir_or_file, Faults& faults, bool starting);

// Where plugins are sought: "plugin-dir", or else where they are installed and built, from the program's own directory.
[[nodiscard]] std::vector<std::string> plugin_dirs(const HostConfig& config);

}  // namespace jobcast::host
