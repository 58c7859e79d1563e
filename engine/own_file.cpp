// Opens what must be a plain file of its own, and refuses everything else.
#include "engine/own_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace jobcast::engine {
namespace {

struct Place {
  Fd directory;
  std::string name;
};

Result<Place> place_of(const std::string& path, Parent kind) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  Place place{Fd(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | (kind == Parent::real ? O_NOFOLLOW : 0))),
              path.substr(slash + 1)};
  if (place.directory) return place;
  if (errno == ENOENT) return {Errc::not_found, parent + " is not there"};
  if (errno == ENOTDIR || errno == ELOOP) return {Errc::corrupt, parent + " is no directory any more: put it back"};
  return {Errc::internal, "cannot open " + parent + ": " + std::strerror(errno)};
}

std::string not_own(const struct stat& status) {
  if (S_ISFIFO(status.st_mode)) return "is a FIFO";
  if (S_ISLNK(status.st_mode)) return "is a symbolic link";
  if (S_ISDIR(status.st_mode)) return "is a directory";
  if (S_ISSOCK(status.st_mode)) return "is a socket";
  if (!S_ISREG(status.st_mode)) return "is a device";
  if (status.st_nlink > 1) return "has a second name (a hard link)";
  if (status.st_uid != ::geteuid())
    return "belongs to user " + std::to_string(status.st_uid) + " and not to the engine's, " + std::to_string(::geteuid());
  return "";
}

}  // namespace

std::string not_own(int fd) {
  struct stat status{};
  return ::fstat(fd, &status) != 0 ? std::string("cannot be looked at: ") + std::strerror(errno) : not_own(status);
}

Result<Fd> open_own_file(const std::string& path, int flags, Parent parent) {
  auto place = place_of(path, parent);
  if (!place) return place.error();
  struct stat status{};  // looked at first: opening a device can already do something
  if (::fstatat(place->directory.get(), place->name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT ? Error{Errc::not_found, path + " is not there"} : Error{Errc::internal, path + ": " + std::strerror(errno)};
  if (const std::string what = not_own(status); !what.empty()) return {Errc::corrupt, path + " " + what};
  Fd fd(::openat(place->directory.get(), place->name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd) return {Errc::internal, path + ": " + std::strerror(errno)};
  if (const std::string what = not_own(fd.get()); !what.empty()) return {Errc::corrupt, path + " " + what};
  return fd;
}

Result<Fd> replace_own_file(const std::string& path, int flags, mode_t mode, Parent parent) {
  auto place = place_of(path, parent);
  if (!place) return place.error();
  const int directory = place->directory.get();
  const char* name = place->name.c_str();
  if (::unlinkat(directory, name, 0) != 0 && errno != ENOENT && ::unlinkat(directory, name, AT_REMOVEDIR) != 0)
    return {Errc::corrupt, path + " is a directory, and something is in it"};
  Fd fd(::openat(directory, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!fd) return {Errc::internal, path + ": " + std::strerror(errno)};
  return fd;
}

Result<off_t> own_file_size(const std::string& path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) != 0)
    return errno == ENOENT ? Error{Errc::not_found, path + " is not there"} : Error{Errc::internal, path + ": " + std::strerror(errno)};
  if (const std::string what = not_own(status); !what.empty()) return {Errc::corrupt, path + " " + what};
  return status.st_size;
}

void remove_own_file(const std::string& path) {
  const auto place = place_of(path, Parent::real);
  if (!place) return;
  if (::unlinkat(place->directory.get(), place->name.c_str(), 0) != 0)
    ::unlinkat(place->directory.get(), place->name.c_str(), AT_REMOVEDIR);
}

}  // namespace jobcast::engine
