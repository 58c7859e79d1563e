// A control group (v2) for one attempt, where the engine may make one: it holds every process that the job starts, setsid or not, and the
// kernel ends them all in one call. Everything works without it, a little less surely. Loop thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/handle.h"

namespace jobcast::engine {

class Cgroup {
 public:
  Cgroup() = default;  // none

  // The engine's own directory below the cgroup2 mount, from the texts of /proc/self/mountinfo and /proc/self/cgroup; "" where there is
  // none.
  [[nodiscard]] static std::string own_directory(const std::string& mountinfo, const std::string& membership);
  [[nodiscard]] static std::string own_directory();

  // Removes what engines that were killed left empty below `parent`: directories with that prefix, older than a minute.
  static void tidy(const std::string& parent, const std::string& prefix);
  // `parent`/`name`; none where it cannot be made.
  [[nodiscard]] static Cgroup create(const std::string& parent, const std::string& name);
  // One that an earlier engine made; none when it is gone.
  [[nodiscard]] static Cgroup open(const std::string& path);

  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(directory_); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return directory_.get(); }

  bool add(pid_t pid);
  void kill();    // everything in it and below: cgroup.kill, or one by one where the kernel has none
  bool remove();  // true once it is gone, and with it every process that was in it

 private:
  std::string path_;
  Fd directory_;
};

// How many processes the kernel's OOM killer ended in `cgroup`, counting what is below. nullopt: no memory controller there.
[[nodiscard]] std::optional<uint64_t> oom_kills(const std::string& cgroup);

}  // namespace jobcast::engine
