// Each check names the fault at the key that can mend it.
#include "lws-plugin/host/surroundings.h"

#include <dirent.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "base/closest.h"
#include "base/fields.h"
#include "base/secret.h"
#include "lws-plugin/host/ports.h"
#include "lws-plugin/host/tls_files.h"

namespace jobcast::host {
namespace {

bool is_directory(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_readable_file(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), R_OK) == 0;
}

// "/a" holds "/a" and "/a/b", not "/ab"; "/" holds everything.
bool holds(const std::string& mountpoint, const std::string& path) {
  const std::string stem = mountpoint.ends_with('/') ? mountpoint.substr(0, mountpoint.size() - 1) : mountpoint;
  return path.starts_with(stem) && (path.size() == stem.size() || path[stem.size()] == '/');
}

std::string without_slash(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path;
}

std::string mounts(size_t index, const char* key) { return "mounts[" + std::to_string(index) + "]." + key; }

// One vhost of the configuration beside the place where it stands.
struct Vhost {
  const HostConfig& server;
  const VhostConfig& config;
  const VhostPlace& place;

  void fail(const char* key, std::string problem, Severity severity = Severity::fatal) const {
    const JsonView at = place.json.get(key);
    place.file.fail(at.exists() ? at : place.json, place.path + "." + key, std::move(problem), severity);
  }
  void fail_mount(size_t index, const char* key, std::string problem, Severity severity) const {
    const JsonView mount = place.json.get("mounts").at(index), at = mount.get(key);
    place.file.fail(at.exists() ? at : mount, place.path + "." + mounts(index, key), std::move(problem), severity);
  }
};

void check_tls(const Vhost& vhost) {
  const VhostConfig& config = vhost.config;
  if (!vhost.server.ssl) {
    for (const auto& [key, value] :
         {std::pair{"host-ssl-cert", &config.ssl_cert}, {"host-ssl-key", &config.ssl_key}, {"host-ssl-ca", &config.ssl_ca}})
      if (!value->empty())
        return vhost.fail(
            key,
            "is given, but TLS is off, and this vhost would be served as plain HTTP: set \"init-ssl\": \"yes\" in \"global\", "
            "or remove the certificate");
    if (config.sts)
      vhost.fail("sts", "tells browsers to come by https alone, which this vhost does not serve: \"init-ssl\" is off", Severity::error);
    return;
  }
  if (config.ssl_cert.empty() && config.ssl_key.empty()) return;
  if (config.ssl_cert.empty())
    return vhost.fail("host-ssl-cert", "is required beside host-ssl-key: the certificate, and those that it hangs on");
  if (config.ssl_key.empty()) return vhost.fail("host-ssl-key", "is required beside host-ssl-cert: the private key of the certificate");
  for (const TlsFault& fault : look_at_tls_settings(config.ssl_ca, config.ciphers, config.tls13_ciphers))
    vhost.fail(fault.key, fault.problem, fault.severity);
  const auto fault = look_at_tls_files(config.ssl_cert, config.ssl_key, now().unix_ms / 1000);
  if (fault) vhost.fail(fault->key, fault->problem, fault->severity);
  if (fault && fault->swapped) return;  // what stands in host-ssl-key is no secret then
  if (const auto guarded = check_guarded(config.ssl_key, Guarded::from_reading); !guarded && guarded.error().code == Errc::invalid)
    vhost.fail("host-ssl-key", guarded.error().detail);
}

void check_socket_owner(const Vhost& vhost) {
  const std::string& perms = vhost.config.unix_socket_perms;
  if (perms.empty()) return;
  const size_t colon = perms.find(':');
  const std::string user = perms.substr(0, colon), group = colon == std::string::npos ? "" : perms.substr(colon + 1);
  if (user.empty() || group.empty())
    return vhost.fail("unix-socket-perms", "must be user:group, such as www-data:www-data, not \"" + perms + "\"");
  if (!getpwnam(user.c_str())) vhost.fail("unix-socket-perms", "names no user of this machine: " + user);
  if (!getgrnam(group.c_str())) vhost.fail("unix-socket-perms", "names no group of this machine: " + group);
}

// What "is in use" says of itself. While the server runs, its configuration is checked too, and then it is no fault.
void fail_taken(const Vhost& vhost, const char* key, const std::string& what, const PortState& state, bool starting) {
  const bool own = !starting && (state.holder.empty() || state.holder.starts_with("jobcast-host ") || state.holder.starts_with("lwsws "));
  const bool socket = vhost.config.unix_socket;
  const std::string holder =
      state.holder.empty() ? " (ss -" + std::string(socket ? "lxp" : "ltnp") + " tells by whom)" : " by " + state.holder;
  vhost.fail(
      key,
      what + " is in use" + holder +
          (own ? ", perhaps this very server" : std::string(": stop that program, or choose another ") + (socket ? "socket" : "port")),
      own ? Severity::warning : Severity::fatal);
}

void check_unix_socket(const Vhost& vhost, bool starting) {
  const std::string& path = vhost.config.interface;
  if (path.empty()) return vhost.fail("interface", "is required with \"unix-socket\": the socket's path");
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return vhost.fail("interface",
                      "is longer than a socket's path may be (" + std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes)");
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (!path.starts_with('@') && !is_directory(parent))
    vhost.fail("interface", "lies in " + parent + ", which does not exist (mkdir -p " + parent + ")");
  else if (!path.starts_with('@') && access(parent.c_str(), W_OK | X_OK) != 0)  // the host may run as another user than whoever checks
    vhost.fail("interface",
               "lies in " + parent + ", where this user may make no socket: start jobcast-host as a user who may, or name another place",
               starting ? Severity::fatal : Severity::warning);
  // libwebsockets removes what it finds there, whatever it is.
  struct stat info = {};
  if (lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode))
    vhost.fail("interface",
               "is the path of something that is no socket, which would be lost: " + path + " (move it away, or name another)");
  else if (const PortState state = look_at_unix_socket(path); state.kind == PortState::Kind::taken)
    fail_taken(vhost, "interface", path, state, starting);  // which it would take over without a word
  check_socket_owner(vhost);
}

