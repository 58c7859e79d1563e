#include "engine/peers.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace jobcast::engine {
namespace {

template <class T>
bool contains(const std::vector<T>& all, T one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

Result<Peers> Peers::create(const std::vector<std::string>& users, const std::vector<std::string>& groups) {
  Peers peers;
  peers.users_ = {0, geteuid()};
  for (const auto& user : users) {
    const passwd* entry = getpwnam(user.c_str());
    if (!entry) return {Errc::invalid, "control.users: there is no user \"" + user + "\" on this machine", "control.users"};
    peers.users_.push_back(entry->pw_uid);
  }
  for (const auto& group : groups) {
    const ::group* entry = getgrnam(group.c_str());
    if (!entry) return {Errc::invalid, "control.groups: there is no group \"" + group + "\" on this machine", "control.groups"};
    peers.groups_.push_back(entry->gr_gid);
  }
  return peers;
}

bool Peers::let_in(int socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (contains(users_, peer.uid) || contains(groups_, peer.gid)) return true;
  if (groups_.empty()) return false;
  std::array<gid_t, 1024> more{};  // a peer in more groups than that is asked by its user and primary group alone
  size = sizeof more;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size) != 0) return false;
  return std::any_of(more.begin(), more.begin() + size / sizeof(gid_t), [this](gid_t group) { return contains(groups_, group); });
}

}  // namespace jobcast::engine
