// Binds a socket as libwebsockets will, and reads /proc for who was there before.
#include "lws-plugin/host/ports.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

#include "base/handle.h"

namespace jobcast::host {
namespace {

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

Address wildcard(int family) {
  Address address;
  address.bytes.ss_family = static_cast<sa_family_t>(family);
  address.size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  return address;
}

std::string text_of(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (!address) return "";
  if (address->sa_family == AF_INET) {
    sockaddr_in in{};
    memcpy(&in, address, sizeof in);
    return inet_ntop(AF_INET, &in.sin_addr, text.data(), text.size()) ? text.data() : "";
  }
  if (address->sa_family != AF_INET6) return "";
  sockaddr_in6 in6{};
  memcpy(&in6, address, sizeof in6);
  return inet_ntop(AF_INET6, &in6.sin6_addr, text.data(), text.size()) ? text.data() : "";
}

// The addresses of an interface, or the one address of this machine that is named.
std::vector<Address> addresses_of(const VhostConfig& vhost) {
  if (vhost.interface.empty()) {
    std::vector<Address> all = {wildcard(AF_INET)};
    if (vhost.ipv6) all.push_back(wildcard(AF_INET6));
    return all;
  }
  std::vector<Address> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* one = list; one; one = one->ifa_next) {
    const std::string text = text_of(one->ifa_addr);
    if (text.empty() || (vhost.interface != one->ifa_name && vhost.interface != text)) continue;
    Address address;
    address.size = one->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    memcpy(&address.bytes, one->ifa_addr, address.size);
    out.push_back(address);
  }
  freeifaddrs(list);
  in_addr loopback{};
  if (out.empty() && inet_pton(AF_INET, vhost.interface.c_str(), &loopback) == 1 && ntohl(loopback.s_addr) >> 24 == 127) {
    Address address = wildcard(AF_INET);  // all of 127.0.0.0/8 is this machine, though only one of it is listed
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr = loopback;
    memcpy(&address.bytes, &in, sizeof in);
    out.push_back(address);
  }
  return out;
}

// 0 or an errno.
int try_to_bind(Address address, int port) {
  const int family = address.bytes.ss_family;
  const Fd fd(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno == EAFNOSUPPORT ? 0 : errno;
  const int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const in_port_t number = htons(static_cast<uint16_t>(port));
  if (family == AF_INET6) {
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    memcpy(reinterpret_cast<char*>(&address.bytes) + offsetof(sockaddr_in6, sin6_port), &number, sizeof number);
  } else {
    memcpy(reinterpret_cast<char*>(&address.bytes) + offsetof(sockaddr_in, sin_port), &number, sizeof number);
  }
  return bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.bytes), address.size) == 0 ? 0 : errno;
}

// The inodes of sockets that listen on `port`, as /proc/net/tcp and tcp6 list them.
std::set<std::string> listeners_of(int port) {
  std::set<std::string> inodes;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    for (std::string line; std::getline(file, line);) {
      std::istringstream fields(line);
      std::array<std::string, 10> field;
      for (std::string& one : field) fields >> one;
      const size_t colon = field[1].rfind(':');
      if (colon == std::string::npos || field[3] != "0A") continue;
      if (std::strtol(field[1].c_str() + colon + 1, nullptr, 16) == port) inodes.insert("socket:[" + field[9] + "]");
    }
  }
  return inodes;
}

bool holds(const std::string& process, const std::set<std::string>& inodes) {
  bool found = false;
  DIR* files = opendir((process + "/fd").c_str());
  if (!files) return false;
  while (const dirent* file = readdir(files)) {
    std::array<char, 64> target{};
    if (readlink((process + "/fd/" + file->d_name).c_str(), target.data(), target.size() - 1) > 0) found |= inodes.contains(target.data());
  }
  closedir(files);
  return found;
}

std::string name_of(const std::string& pid) {
  std::string name;
  std::ifstream("/proc/" + pid + "/comm") >> name;
  return name + " (pid " + pid + ")";
}

std::string holder_of(int port) {
  const auto inodes = listeners_of(port);
  std::string holder;
  DIR* processes = inodes.empty() ? nullptr : opendir("/proc");
  while (const dirent* process = processes ? readdir(processes) : nullptr) {
    const std::string pid = process->d_name, path = "/proc/" + pid;
    if (pid.find_first_not_of("0123456789") != std::string::npos || !holds(path, inodes)) continue;
    holder = name_of(pid);
    break;
  }
  if (processes) closedir(processes);
  return holder;
}

}  // namespace

PortState look_at_port(const VhostConfig& vhost) {
  using enum PortState::Kind;
  const auto addresses = addresses_of(vhost);
  if (addresses.empty()) return {no_interface, ""};
  for (const Address& address : addresses) {
    switch (try_to_bind(address, vhost.port)) {
      case 0: break;
      case EADDRINUSE: return {taken, holder_of(vhost.port)};
      case EACCES: return {forbidden, ""};
      case EADDRNOTAVAIL: break;  // an address that is not up yet
      default: return {unknown, ""};
    }
  }
  return {free, ""};
}

PortState look_at_unix_socket(const std::string& path) {
  using enum PortState::Kind;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return {unknown, ""};
  memcpy(address.sun_path, path.data(), path.size());
  const bool abstract = path.starts_with('@');
  if (abstract) address.sun_path[0] = '\0';
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
  if (!fd) return {unknown, ""};
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0)
    return {errno == EAGAIN ? taken : free, ""};  // its queue is full
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0) return {taken, ""};
  return {taken, name_of(std::to_string(peer.pid))};
}

bool share_an_address(const VhostConfig& one, const VhostConfig& other) {
  const auto theirs = addresses_of(other);
  for (const Address& mine : addresses_of(one))
    for (const Address& their : theirs) {
      if (mine.bytes.ss_family != their.bytes.ss_family) continue;
      if (one.interface.empty() || other.interface.empty()) return true;
      // Of an interface by name lws takes one address, which need not be its IPv6 one.
      if (mine.bytes.ss_family == AF_INET &&
          text_of(reinterpret_cast<const sockaddr*>(&mine.bytes)) == text_of(reinterpret_cast<const sockaddr*>(&their.bytes)))
        return true;
    }
  return false;
}

std::string interfaces() {
  std::string out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  for (const ifaddrs* one = list; one; one = one->ifa_next)
    if (one->ifa_addr && one->ifa_addr->sa_family == AF_INET)
      out += (out.empty() ? "" : ", ") + std::string(one->ifa_name) + " (" + text_of(one->ifa_addr) + ")";
  freeifaddrs(list);
  return out;
}

}  // namespace jobcast::host
