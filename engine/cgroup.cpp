// Files below /sys/fs/cgroup, made and removed for each attempt.
#include "engine/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#include <string_view>

#include "base/json.h"

namespace jobcast::engine {
namespace {

constexpr size_t kBytesMax = 1 << 20;
constexpr int kDepthMax = 8;  // no honest job nests them deeper
constexpr int kRemovalsMax = 256;

bool write_file(int directory, const char* name, const std::string& text) {
  const Fd fd(::openat(directory, name, O_WRONLY | O_CLOEXEC));
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// Removes an empty cgroup and the empty ones that the job made inside; at most `budget` of them a call.
bool remove_tree(const std::string& path, int depth, int& budget) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
  if (depth == 0 || budget-- <= 0) return false;
  const Handle<DIR, closedir> dir(opendir(path.c_str()));
  if (!dir) return false;
  while (const dirent* entry = readdir(dir.get()))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') remove_tree(path + "/" + entry->d_name, depth - 1, budget);
  return ::rmdir(path.c_str()) == 0;
}

void kill_one_by_one(const std::string& path, int depth) {
  const auto procs = read_file(path + "/cgroup.procs", kBytesMax);
  if (procs) {
    std::istringstream in(procs.value());
    for (pid_t pid = 0; in >> pid;)
      if (pid > 1 && pid != ::getpid()) ::kill(pid, SIGKILL);
  }
  if (depth == 0) return;
  const Handle<DIR, closedir> dir(opendir(path.c_str()));
  if (!dir) return;
  while (const dirent* entry = readdir(dir.get()))
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') kill_one_by_one(path + "/" + entry->d_name, depth - 1);
}

}  // namespace

std::string Cgroup::own_directory(const std::string& mountinfo, const std::string& membership) {
  std::string own;  // "0::/system.slice/jobcastd.service"
  std::istringstream groups(membership);
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::/")) own = line.substr(3);
  if (own.empty()) return "";
  std::istringstream mounts(mountinfo);
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(" - cgroup2 ") == std::string::npos) continue;
    std::istringstream fields(line);
    std::string skipped, root, mount_point;
    fields >> skipped >> skipped >> skipped >> root >> mount_point;
    if (root == "/") return own == "/" ? mount_point : mount_point + own;
    if (own == root) return mount_point;
    if (own.starts_with(root + "/")) return mount_point + own.substr(root.size());
  }
  return "";
}

std::string Cgroup::own_directory() {
  const auto mountinfo = read_file("/proc/self/mountinfo", kBytesMax);
  const auto membership = read_file("/proc/self/cgroup", kBytesMax);
  return mountinfo && membership ? own_directory(mountinfo.value(), membership.value()) : "";
}

void Cgroup::tidy(const std::string& parent, const std::string& prefix) {
  const Handle<DIR, closedir> dir(opendir(parent.c_str()));
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    struct stat status = {};
    const std::string path = parent + "/" + entry->d_name;
    // A younger one may be about to get its process, from another engine; rmdir refuses one that has any.
    if (std::string_view(entry->d_name).starts_with(prefix) && ::stat(path.c_str(), &status) == 0 &&
        ::time(nullptr) - status.st_mtime >= 60)
      ::rmdir(path.c_str());
  }
}

Cgroup Cgroup::create(const std::string& parent, const std::string& name) {
  if (parent.empty()) return {};
  const std::string path = parent + "/" + name;
  if (::mkdir(path.c_str(), 0755) != 0) return {};
  return open(path);
}

Cgroup Cgroup::open(const std::string& path) {
  Cgroup cgroup;
  cgroup.path_ = path;
  cgroup.directory_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  // The path may come from the database. What is done inside, such as writing to cgroup.kill, is meant for the kernel alone.
  struct statfs system{};
  if (cgroup && (::fstatfs(cgroup.fd(), &system) != 0 || system.f_type != CGROUP2_SUPER_MAGIC)) cgroup.directory_.reset();
  return cgroup;
}

bool Cgroup::add(pid_t pid) { return write_file(fd(), "cgroup.procs", std::to_string(pid)); }

void Cgroup::kill() {
  if (*this && !write_file(fd(), "cgroup.kill", "1")) kill_one_by_one(path_, kDepthMax);
}

bool Cgroup::remove() {
  if (!*this) return true;
  int budget = kRemovalsMax;
  if (!remove_tree(path_, kDepthMax, budget)) return false;
  directory_.reset();
  return true;
}

std::optional<uint64_t> oom_kills(const std::string& cgroup) {
  const auto events = read_file(cgroup + "/memory.events", kBytesMax);
  if (!events) return std::nullopt;
  std::istringstream in(events.value());
  std::string key;
  for (uint64_t count = 0; in >> key >> count;)
    if (key == "oom_kill") return count;
  return std::nullopt;
}

}  // namespace jobcast::engine
