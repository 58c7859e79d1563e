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

  struct Who {
    uid_t uid = 0;
    pid_t pid = 0;
  };
  // By SO_PEERCRED and SO_PEERGROUPS: what the peer was when it connected. nullopt: it may not speak.
  [[nodiscard]] std::optional<Who> let_in(int socket) const;
  // The group that the socket's file should belong to, so that its members can reach it: the first one of the config.
  [[nodiscard]] std::optional<gid_t> group() const { return groups_.empty() ? std::nullopt : std::optional(groups_.front()); }
  // The mode of the socket's file. One group can own it; where more are to be let in, or users, everybody may connect, and whoever is not
  // let_in() is sent away before a byte is read.
  [[nodiscard]] mode_t socket_mode() const { return named_.size() > groups_.size() || groups_.size() > 1 ? 0666 : 0660; }
  // Whom of the config a directory above `socket` keeps out, and which one, in words; "" if nobody.
  [[nodiscard]] std::string kept_out(const std::string& socket) const;

 private:
  struct Named {
    std::string name;
    std::optional<uid_t> user;  // none: a group
    std::vector<gid_t> groups;
  };
  std::vector<uid_t> users_;
  std::vector<gid_t> groups_;
  std::vector<Named> named_;  // the config's
};

}  // namespace jobcast::engine
