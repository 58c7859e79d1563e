// Starts a process, reads its first line, and starts it again when it ends.
#include "engine/cli/part.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace jobcast::cli {
namespace {

constexpr size_t kLineBytesMax = 65'536;

// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(char* const* argv, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);  // the demo died before the line above
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  if (null > STDERR_FILENO) close(null);
  execv(argv[0], argv);
  const char* reason = strerror(errno);
  for (const char* text : {"jobcast: ", static_cast<const char*>(argv[0]), ": ", reason, "\n"})
    if (write(STDERR_FILENO, text, strlen(text)) < 0) break;
  _exit(127);
}

}  // namespace

Result<void> Part::start(int64_t mono_ms) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return {Errc::internal, std::string("pipe: ") + strerror(errno)};
  output_.reset(ends[0]);
  const Fd theirs(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  partial_.clear();
  std::vector<char*> argv;
  for (std::string& word : argv_) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) return {Errc::internal, std::string("fork: ") + strerror(errno)};
  if (child == 0) become(argv.data(), theirs.get(), parent);
  setpgid(child, child);  // here too, so that it holds before the next signal is sent
  pid_ = child;
  running_ = true;
  ready_ = false;
  started_ms_ = mono_ms;
  due_ms_.reset();
  return {};
}

void Part::ended(int64_t mono_ms) {
  // What the dead part left of its group goes too, as under systemd: a child that still holds the port would keep its successor out. A
  // group's number is not given anew while it has members; without any this finds nobody.
  signal(SIGKILL);
  running_ = ready_ = false;
  output_.reset();
  const auto delay_ms = policy_.died(mono_ms);
  due_ms_ = delay_ms ? std::optional(mono_ms + *delay_ms) : std::nullopt;
}

void Part::became_ready(int64_t mono_ms) {
  ready_ = true;
  policy_.ready(mono_ms);
}

void Part::signal(int number) const {
  if (running_) kill(-pid_, number);
}

std::vector<std::string> Part::read_lines() {
  std::vector<std::string> lines;
  std::array<char, 4096> chunk{};
  const ssize_t got = read(output_.get(), chunk.data(), chunk.size());
  if (got == 0) output_.reset();
  if (got <= 0) return lines;
  partial_.append(chunk.data(), static_cast<size_t>(got));
  for (size_t end = partial_.find('\n'); end != std::string::npos; end = partial_.find('\n')) {
    lines.push_back(partial_.substr(0, end));
    partial_.erase(0, end + 1);
  }
  if (partial_.size() > kLineBytesMax) partial_.clear();
  return lines;
}

std::string status_text(int status) {
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  const char* words = sigdescr_np(WTERMSIG(status));
  return "signal " + std::to_string(WTERMSIG(status)) + (words ? std::string(" (") + words + ")" : "");
}

}  // namespace jobcast::cli
