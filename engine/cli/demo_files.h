// Where a demo keeps its things, and the making of them. Main thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/handle.h"
#include "base/json.h"
#include "base/result.h"

namespace jobcast::cli {

struct DemoFiles {
  std::string dir;  // the state directory; absolute where a demo runs

  [[nodiscard]] std::string socket() const { return dir + "/engine.sock"; }
  [[nodiscard]] std::string key() const { return dir + "/hs256.key"; }
  [[nodiscard]] std::string engine_config() const { return dir + "/engine.json"; }
  [[nodiscard]] std::string engine_state() const { return dir + "/engine"; }
  [[nodiscard]] std::string host_config() const { return dir + "/host"; }  // a directory, as lwsws has it
  [[nodiscard]] std::string login_dir() const { return dir + "/login"; }   // what the host serves as /demo
  [[nodiscard]] std::string lock() const { return dir + "/demo.lock"; }
};

// The programs and directories of this build or installation.
struct DemoPrograms {
  std::string engine, host, plo_equity;  // programs
  std::string plugin_dir, client_dir;
};
// One that stands beside this program. Errors: not_found.
[[nodiscard]] Result<std::string> find_program(const std::string& name);
// Beside this program first, then in the installation's places. Errors: not_found, naming what is missing and where it was sought.
[[nodiscard]] Result<DemoPrograms> find_programs();

// A state directory that is this demo's alone while `lock` lives.
struct DemoDirectory {
  DemoFiles files;
  Fd lock;
  bool made = false;  // by this call: empty before
};
// "" makes a temporary one. Errors: invalid (not a demo's directory, its path too long for a socket), retry (another demo runs on it),
// internal.
[[nodiscard]] Result<DemoDirectory> claim_directory(const std::string& wanted);

// The engine that still holds the state directory: that of a killed demo takes its time to end.
[[nodiscard]] std::optional<pid_t> engine_left_behind(const DemoFiles& files);

// Writes what a start needs: the key (0600, kept when it is there) and both configs. `kinds`: further ones, an object by name, or absent.
[[nodiscard]] Result<void> write_configs(const DemoFiles& files, const DemoPrograms& programs, uint16_t port, JsonView kinds);

// Lets the host serve what anybody may read of the page's token, its header and claims, and returns the secret rest, its signature: that
// alone stands in the address, which so fits a line (docs/decisions/0017).
[[nodiscard]] Result<std::string> write_login(const DemoFiles& files, const std::string& token);

}  // namespace jobcast::cli
