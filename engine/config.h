// The engine's config file, read and checked before anything is used. docs/configuration.md lists every key. Any thread; immutable.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fault.h"

namespace jobcast::engine {

enum class ProgressSource : uint8_t { none, worker, pv };  // worker.h's latch; an integer percentage a line on stderr (`pv -n`)

// What becomes of a running job when the engine is told to stop (docs/configuration.md).
enum class OnStop : uint8_t { by_attempts, requeue, fail, resume };

struct KindConfig {
  std::string name;
  std::vector<std::string> argv;            // argv[0] absolute and executable when checked
  std::vector<std::string> argv_from_args;  // members of args appended as single argv elements, in this order
  bool argv_dash = false;                   // those may begin with "-"
  std::string queue = "default";
  ProgressSource progress = ProgressSource::worker;
  int64_t timeout_ms = 0;      // of one attempt; 0: none
  int64_t grace_ms = 5000;     // from TERM to KILL
  int64_t cancel_ms = 1000;    // from a cancel request to TERM, for a worker that has not acknowledged it
  int max_attempts = 1;        // default for a submit
  int max_attempts_limit = 1;  // what a submit may ask for; max_attempts where the file is silent
  OnStop on_stop = OnStop::by_attempts;
  int64_t retry_initial_ms = 1000, retry_max_ms = 60'000;
  double retry_multiplier = 2.0, retry_jitter = 0.2;  // delay = initial × multiplier^(n-1), capped, ± jitter
  std::vector<std::string> env_allow;                 // copied from the engine's own environment
  std::map<std::string, std::string> env_set;
  std::string working_dir = "/";
  unsigned threads = 1;  // JOBCAST_THREADS; 0 in the file: all processors
  int64_t log_bytes_max = 1 << 20;
  int64_t log_bytes_per_second_max = 1 << 20;
  int64_t address_space_bytes_max = 0;  // rlimits; 0: not set
  int64_t file_bytes_max = 0;
  int64_t open_files_max = 256;
};

struct QueueConfig {
  std::string name;
  int concurrency = 1;                     // 1 … 1024
  int64_t waiting_max = 100'000;           // a submit above it is refused: full
  int64_t waiting_per_owner_max = 10'000;  // likewise, of one owner
};

struct Config {
  std::string socket = "/run/jobcast/engine.sock";
  std::string state_dir = "/var/lib/jobcast";
  std::vector<std::string> control_users, control_groups;
  int control_connections_max = 64;
  int64_t progress_interval_ms = 50;  // 1 … 60,000
  uint32_t ring_bytes = 2 << 20, slots = 480, readers_max = 16;
  int64_t retain_count = 10'000;  // terminal jobs kept
  int64_t retain_ms = 7LL * 24 * 3600 * 1000;
  std::map<std::string, QueueConfig> queues;  // "default" always exists
  std::map<std::string, KindConfig> kinds;
};

// What the command line says instead of the file.
struct GivenPaths {
  std::optional<std::string> socket, state_dir;
};

// Reads and checks the file and what it names outside of itself: programs, directories, users, groups. Every fault goes into `faults`,
// with its place and its remedy; the config may be used unless one of them is fatal. A program or a directory that is not there is an
// error for whoever wrote the file (`check-config`), but keeps no engine from starting.
[[nodiscard]] Config read_config(const std::string& path, Faults& faults, const GivenPaths& given = {});

}  // namespace jobcast::engine
