// One job as one line: a progress bar with rate, ETA and phase for a terminal, plain words for a file. Pure; time is a parameter.
#pragma once

#include <cstdint>
#include <string>

#include "engine/cli/job_view.h"
#include "engine/cli/output.h"

namespace jobcast::cli {

struct Moment {
  int64_t unix_ms = 0;  // now
  int64_t seen_ms = 0;  // when the snapshot was taken in, same clock
  bool stale = false;   // the engine is away: what is shown is the last that was heard
};

// What stands in front: the kind, and the id's last eight characters where several jobs are watched.
[[nodiscard]] std::string label_of(const JobView& job, bool with_id, bool utf8);

// Fits into look.columns - 1 columns, whatever they are; the parts that matter least go first. `label` is printable.
[[nodiscard]] std::string bar_line(const JobView& job, const std::string& label, const Look& look, const Moment& at);

// The same in words, for output that is no terminal: "plo-equity running 24.0% 1200/5000 400/s ETA 9.5 s flop".
[[nodiscard]] std::string plain_line(const JobView& job, const std::string& label, const Look& look, const Moment& at);

// The bar alone: `columns` wide, `fraction` from 0 to 1; eighths of a block in UTF-8, '#' and '-' in ASCII.
[[nodiscard]] std::string bar(double fraction, int columns, const Look& look);
// The same where the total is unknown: a mark that travels with `tick`.
[[nodiscard]] std::string roaming_bar(int64_t tick, int columns, const Look& look);

// How it ended or what it waits for, in a sentence: "failed after 3.2 s: exit code 3: no such card".
[[nodiscard]] std::string state_text(const JobView& job, int64_t unix_ms);

}  // namespace jobcast::cli
