// check-config: would the engine, or a host, start with this config?
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "engine/cli/demo_files.h"
#include "engine/cli/output.h"
#include "engine/config.h"
#include "engine/peers.h"

namespace jobcast::cli {
namespace {

// lwsws has a directory of files, or one file with "global" or "vhosts" in it; anything else is meant for the engine.
bool is_hosts(const std::string& path) {
  struct stat what = {};
  if (stat(path.c_str(), &what) == 0 && S_ISDIR(what.st_mode)) return true;
  const auto text = read_json_file(path);
  return text && (text->view().get("vhosts").exists() || text->view().get("global").exists());
}

// The host checks its own: only it and the plugin know their options. Its words go to standard error.
Result<void> check_hosts(const std::string& path) {
  auto host = find_program("jobcast-host");
  if (!host) return host.error();
  std::string check = "--check-config", config = "--config", file = path;
  char* argv[] = {host->data(), config.data(), file.data(), check.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  pid_t child = -1;
  const int fault = posix_spawn(&child, argv[0], &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (fault != 0 || waitpid(child, &status, 0) != child) return {Errc::internal, *host + " could not be run"};
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  return {Errc::invalid, path + ": jobcast-host refuses it"};
}

Result<void> check_engines(const std::string& path) {
  const auto config = engine::check_config(path);
  if (!config) return config.error();
  const auto peers = engine::Peers::create(config->control_users, config->control_groups);
  if (!peers) return peers.error();
  return {};
}

Exit run(const Invocation& invocation) {
  Exit exit = Exit::ok;
  for (const std::string& path : invocation.operands) {
    const bool hosts = is_hosts(path);
    const Result<void> checked = hosts ? check_hosts(path) : check_engines(path);
    const char* whose = hosts ? "host" : "engine";
    if (invocation.json()) {
      Json out = Json::object();
      out.set("file", path).set("of", whose).set("ok", checked.ok());
      if (!checked) out.set("error", checked.error().detail).set("field", checked.error().field);
      print(out.dump() + "\n");
    } else if (checked) {
      print(path + ": a good config of the " + whose + "\n");
    } else {
      note(printable(checked.error().detail, true));
    }
    if (!checked) exit = Exit::error;
  }
  return exit;
}

constexpr Example kExamples[] = {
    {"check-config /etc/jobcast/jobcastd.conf", "the engine's file"},
    {"check-config /etc/lwsws", "a host's directory, or one of its files"},
};

}  // namespace

extern const Command check_config_command{.name = "check-config",
                                          .operands = "FILE [FILE...]",
                                          .operands_min = 1,
                                          .operands_max = 64,
                                          .summary = "check the config of the engine or of a host",
                                          .text =
                                              "Checks configs as their programs would at their start and names the fault and its\n"
                                              "remedy: of the engine (jobcastd) or, in lwsws's format, of a host. Exits with 1 when\n"
                                              "one of them is not good.",
                                          .examples = kExamples,
                                          .options = {},
                                          .speaks_to_engine = false,
                                          .run = run};

}  // namespace jobcast::cli
