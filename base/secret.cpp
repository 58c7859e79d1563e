// Owner and mode of a file, judged on the descriptor that is read.
#include "base/secret.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/json.h"

namespace jobcast {

Result<void> check_guarded(const std::string& path, Guarded guarded) {
  struct stat file{};
  if (::stat(path.c_str(), &file) != 0) return {errno == ENOENT ? Errc::not_found : Errc::internal, path + ": " + std::strerror(errno)};
  if (!S_ISREG(file.st_mode)) return {};
  if (guarded == Guarded::from_reading && (file.st_mode & (S_IROTH | S_IWOTH)) != 0)
    return {Errc::invalid, path + " holds a secret, and every user of this machine may read or change it: chmod o-rwx " + path};
  if ((file.st_mode & S_IWOTH) != 0)
    return {Errc::invalid, path + " decides who gets in, and every user of this machine may change it: chmod o-w " + path};
  return {};
}

Result<std::string> read_secret_file(const std::string& path, size_t bytes_max) {
  if (auto guarded = check_guarded(path, Guarded::from_reading); !guarded) return guarded.error();
  return read_file(path, bytes_max);
}

}  // namespace jobcast