// What to write in place of something that is no interface, as others than libwebsockets write it.
std::string interface_meant(const std::string& name) {
  for (const char* all : {"0.0.0.0", "::", "[::]", "*", "any", "all"})
    if (name == all) return ": leave \"interface\" out to listen on all";
  if (name == "localhost") return ": write \"lo\", or \"127.0.0.1\"";
  if (name.find('/') != std::string::npos) return ": the path of a Unix socket wants \"unix-socket\": \"on\" beside it";
  if (name.starts_with('[')) return ": write an IPv6 address without brackets, and the port in \"port\"";
  if (std::ranges::count(name, ':') == 1) return ": the port stands in \"port\"";
  return "; there are " + interfaces();
}

// Vhosts whose names differ may share a port, but there is one listener then, which knows one way to speak.
void check_neighbours(const Vhost& vhost, const VhostConfig& other) {
  const VhostConfig& config = vhost.config;
  if (config.unix_socket != other.unix_socket) return;
  const std::string named = "vhost \"" + other.name + "\"";
  if (config.unix_socket) {
    if (config.interface == other.interface)
      vhost.fail("interface", "is the socket of " + named + " too, which would be lost: name another");
    return;
  }
  if (config.port != other.port || config.port == 0) return;
  const std::string port = std::to_string(config.port);
  if (config.interface != other.interface) {
    if (share_an_address(config, other))
      vhost.fail("port", port + " is listened on by " + named +
                             " already, at an address that both have: choose another port, or write \"interface\" alike");
    return;
  }
  if (config.name == other.name)
    vhost.fail("name", "is that of another vhost on the same port: " + config.name + " (Host tells them apart, so each needs its own)");
  if (config.ssl_cert.empty() != other.ssl_cert.empty())
    vhost.fail("port", port + " is that of " + named + ", which has " + (other.ssl_cert.empty() ? "no" : "a") +
                           " certificate while this vhost has " + (config.ssl_cert.empty() ? "none" : "one") +
                           ", and one port speaks either TLS or plain HTTP: choose another port");
}

