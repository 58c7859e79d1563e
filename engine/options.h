// jobcastd's command line. Start of main.
#pragma once

#include <optional>
#include <string>

#include "base/log.h"
#include "base/result.h"

namespace jobcast::engine {

struct Options {
  std::string config = "/etc/jobcast/jobcastd.conf";
  std::optional<std::string> state_dir, socket;  // instead of the config's
  log::Level log_level = log::Level::notice;
  bool check_config = false, version = false, help = false;
};

// Errors: invalid, in words for the person who typed it.
[[nodiscard]] Result<Options> parse_options(int argc, char** argv);

extern const char* const kHelp;

}  // namespace jobcast::engine
