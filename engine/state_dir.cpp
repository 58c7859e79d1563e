// Makes, locks and binds, and says who was there before.
#include "engine/state_dir.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "engine/own_file.h"

namespace jobcast::engine {
namespace {

constexpr int kLeftBehindMs = 10'000;  // for a child to begin, on a machine that has no time to spare

Result<void> make_dir(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0) return {};
  if (errno == EEXIST) {
    struct stat info{};
    if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return {Errc::invalid, path + " is no directory", "state_dir"};
  }
  return {Errc::invalid, "cannot make " + path + ": " + std::strerror(errno) + "; make it, or give --state-dir another place", "state_dir"};
}

bool somebody_answers(const sockaddr_un& address) {
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return errno == EAGAIN;  // a full backlog, so somebody is there
  // The credentials are those of the process that called listen(). Where it is gone, a child that it forked in the moment of its death may
  // hold the socket until it has closed what it does not need: the last one to close it hangs up.
  ucred peer{};
  socklen_t length = sizeof peer;
  if (getsockopt(probe.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0) return true;
  if (kill(peer.pid, 0) == 0 || errno != ESRCH) return true;
  pollfd hung_up{probe.get(), 0, 0};
  return poll(&hung_up, 1, kLeftBehindMs) == 0;
}

}  // namespace

Result<Fd> claim_state_dir(const std::string& path) {
  if (auto made = make_dir(path); !made) return made.error();
  const std::string logs = path + "/logs", file = path + "/lock";
  if (auto made = make_dir(logs); !made) return made.error();
  struct stat info{};
  if (lstat(logs.c_str(), &info) != 0 || !S_ISDIR(info.st_mode))
    return {Errc::invalid, logs + " is no directory of its own: the engine follows no link there; put the directory back", "state_dir"};
  Fd fd(open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return {Errc::invalid, "cannot open " + file + ": " + std::strerror(errno), "state_dir"};
  if (const std::string what = not_own(fd.get()); !what.empty())
    return {Errc::invalid, file + " " + what + ": remove it, or run the engine as the user whose directory this is", "state_dir"};
  struct flock lock{};
  lock.l_type = F_WRLCK;
  if (fcntl(fd.get(), F_SETLK, &lock) == 0) return fd;
  if (errno != EACCES && errno != EAGAIN) return {Errc::internal, "cannot lock " + file + ": " + std::strerror(errno)};
  const bool known = fcntl(fd.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  return {Errc::full, "another jobcastd" + (known ? " (pid " + std::to_string(lock.l_pid) + ")" : std::string()) +
                          " uses the state directory " + path + ": stop it, or give --state-dir another place"};
}

Result<Fd> listen_on(const std::string& path, std::optional<gid_t> group, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return {Errc::invalid,
            "the path of the control socket has " + std::to_string(path.size()) + " bytes; a Unix socket's has at most 107: " + path,
            "socket"};
  path.copy(address.sun_path, path.size());

  struct stat info{};
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode))
      return {Errc::invalid, path + " exists and is no socket: remove it, or give --socket another place", "socket"};
    if (somebody_answers(address))
      return {Errc::full, "another program listens on " + path + ": stop it, or give --socket another place", "socket"};
    unlink(path.c_str());
  }
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return {Errc::internal, std::string("socket: ") + std::strerror(errno)};
  const mode_t old = umask(0777 & ~mode);  // it has its mode from the first moment
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int why = errno;
  umask(old);
  if (bound != 0)
    return {Errc::invalid, "cannot listen on " + path + ": " + std::strerror(why) + "; make its directory, or give --socket another place",
            "socket"};
  if (group && chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0)
    return {Errc::invalid,
            "cannot give " + path + " to group " + std::to_string(*group) + ": " + std::strerror(errno) +
                "; the engine's user must be a member of control.groups' first group",
            "control.groups"};
  if (listen(fd.get(), 64) != 0) return {Errc::internal, std::string("listen: ") + std::strerror(errno)};
  return fd;
}

}  // namespace jobcast::engine