void check_port(const Vhost& vhost, bool starting) {
  const PortState state = look_at_port(vhost.config);
  const std::string port = std::to_string(vhost.config.port);
  switch (state.kind) {
    case PortState::Kind::free:
    case PortState::Kind::unknown: return;
    case PortState::Kind::no_interface:
      return vhost.fail("interface", "names no interface and no address of this machine: \"" + vhost.config.interface + "\"" +
                                         interface_meant(vhost.config.interface));
    case PortState::Kind::forbidden:
      return vhost.fail("port",
                        "cannot be listened on by this user: ports below "
                        "1024 need root (with \"username\" in \"global\" the host gives it up), "
                        "CAP_NET_BIND_SERVICE, or the sysctl net.ipv4.ip_unprivileged_port_start");
    case PortState::Kind::taken: return fail_taken(vhost, "port", port, state, starting);
  }
}

// lws takes the last callback mount that fits, and of files the longest.
void check_order(const Vhost& vhost, size_t index) {
  const Mount& mount = vhost.config.mounts[index];
  for (size_t before = 0; before < index; ++before) {
    const std::string& other = vhost.config.mounts[before].mountpoint;
    if (without_slash(other) == without_slash(mount.mountpoint))
      return vhost.fail_mount(index, "mountpoint", "is mounted twice: " + other, Severity::error);
    if (!holds(mount.mountpoint, other)) continue;
    const bool hides = mount.kind == Mount::Kind::callback;
    return vhost.fail_mount(index, "mountpoint",
                            mount.mountpoint + " stands behind the longer " + other + (hides ? " and takes its requests" : "") +
                                ": put the shorter mount point first, for libwebsockets takes the last that fits",
                            hides ? Severity::error : Severity::warning);
  }
}

void check_mount(const Vhost& vhost, size_t index) {
  const Mount& mount = vhost.config.mounts[index];
  if (!mount.basic_auth.empty() && !is_readable_file(mount.basic_auth))
    vhost.fail_mount(index, "basic-auth", "cannot be read: " + mount.basic_auth + " (lines of user:password)", Severity::fatal);
  else if (const auto guarded = check_guarded(mount.basic_auth, Guarded::from_reading); !mount.basic_auth.empty() && !guarded)
    vhost.fail_mount(index, "basic-auth", guarded.error().detail, Severity::fatal);
  if (mount.kind == Mount::Kind::callback) {
    if (std::ranges::find(vhost.config.protocols, mount.origin, &Protocol::name) == vhost.config.protocols.end())
      vhost.fail_mount(index, "origin", "names a protocol that \"ws-protocols\" of this vhost does not enable: " + mount.origin,
                       Severity::fatal);
  } else if (!mount.origin.empty()) {
    if (!is_directory(mount.origin))
      vhost.fail_mount(index, "origin", "is no directory: " + mount.origin, Severity::error);
    else if (!mount.fallback.empty() && !is_readable_file(mount.origin + "/" + mount.fallback))
      vhost.fail_mount(index, "default", "is no file in " + mount.origin + ": " + mount.fallback, Severity::error);
  }
  if (mount.mountpoint.starts_with('/')) check_order(vhost, index);
}

