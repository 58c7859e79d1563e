// From how a process ended to what people are told of it. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/cancel_ladder.h"
#include "engine/config.h"
#include "engine/launcher.h"
#include "engine/spawn.h"

namespace jobcast::engine {

struct Ending {
  std::optional<SpawnFault> spawn_fault;  // the program never ran
  int exit_code = 0;                      // of a process that exited
  int signal = 0;                         // that ended it, or 0
  CancelLadder::Rung rung = CancelLadder::Rung::running;
  Reason asked_because = Reason::none;  // user, timeout: what brought the ladder up
  bool out_of_memory = false;           // the kernel's OOM killer was at work in its control group meanwhile
  std::string last_line;                // of stderr
  std::string result;                   // what lies in the result's memory, whatever it is
};

[[nodiscard]] Outcome outcome_of(const Ending& ending, const KindConfig& kind);

}  // namespace jobcast::engine
