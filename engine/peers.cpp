// SO_PEERCRED and SO_PEERGROUPS against the config's names.
#include "engine/peers.h"

#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace jobcast::engine {
namespace {

constexpr int kGroupsMax = 1024;

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
    std::vector<gid_t> of(kGroupsMax);
    int count = kGroupsMax;
    of.resize(getgrouplist(user.c_str(), entry->pw_gid, of.data(), &count) < 0 ? of.size() : static_cast<size_t>(count));
    peers.named_.push_back({"user " + user, peers.users_.back(), std::move(of)});
  }
  for (const auto& group : groups) {
    const ::group* entry = getgrnam(group.c_str());
    if (!entry) return {Errc::invalid, "control.groups: there is no group \"" + group + "\" on this machine", "control.groups"};
    peers.groups_.push_back(entry->gr_gid);
    peers.named_.push_back({"group " + group, std::nullopt, {entry->gr_gid}});
  }
  return peers;
}

std::string Peers::kept_out(const std::string& socket) const {
  for (size_t slash = socket.find('/', 1); slash != std::string::npos; slash = socket.find('/', slash + 1)) {
    const std::string directory = socket.substr(0, slash);
    struct stat info = {};
    if (stat(directory.c_str(), &info) != 0) return "";
    for (const Named& one : named_) {
      const mode_t needed = one.user == info.st_uid ? S_IXUSR : contains(one.groups, info.st_gid) ? S_IXGRP : S_IXOTH;
      if (one.user != uid_t{0} && (info.st_mode & needed) == 0) return one.name + " cannot enter " + directory + ": chmod o+x " + directory;
    }
  }
  return "";
}

std::optional<Peers::Who> Peers::let_in(int socket) const {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  const Who who{peer.uid, peer.pid};
  if (contains(users_, peer.uid) || contains(groups_, peer.gid)) return who;
  if (groups_.empty()) return std::nullopt;
  std::array<gid_t, 1024> more{};  // a peer in more groups than that is asked by its user and primary group alone
  size = sizeof more;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, more.data(), &size) != 0) return std::nullopt;
  const bool member =
      std::any_of(more.begin(), more.begin() + size / sizeof(gid_t), [this](gid_t group) { return contains(groups_, group); });
  return member ? std::optional(who) : std::nullopt;
}

}  // namespace jobcast::engine
