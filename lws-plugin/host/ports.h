// Whether a port or a Unix socket can be listened on, and who else does. Tries it for a moment; leaves nothing behind.
#pragma once

#include <string>

#include "lws-plugin/host/config.h"

namespace jobcast::host {

struct PortState {
  enum class Kind : uint8_t {
    free,
    taken,         // somebody listens there
    forbidden,     // below the system's first unprivileged port, for this user
    no_interface,  // there is no such interface, and no such address of this machine
    unknown,       // cannot be said
  } kind = Kind::unknown;
  std::string holder;  // of a port that is taken: the program's name and pid, as far as this user may see them
};

// Of a vhost that listens on TCP. Port 0 is free wherever its interface exists.
[[nodiscard]] PortState look_at_port(const VhostConfig& vhost);

// Of a vhost that listens on a Unix socket: whether somebody answers there. Connects for a moment.
[[nodiscard]] PortState look_at_unix_socket(const std::string& path);

// Whether both would listen at one address, as far as that is sure. Of vhosts whose "interface" reads differently.
[[nodiscard]] bool share_an_address(const VhostConfig& one, const VhostConfig& other);

// "lo (127.0.0.1), eth0 (192.0.2.7)": what may stand in "interface".
[[nodiscard]] std::string interfaces();

}  // namespace jobcast::host
