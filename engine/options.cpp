// getopt_long, with errors in sentences.
#include "engine/options.h"

#include <getopt.h>

#include <array>

namespace jobcast::engine {
namespace {

struct LevelName {
  const char* name;
  log::Level level;
};
constexpr std::array<LevelName, 5> kLevels = {{{"error", log::Level::error},
                                               {"warning", log::Level::warning},
                                               {"notice", log::Level::notice},
                                               {"info", log::Level::info},
                                               {"debug", log::Level::debug}}};

Result<std::string> absolute(const char* option, const char* value) {
  if (value[0] != '/') return {Errc::invalid, std::string(option) + " wants an absolute path, not \"" + value + "\""};
  return std::string(value);
}

}  // namespace

const char* const kHelp = R"(usage: jobcastd [--config FILE] [--check-config] [--state-dir DIR] [--socket PATH] [--log-level LEVEL]

Runs jobs as processes, keeps them safe in a database and shows their progress to the jobcast plugin through shared memory.
It stays in the foreground and logs key=value lines to standard error: let systemd (or `jobcast demo`) start and restart it.

  --config FILE       the kinds of jobs, queues and limits; JSON with # comment lines (default /etc/jobcast/jobcastd.conf)
  --check-config      read and check the config, say what is wrong with it, and end
  --state-dir DIR     where the jobs are kept, made if missing (instead of the config's state_dir); one engine a directory
  --socket PATH       the control socket (instead of the config's socket)
  --log-level LEVEL   error, warning, notice (default), info or debug
  --version           print the version
  --help              this text

Ready when the control socket accepts; under systemd (Type=notify) it says READY=1, and WATCHDOG=1 from its loop
(WatchdogSec).

Signals: TERM or INT stop it cleanly: running jobs are asked to end, then terminated, and go back into their queues or fail,
as on_stop of their kind says; ten seconds at most, at once if asked twice. HUP is ignored: restart the engine to apply a changed config, jobs
and clients survive that. After a kill -9 nothing is lost: start it again.

Exit status: 0 after a clean stop, 1 when something failed, 2 when a person must mend something: the command line,
the config, or a database that lacks what was acknowledged (docs/durability.md).

An example: a config with one kind, then a job.
  { "kinds": { "hello": { "argv": ["/bin/echo", "hello"], "progress": "none" } } }
  jobcastd --config ./hello.conf --state-dir /tmp/jobs --socket /tmp/jobs/engine.sock
  jobcast --socket /tmp/jobs/engine.sock submit hello
)";

Result<Options> parse_options(int argc, char** argv) {
  enum : int { kConfig = 1, kCheck, kState, kSocket, kLevel, kVersion, kHelpAsked };
  const option options[] = {{"config", required_argument, nullptr, kConfig},   {"check-config", no_argument, nullptr, kCheck},
                            {"state-dir", required_argument, nullptr, kState}, {"socket", required_argument, nullptr, kSocket},
                            {"log-level", required_argument, nullptr, kLevel}, {"version", no_argument, nullptr, kVersion},
                            {"help", no_argument, nullptr, kHelpAsked},        {nullptr, 0, nullptr, 0}};
  Options out;
  opterr = 0;
  optind = 1;
  for (int found = 0; (found = getopt_long(argc, argv, "+:h", options, nullptr)) != -1;) {
    switch (found) {
      case kConfig: out.config = optarg; break;
      case kCheck: out.check_config = true; break;
      case kState:
      case kSocket: {
        auto path = absolute(found == kState ? "--state-dir" : "--socket", optarg);
        if (!path) return path.error();
        (found == kState ? out.state_dir : out.socket) = std::move(*path);
        break;
      }
      case kLevel: {
        bool known = false;
        for (const auto& level : kLevels)
          if (std::string_view(level.name) == optarg) {
            out.log_level = level.level;
            known = true;
          }
        if (!known)
          return {Errc::invalid, std::string("--log-level must be error, warning, notice, info or debug, not \"") + optarg + "\""};
        break;
      }
      case kVersion: out.version = true; break;
      case kHelpAsked:
      case 'h': out.help = true; break;
      case ':': return {Errc::invalid, std::string(argv[optind - 1]) + " wants a value"};
      default: return {Errc::invalid, std::string("unknown option ") + argv[optind - 1]};
    }
  }
  if (optind < argc) return {Errc::invalid, std::string("unexpected argument \"") + argv[optind] + "\""};
  return out;
}

}  // namespace jobcast::engine
