// signalfd, and the mask that was there before.
#include "engine/cli/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace jobcast::cli {

Signals::Signals(std::initializer_list<int> wanted) {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : wanted) sigaddset(&mask, signal);
  sigprocmask(SIG_BLOCK, &mask, &before_);
  fd_.reset(signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK));
}

Signals::~Signals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }

std::optional<int> Signals::next() {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof info) != sizeof info) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

}  // namespace jobcast::cli
