// The way from a command to its engine: which socket, and errors in words that help. Main thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "engine/cli/command.h"
#include "ipc/control_client.h"

namespace jobcast::cli {

// --socket, else the socket of --state-dir's demo, else $JOBCAST_SOCKET, else the installed engine's.
[[nodiscard]] std::string socket_path(const Invocation& invocation);

// Errors: closed (nobody answers there, with the remedy), unauthorized (the socket's mode), invalid (its path).
[[nodiscard]] Result<ControlClient> connect_engine(const std::string& socket);

// The result of one call over a connection of its own: JSON text, as the engine wrote it.
[[nodiscard]] Result<std::string> call_engine(const Invocation& invocation, std::string_view method, const Json& params);

// The same, told: as it is with --json, in the words of `tell` without. The command's end.
[[nodiscard]] Exit tell_engine(const Invocation& invocation, std::string_view method, const Json& params,
                               const std::function<Exit(JsonView)>& tell);

// A job id as it stands on a command line. Errors: invalid.
[[nodiscard]] Result<JobId> read_job_id(std::string_view text);

// Who runs this command: the name of the effective user, or its number.
[[nodiscard]] std::string login_name();

// Waits between attempts to reach an engine that went away: 100 ms, doubling up to 2 s, until the patience is over.
class Reconnection {
 public:
  explicit Reconnection(int64_t patience_ms) : patience_ms_(patience_ms) {}
  void lost(int64_t mono_ms) { lost_at_ms_ = due_ms_ = mono_ms, delay_ms_ = 100; }
  void failed(int64_t mono_ms) {
    due_ms_ = mono_ms + delay_ms_;
    delay_ms_ = delay_ms_ < 1000 ? delay_ms_ * 2 : 2000;
  }
  [[nodiscard]] int64_t due_ms() const { return due_ms_; }  // of the next attempt
  [[nodiscard]] bool over(int64_t mono_ms) const { return mono_ms - lost_at_ms_ >= patience_ms_; }

 private:
  int64_t patience_ms_, lost_at_ms_ = 0, due_ms_ = 0, delay_ms_ = 100;
};

}  // namespace jobcast::cli
