// /proc/PID/stat and its like, parsed without trust.
#include "engine/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace jobcast::engine {
namespace {

using Dir = Handle<DIR, closedir>;

std::string of_process(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

// Files of /proc claim to be empty: read until the end, at most `bytes_max`.
std::string slurp(const std::string& path, size_t bytes_max) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  if (!fd) return text;
  std::array<char, 4096> chunk{};
  while (text.size() < bytes_max) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<size_t>(got));
  }
  return text;
}

template <class Visit>
void each_number(const char* directory, Visit visit) {
  const Dir dir(opendir(directory));
  if (!dir) return;
  while (const dirent* entry = readdir(dir.get()))
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0]))) visit(static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)));
}

}  // namespace

std::optional<ProcStat> read_proc_stat(pid_t pid) {
  const std::string text = slurp(of_process(pid, "stat"), 4096);
  const size_t name_end = text.rfind(')');  // the name before it is the program's to choose, parentheses and spaces included
  if (name_end == std::string::npos) return std::nullopt;
  ProcStat stat;
  stat.pid = pid;
  constexpr unsigned kExiting = 0x4;  // PF_EXITING
  unsigned flags = 0;
  unsigned long long start = 0;
  const int read = std::sscanf(text.c_str() + name_end + 1,
                               " %c %d %d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",  // fields 3–6, 9 and 22
                               &stat.state, &stat.parent, &stat.group, &stat.session, &flags, &start);
  if (read != 6) return std::nullopt;
  stat.exiting = (flags & kExiting) != 0;
  stat.start_ticks = start;
  return stat;
}

std::optional<JobId> job_mark(pid_t pid) {
  constexpr std::string_view name = "JOBCAST_JOB_ID=";
  const std::string text = slurp(of_process(pid, "environ"), 2 << 20);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\0', at), text.size());
    const std::string_view entry = std::string_view(text).substr(at, end - at);
    if (entry.starts_with(name)) return JobId::parse(entry.substr(name.size()));
    at = end + 1;
  }
  return std::nullopt;
}

std::vector<pid_t> all_pids() {
  std::vector<pid_t> pids;
  each_number("/proc", [&](pid_t pid) { pids.push_back(pid); });
  return pids;
}

std::vector<pid_t> own_children() {
  std::vector<pid_t> children;
  bool supported = false;
  each_number("/proc/self/task", [&](pid_t thread) {
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/children";
    supported = supported || ::access(path.c_str(), R_OK) == 0;
    const std::string text = slurp(path, 1 << 20);
    const char* at = text.c_str();
    for (char* end = nullptr;; at = end) {
      const long pid = std::strtol(at, &end, 10);
      if (end == at) break;
      children.push_back(static_cast<pid_t>(pid));
    }
  });
  if (supported) return children;
  for (const pid_t pid : all_pids()) {  // a kernel without CONFIG_PROC_CHILDREN
    const auto stat = read_proc_stat(pid);
    if (stat && stat->parent == ::getpid()) children.push_back(pid);
  }
  return children;
}

const std::string& boot_id() {
  static const std::string id = [] {
    std::string text = slurp("/proc/sys/kernel/random/boot_id", 64);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }();
  return id;
}

Fd open_pidfd(pid_t pid) { return Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

void send_signal(const Fd& pidfd, pid_t pid, int signal) {
  if (pidfd && ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return;
  if (!pidfd && pid > 1) ::kill(pid, signal);
}

}  // namespace jobcast::engine
