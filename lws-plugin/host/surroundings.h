// What the host's configuration names outside of itself: directories, plugins, users, certificates, ports; and what its parts say of each
// other. Looks, changes nothing. One thread.
#pragma once

#include <string>

#include "base/config_file.h"
#include "lws-plugin/host/config.h"

namespace jobcast::host {

// Where a vhost stands in its file.
struct VhostPlace {
  ConfigFile& file;
  JsonView json;
  std::string path;  // "vhosts[0]"
};

// Of the part "global" of `file`, if it has one.
void check_server(const HostConfig& config, ConfigFile& file);
void check_vhost(const HostConfig& config, size_t index, const VhostPlace& place, bool starting);

}  // namespace jobcast::host
