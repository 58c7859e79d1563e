// Which ending means which reason, and what a retry makes of it.
#include "engine/attempt_outcome.h"

#include <csignal>
#include <cstring>

#include "base/json.h"
#include "base/text.h"
#include "jobcast/layout.h"

namespace jobcast::engine {
namespace {

// One line of a program's own words, fit for JSON and for a terminal.
std::string plain(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return to_utf8(text, kErrorBytesMax);
}

void judge_signal(Outcome& outcome, const Ending& ending, const KindConfig& kind) {
  outcome.exit_code = 128 + ending.signal;
  if (ending.out_of_memory && ending.signal == SIGKILL && ending.rung != CancelLadder::Rung::killing) {
    outcome.reason = Reason::oom;
    outcome.error = "killed by the kernel: out of memory";
  } else if (ending.signal == SIGXFSZ && kind.file_bytes_max > 0) {
    outcome.reason = Reason::output_limit;
    outcome.error = "wrote a file beyond file_bytes_max (" + std::to_string(kind.file_bytes_max) + " bytes)";
  } else {
    outcome.reason = Reason::signal;
    outcome.error = "killed by signal " + std::to_string(ending.signal) + " (" + ::strsignal(ending.signal) + ")";
    if (!ending.last_line.empty()) outcome.error += ": " + ending.last_line;
  }
}

void judge_exit(Outcome& outcome, const Ending& ending) {
  outcome.reason = Reason::exit;
  outcome.exit_code = ending.exit_code;
  if (ending.exit_code != 0) {
    outcome.error = ending.last_line.empty() ? "exit status " + std::to_string(ending.exit_code) : ending.last_line;
    return;
  }
  if (ending.rung >= CancelLadder::Rung::terminating) {  // many a program says 0 to TERM: that is no completion
    outcome.error = "stopped by TERM";
    return;
  }
  if (!ending.result.empty()) {
    const auto result = Json::parse(ending.result, {.depth_max = kValueDepthMax});
    if (!result) {
      const bool cut = ending.result.size() >= JOBCAST_RESULT_BYTES_MAX;  // the memory takes no more
      outcome.error = "the program's result is refused: " + (cut ? "longer than 512 KiB" : result.error().detail);
      return;
    }
    outcome.result_json = result->dump();
    if (outcome.result_json.size() > JOBCAST_RESULT_BYTES_MAX) {  // 1e9 is written out
      outcome.result_json.clear();
      outcome.error = "the program's result is refused: longer than 512 KiB";
      return;
    }
  }
  outcome.success = true;
}

}  // namespace

Outcome outcome_of(const Ending& ending, const KindConfig& kind) {
  Outcome outcome;
  if (ending.spawn_fault) {
    outcome.reason = Reason::spawn_error;
    outcome.error = ending.spawn_fault->text;
    // A program that the kind gives too little memory to be loaded fails for that at every start.
    outcome.lack = ending.spawn_fault->lack && kind.address_space_bytes_max == 0;
  } else if (ending.signal != 0) {
    judge_signal(outcome, ending, kind);
  } else {
    judge_exit(outcome, ending);
  }
  if (ending.asked_because == Reason::timeout && !ending.spawn_fault) {
    outcome.reason = Reason::timeout;
    outcome.error = "ran longer than timeout_ms (" + std::to_string(kind.timeout_ms) + " ms)";
  }
  outcome.error = plain(std::move(outcome.error));
  return outcome;
}

}  // namespace jobcast::engine
