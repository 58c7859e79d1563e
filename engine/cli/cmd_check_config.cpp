// check-config: would the engine, and a host, start with these configs, and do they fit each other?
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/config_file.h"
#include "base/json.h"
#include "engine/cli/demo_files.h"
#include "engine/cli/output.h"
#include "engine/config.h"

namespace jobcast::cli {
namespace {

constexpr const char* kUsualConfigs[] = {"/etc/jobcast/jobcastd.conf", "/etc/lwsws"};
constexpr size_t kAnswerBytesMax = 4 << 20;

struct Checked {
  std::string path;
  bool of_host = false;
  bool ok = false;
  Faults faults;
  std::vector<std::string> engines;  // the sockets at which a host calls its engines; the one at which an engine listens
};

// lwsws has a directory of files, or one file with "global" or "vhosts" in it; anything else is meant for the engine.
bool is_hosts(const std::string& path) {
  struct stat what = {};
  if (stat(path.c_str(), &what) == 0 && S_ISDIR(what.st_mode)) return true;
  Faults ignored;
  const ConfigFile file(path, ignored);
  return file.view().get("vhosts").exists() || file.view().get("global").exists();
}

Fault read_fault(JsonView json) {
  const auto text = [&](const char* key) { return std::string(json.get(key).string().value_or("")); };
  const auto number = [&](const char* key) { return static_cast<int>(json.get(key).integer().value_or(0)); };
  return {text("severity") == "warning" ? Severity::warning : Severity::error,
          text("file"),
          number("line"),
          number("column"),
          text("key"),
          text("problem")};
}

Checked unchecked(Checked checked, std::string problem) {
  checked.faults.add({Severity::fatal, checked.path, 0, 0, "", std::move(problem)});
  return checked;
}

// The host checks its own: only it and the plugin know their options.
Checked check_hosts(const std::string& path) {
  Checked checked{path, true, false, {}, {}};
  auto host = find_program("jobcast-host");
  if (!host) return unchecked(std::move(checked), host.error().detail);
  std::string check = "--check-config", json = "--json", config = "--config", file = path;
  char* argv[] = {host->data(), config.data(), file.data(), check.data(), json.data(), nullptr};
  int ends[2] = {-1, -1};
  if (pipe2(ends, O_CLOEXEC) != 0) return unchecked(std::move(checked), "no pipe to jobcast-host");
  const Fd in(ends[0]);
  Fd out(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  pid_t child = -1;
  const int fault = posix_spawn(&child, argv[0], &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  out.reset();
  const auto answer = fault == 0 ? read_all(in.get(), kAnswerBytesMax) : Result<std::string>(Errc::internal, "it could not be started");
  int status = 0;
  if (fault == 0) (void)waitpid(child, &status, 0);
  const auto told = answer ? Json::parse(*answer, {.bytes_max = kAnswerBytesMax}) : Result<Json>(answer.error());
  if (!told || !told->view().get("faults").is_array())
    return unchecked(std::move(checked), *host + " did not check it" + (WIFSIGNALED(status) ? ": it was killed" : ""));
  checked.ok = told->view().get("ok").boolean().value_or(false);
  for (JsonView one = told->view().get("faults").first(); one.exists(); one = one.next()) checked.faults.add(read_fault(one));
  for (JsonView one = told->view().get("engines").first(); one.exists(); one = one.next())
    checked.engines.emplace_back(one.string().value_or(""));
  return checked;
}

Checked check_engines(const std::string& path) {
  Faults faults;
  const engine::Config config = engine::read_config(path, faults);
  const bool ok = !faults.bad();
  return {path, false, ok, std::move(faults), {config.socket}};
}

// A host that calls where no engine of the same command line listens waits for ever.
void compare(std::vector<Checked>& all) {
  std::vector<std::string> listening;
  std::string shown;
  for (const Checked& one : all)
    if (!one.of_host)
      for (const std::string& socket : one.engines) {
        shown += (shown.empty() ? "" : ", ") + socket;
        listening.push_back(socket);
      }
  if (listening.empty()) return;
  for (Checked& host : all)
    for (const std::string& socket : host.engines) {
      if (!host.of_host || std::ranges::find(listening, socket) != listening.end()) continue;
      host.ok = false;
      host.faults.add({Severity::error, host.path, 0, 0, "engine",
                       "of the plugin is " + socket + ", but the engine's \"socket\" is " + shown + ": make them the same"});
    }
}

void tell_people(const Checked& checked) {
  const bool colour = colourful(STDERR_FILENO);
  for (Fault fault : checked.faults.list()) {
    for (std::string* text : {&fault.file, &fault.key, &fault.problem}) *text = printable(*text, true);
    note(fault.text(colour));
  }
  if (checked.ok) print(printable(checked.path, true) + ": a good config of the " + (checked.of_host ? "host" : "engine") + "\n");
}

void tell_programs(const Checked& checked) {
  Json out = Json::object();
  out.set("file", checked.path).set("of", checked.of_host ? "host" : "engine").set("ok", checked.ok);
  out.set("faults", checked.faults.json());
  print(out.dump() + "\n");
}

std::vector<std::string> usual_configs() {
  std::vector<std::string> paths;
  for (const char* path : kUsualConfigs)
    if (access(path, F_OK) == 0) paths.emplace_back(path);
  return paths;
}

Exit run(const Invocation& invocation) {
  const auto paths = invocation.operands.empty() ? usual_configs() : invocation.operands;
  if (paths.empty())
    return complain(invocation,
                    {Errc::invalid, "neither /etc/jobcast/jobcastd.conf nor /etc/lwsws exists: name the files to check", "FILE"});
  std::vector<Checked> all;
  for (const std::string& path : paths) all.push_back(is_hosts(path) ? check_hosts(path) : check_engines(path));
  compare(all);
  for (const Checked& one : all) invocation.json() ? tell_programs(one) : tell_people(one);
  return std::ranges::all_of(all, &Checked::ok) ? Exit::ok : Exit::error;
}

constexpr Example kExamples[] = {
    {"check-config", "whatever stands in /etc/jobcast and /etc/lwsws, and whether it fits together"},
    {"check-config /etc/jobcast/jobcastd.conf", "the engine's file"},
    {"check-config ./jobcastd.conf ./lwsws", "an engine's file and a host's directory, which must name the same socket"},
};

}  // namespace

extern const Command check_config_command{.name = "check-config",
                                          .operands = "[FILE...]",
                                          .operands_min = 0,
                                          .operands_max = 64,
                                          .summary = "check the config of the engine or of a host",
                                          .text =
                                              "Checks configs as their programs would at their start, and what they name outside\n"
                                              "of themselves: of the engine (jobcastd) or, in lwsws's format, of a host. Every\n"
                                              "fault is told on standard error with its file, line, column, key and remedy.\n"
                                              "Exits with 1 when one of them is not good; warnings alone are good.\n"
                                              "\n"
                                              "With --json one line for each FILE: {\"file\",\"of\",\"ok\",\"faults\":[{\"severity\",\n"
                                              "\"file\",\"line\",\"column\",\"key\",\"problem\"}]}.",
                                          .examples = kExamples,
                                          .options = {},
                                          .speaks_to_engine = false,
                                          .run = run};

}  // namespace jobcast::cli
