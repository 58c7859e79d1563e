// How the command ends. One table for the code, --help, the man page and the test.
#pragma once

#include <array>

#include "base/result.h"
#include "ipc/region.h"

namespace jobcast::cli {

enum class Exit : int {
  ok = 0,
  error = 1,
  usage = 2,
  failed = 3,
  cancelled = 4,
  not_found = 5,
  unreachable = 6,
  refused = 7,
  busy = 8,
  interrupted = 130,
  terminated = 143,
};

struct ExitText {
  Exit code;
  const char* meaning;
};

inline constexpr std::array<ExitText, 11> kExits{{
    {Exit::ok, "done; with a job to watch: it completed"},
    {Exit::error, "something else went wrong, as standard error says; a file that was checked has a fault"},
    {Exit::usage, "the command line, or what it submits, is wrong"},
    {Exit::failed, "the job failed"},
    {Exit::cancelled, "the job was cancelled"},
    {Exit::not_found, "there is no such job, or not for this owner"},
    {Exit::unreachable, "the engine cannot be reached"},
    {Exit::refused, "this user may not do that"},
    {Exit::busy, "a limit is reached or the engine is draining: the same command may succeed later"},
    {Exit::interrupted, "interrupted (SIGINT); a watched job runs on"},
    {Exit::terminated, "terminated (SIGTERM, SIGHUP); a watched job runs on"},
}};

[[nodiscard]] constexpr Exit exit_of(Errc code) {
  switch (code) {
    case Errc::invalid: return Exit::usage;
    case Errc::unauthorized: return Exit::refused;
    case Errc::not_found: return Exit::not_found;
    case Errc::full:
    case Errc::retry: return Exit::busy;
    case Errc::closed: return Exit::unreachable;
    case Errc::corrupt:
    case Errc::internal: return Exit::error;
  }
  return Exit::error;
}

// Of a watched job. Precondition: a terminal state.
[[nodiscard]] constexpr Exit exit_of(JobState state) {
  switch (state) {
    case JobState::completed: return Exit::ok;
    case JobState::cancelled: return Exit::cancelled;
    case JobState::failed:
    case JobState::scheduled:
    case JobState::queued:
    case JobState::running:
    case JobState::retrying: return Exit::failed;
  }
  return Exit::failed;
}

// Several jobs end as the worst of them: failed before cancelled before completed.
[[nodiscard]] constexpr Exit worse(Exit a, Exit b) {
  const auto rank = [](Exit code) { return code == Exit::ok ? 0 : code == Exit::cancelled ? 1 : code == Exit::failed ? 2 : 3; };
  return rank(b) > rank(a) ? b : a;
}

}  // namespace jobcast::cli
