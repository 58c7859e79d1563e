// Who may speak to the control socket: root, the engine's own user, and the users and groups of the config. Any thread; immutable.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace jobcast::engine {

class Peers {
 public:
  // Looks the names up once. Errors: invalid (an unknown name).
  [[nodiscard]] static Result<Peers> create(const std::vector<std::string>& users, const std::vector<std::string>& groups);

  // By SO_PEERCRED and SO_PEERGROUPS: what the peer was when it connected.
  [[nodiscard]] bool let_in(int socket) const;
  // The group that the socket's file should belong to, so that its members can reach it: the first one of the config.
  [[nodiscard]] std::optional<gid_t> group() const { return groups_.empty() ? std::nullopt : std::optional(groups_.front()); }

 private:
  std::vector<uid_t> users_;
  std::vector<gid_t> groups_;
};

}  // namespace jobcast::engine