// The plugin answers below the mount point that its own option names, and nowhere else.
void check_jobcast(const Vhost& vhost) {
  const auto protocol = std::ranges::find(vhost.config.protocols, "jobcast", &Protocol::name);
  if (protocol == vhost.config.protocols.end()) return;
  std::string option = "/jobcast";
  bool given = false;
  for (const auto& [name, value] : protocol->options)
    if (name == "mount") option = value, given = true;
  const std::string wanted = without_slash(option);
  bool mounted = false;
  for (const Mount& mount : vhost.config.mounts)
    mounted |= mount.kind == Mount::Kind::callback && mount.origin == "jobcast" && without_slash(mount.mountpoint) == wanted;
  bool other = false;
  for (size_t i = 0; i < vhost.config.mounts.size(); ++i) {
    const Mount& mount = vhost.config.mounts[i];
    if (mount.kind != Mount::Kind::callback || mount.origin != "jobcast" || without_slash(mount.mountpoint) == wanted) continue;
    other = true;
    vhost.fail_mount(
        i, "mountpoint",
        "is " + mount.mountpoint + ", but the plugin's option \"mount\" is " + option + (given ? "" : ", its default") +
            ", so that it answers 404 here: " +
            (mounted ? "remove this mount" : "add \"mount\": \"" + mount.mountpoint + "\" to the options of jobcast in \"ws-protocols\""),
        Severity::error);
  }
  if (!mounted && !other)
    vhost.fail("mounts",
               "has none that leads to jobcast: add {\"mountpoint\": \"" + (wanted.empty() ? "/" : wanted) +
                   "\", \"origin\": \"callback://jobcast\"}",
               Severity::error);
}

void check_plugins(const Vhost& vhost) {
  for (const Protocol& protocol : vhost.config.protocols) {
    if (protocol.name.find('.') != std::string::npos) continue;  // comes with another one
    std::string places;
    bool found = false;
    for (const std::string& dir : plugin_dirs(vhost.server)) {
      found |= is_readable_file(dir + "/libprotocol_" + protocol.name + ".so");
      places += (places.empty() ? "" : ", ") + dir;
    }
    if (found) continue;
    const std::array<std::string, 1> known = {"jobcast"};
    const std::string meant = closest(protocol.name, known);
    vhost.fail("ws-protocols", "enables " + protocol.name + ", but there is no libprotocol_" + protocol.name + ".so in " + places +
                                   (meant.empty() || meant == protocol.name ? ": install it, or set \"plugin-dir\" in \"global\""
                                                                            : ": did you mean \"" + meant + "\"?"));
  }
}

}  // namespace

std::vector<std::string> plugin_dirs(const HostConfig& config) {
  if (!config.plugin_dirs.empty()) return config.plugin_dirs;
  std::string path(PATH_MAX, '\0');
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  path.resize(length > 0 ? static_cast<size_t>(length) : 0);
  const std::string here = path.substr(0, path.rfind('/'));
  return {here + "/../" JOBCAST_LIBDIR "/jobcast", here + "/../lib"};  // as installed, and as built
}

void check_server(const HostConfig& config, ConfigFile& file) {
  const JsonView global = file.view().get("global");
  if (!global.is_object()) return;
  Fields in(global, "global", &file);
  const Severity severity = geteuid() == 0 ? Severity::fatal : Severity::error;  // only root becomes somebody else
  if (in.has("username") && !config.username.empty() && !getpwnam(config.username.c_str()))
    in.fail("username", "is no user of this machine: " + config.username + " (useradd --system " + config.username + " makes one)",
            severity);
  if (in.has("groupname") && !config.groupname.empty() && !getgrnam(config.groupname.c_str()))
    in.fail("groupname", "is no group of this machine: " + config.groupname + " (groupadd --system " + config.groupname + " makes one)",
            severity);
  if (in.has("plugin-dir"))
    for (const std::string& dir : config.plugin_dirs)
      if (!is_directory(dir)) in.fail("plugin-dir", "is no directory: " + dir, Severity::error);
}

void check_vhost(const HostConfig& config, size_t index, const VhostPlace& place, bool starting) {
  const Vhost vhost{config, config.vhosts[index], place};
  check_tls(vhost);
  if (vhost.config.unix_socket)
    check_unix_socket(vhost, starting);
  else if (place.json.get("port").exists())
    check_port(vhost, starting);
  for (size_t i = 0; i < vhost.config.mounts.size(); ++i) check_mount(vhost, i);
  check_jobcast(vhost);
  check_plugins(vhost);
  for (size_t other = 0; other < index; ++other) check_neighbours(vhost, config.vhosts[other]);
}

}  // namespace jobcast::host
