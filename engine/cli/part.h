// One process that the demo keeps alive: the engine or the host. Main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/handle.h"
#include "base/result.h"
#include "engine/cli/restart_policy.h"

namespace jobcast::cli {

class Part {
 public:
  Part(std::string name, std::vector<std::string> argv) : name_(std::move(name)), argv_(std::move(argv)) {}

  // In a process group of its own (a Ctrl-C is the demo's alone), and TERMed by the kernel should the demo vanish. Errors: internal.
  [[nodiscard]] Result<void> start(int64_t mono_ms);
  // What waitpid() said of it. Afterwards it is not running, and due() says when to start it again.
  void ended(int64_t mono_ms);
  void became_ready(int64_t mono_ms);
  void signal(int number) const;  // to its whole group

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] pid_t pid() const { return pid_; }  // of the present or the last process
  [[nodiscard]] bool running() const { return running_; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] int64_t started_ms() const { return started_ms_; }
  [[nodiscard]] std::optional<int64_t> due() const { return due_ms_; }  // mono_ms; nullopt: given up

  // Its standard output: whole lines as they come. Read when output() is readable; -1 when it is closed.
  [[nodiscard]] int output() const { return output_.get(); }
  [[nodiscard]] std::vector<std::string> read_lines();

 private:
  std::string name_;
  std::vector<std::string> argv_;
  pid_t pid_ = -1;
  bool running_ = false, ready_ = false;
  int64_t started_ms_ = 0;
  std::optional<int64_t> due_ms_;
  RestartPolicy policy_;
  Fd output_;
  std::string partial_;
};

// "exit code 2", "signal 9 (Killed)": waitpid()'s status for people.
[[nodiscard]] std::string status_text(int status);

}  // namespace jobcast::cli
