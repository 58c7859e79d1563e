// Signals as a descriptor: blocked while this lives, read in the loop, so that no handler interrupts anything. Main thread, one at a time.
#pragma once

#include <csignal>
#include <initializer_list>
#include <optional>

#include "base/handle.h"
#include "engine/cli/exit.h"

namespace jobcast::cli {

class Signals {
 public:
  explicit Signals(std::initializer_list<int> wanted);
  ~Signals();  // what came and was not read is delivered now
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::optional<int> next();  // nullopt: none waits

 private:
  Fd fd_;
  sigset_t before_{};
};

// What SIGINT, SIGTERM or SIGHUP ends a command with.
[[nodiscard]] constexpr Exit exit_of_signal(int signal) { return signal == SIGINT ? Exit::interrupted : Exit::terminated; }

}  // namespace jobcast::cli
