// Every key with its range, and what it names on this machine.
#include "engine/config.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <string>

#include "base/config_file.h"
#include "base/fields.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/peers.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kDayMs = 24LL * 3600 * 1000;
constexpr int64_t kYearMs = 365 * kDayMs;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") == std::string_view::npos;
}

bool is_environment_name(std::string_view text) {
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') &&
         text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

bool is_ours(std::string_view variable) { return variable.starts_with("JOBCAST_"); }

std::string absolute_path(Fields& in, const char* key, std::string_view fallback) {
  std::string path = in.string(key, fallback);
  if (!path.starts_with('/')) in.fail(key, "must be an absolute path, not \"" + path + "\"");
  return path;
}

unsigned processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

// A program or a directory that is not there keeps no engine from starting: it may come and go while the engine runs.
// "/bin/sh -c x" as one string is the path of nothing.
std::string arguments_meant(const std::string& program) {
  const size_t blank = program.find(' ');
  if (blank == std::string::npos || access(program.substr(0, blank).c_str(), X_OK) != 0) return "";
  return " (arguments are strings of their own: \"" + program.substr(0, blank) + "\", \"…\")";
}

// What the first line of a script names; "" of what is no script.
std::string interpreter_of(const std::string& program) {
  std::ifstream file(program, std::ios::binary);
  std::string line;
  if (file.get() != '#' || file.get() != '!' || !std::getline(file, line)) return "";
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  return line.substr(begin, std::min(line.find_first_of(" \t", begin), line.size()) - begin);
}

void check_program(Fields& in, const std::vector<std::string>& argv) {
  if (argv.empty()) return in.fail("argv", "is required: the program's absolute path, then its arguments");
  const std::string& program = argv.front();
  struct stat info = {};
  if (!program.starts_with('/'))
    in.fail("argv", "must begin with an absolute path, not \"" + program + "\" (no shell and no PATH is asked)");
  else if (stat(program.c_str(), &info) != 0)
    in.fail("argv", "names a program that does not exist: " + program + arguments_meant(program), Severity::error);
  else if (S_ISDIR(info.st_mode))
    in.fail("argv", "names a directory: " + program + " (name the program in it)", Severity::error);
  else if (!S_ISREG(info.st_mode) || access(program.c_str(), X_OK) != 0)
    in.fail("argv", "names what cannot be executed: " + program + " (chmod +x, and mind the user that the engine runs as)",
            Severity::error);
  else if (const std::string interpreter = interpreter_of(program); !interpreter.empty() && access(interpreter.c_str(), X_OK) != 0)
    in.fail("argv",
            "names a script whose first line asks for " + printable(interpreter) + ", which does not exist: " + program +
                (interpreter.ends_with('\r') ? " (its lines end in CR LF: sed -i 's/\\r$//' mends it)" : ""),
            Severity::error);
}

void read_environment(Fields& in, KindConfig& kind) {
  kind.env_allow = in.strings("env_allow", 256, 256);
  for (const std::string& name : kind.env_allow) {
    if (!is_environment_name(name)) in.fail("env_allow", "holds \"" + name + "\", which is no name of a variable");
    if (is_ours(name)) in.fail("env_allow", "holds \"" + name + "\": names in JOBCAST_ are the engine's own");
  }
  const JsonView set = in.object("env_set");
  for (JsonView member = set.first(); member.exists(); member = member.next()) {
    const std::string name(member.key());
    const auto value = member.string();
    if (!is_environment_name(name)) in.fail("env_set", member, "holds \"" + name + "\", which is no name of a variable");
    if (is_ours(name)) in.fail("env_set", member, "holds \"" + name + "\": names in JOBCAST_ are the engine's own");
    if (!value) in.fail("env_set", member, "must hold strings; " + name + " is of type " + member.type_name());
    if (value) kind.env_set.emplace(name, *value);
  }
}

void read_attempts(Fields& in, KindConfig& kind) {
  kind.max_attempts = static_cast<int>(in.integer("max_attempts", kind.max_attempts, 1, 25));
  kind.max_attempts_limit = static_cast<int>(in.integer("max_attempts_limit", kind.max_attempts, 1, 25));
  if (kind.max_attempts_limit < kind.max_attempts) in.fail("max_attempts_limit", "is below max_attempts: raise it, or leave it out");
  const std::string on_stop = in.has("on_stop") ? in.choice("on_stop", "", {"requeue", "fail", "resume"}) : "";
  if (!on_stop.empty()) kind.on_stop = on_stop == "requeue" ? OnStop::requeue : on_stop == "fail" ? OnStop::fail : OnStop::resume;
  kind.retry_initial_ms = in.integer("retry_initial_ms", kind.retry_initial_ms, 0, kDayMs);
  kind.retry_max_ms = in.integer("retry_max_ms", std::max(kind.retry_max_ms, kind.retry_initial_ms), 0, 7 * kDayMs);
  if (kind.retry_max_ms < kind.retry_initial_ms) in.fail("retry_max_ms", "is below retry_initial_ms: raise it, or leave it out");
  kind.retry_multiplier = in.number("retry_multiplier", kind.retry_multiplier, 1, 100);
  kind.retry_jitter = in.number("retry_jitter", kind.retry_jitter, 0, 1);
}

KindConfig read_kind(const std::string& name, JsonView object, ConfigFile& file, const std::map<std::string, QueueConfig>& queues) {
  KindConfig kind;
  kind.name = name;
  Fields in(object, "kinds." + name, &file);
  kind.argv = in.strings("argv", 256);
  check_program(in, kind.argv);
  kind.argv_from_args = in.strings("argv_from_args", 64, 128);
  kind.argv_dash = in.boolean("argv_dash", kind.argv_dash);
  kind.queue = in.string("queue", kind.queue, 64);
  if (!queues.contains(kind.queue)) {
    std::string known;
    for (const auto& [queue, _] : queues) (known += known.empty() ? "" : ", ") += queue;
    in.fail("queue", "\"" + kind.queue + "\" is not among the queues of this file (" + known + "): add it to them");
  }
  const std::string progress = in.choice("progress", "worker", {"none", "worker", "pv"});
  kind.progress = progress == "none" ? ProgressSource::none : progress == "pv" ? ProgressSource::pv : ProgressSource::worker;
  kind.timeout_ms = in.integer("timeout_ms", kind.timeout_ms, 0, kYearMs);
  kind.grace_ms = in.integer("grace_ms", kind.grace_ms, 0, 3'600'000);
  kind.cancel_ms = in.integer("cancel_ms", kind.cancel_ms, 0, 3'600'000);
  read_attempts(in, kind);
  read_environment(in, kind);
  kind.working_dir = absolute_path(in, "working_dir", kind.working_dir);
  struct stat info = {};
  if (kind.working_dir.starts_with('/') && (stat(kind.working_dir.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)))
    in.fail("working_dir", "is no directory: " + kind.working_dir + " (create it first)", Severity::error);
  kind.threads = static_cast<unsigned>(in.integer("threads", kind.threads, 0, 1024));
  if (kind.threads == 0) kind.threads = processors();
  kind.log_bytes_max = in.integer("log_bytes_max", kind.log_bytes_max, 0, 1LL << 30);
  kind.log_bytes_per_second_max = in.integer("log_bytes_per_second_max", kind.log_bytes_per_second_max, 1024, 1LL << 30);
  kind.address_space_bytes_max = in.integer("address_space_bytes_max", kind.address_space_bytes_max, 0, 1LL << 50);
  kind.file_bytes_max = in.integer("file_bytes_max", kind.file_bytes_max, 0, 1LL << 50);
  kind.open_files_max = in.integer("open_files_max", kind.open_files_max, 16, 1 << 20);
  (void)in.finish();
  return kind;
}

QueueConfig read_queue(const std::string& name, JsonView object, ConfigFile& file) {
  QueueConfig queue;
  queue.name = name;
  Fields in(object, "queues." + name, &file);
  queue.concurrency = static_cast<int>(in.integer("concurrency", queue.concurrency, 1, 1024));
  queue.waiting_max = in.integer("waiting_max", queue.waiting_max, 1, 10'000'000);
  queue.waiting_per_owner_max = in.integer("waiting_per_owner_max", std::max<int64_t>(queue.waiting_max / 10, 1000), 1, 10'000'000);
  (void)in.finish();
  return queue;
}

// Members of `key` by name, each read by `read`.
template <class T, class Read>
void read_named(Fields& in, const char* key, std::map<std::string, T>& into, Read read) {
  const JsonView object = in.object(key);
  for (JsonView member = object.first(); member.exists(); member = member.next()) {
    const std::string name(member.key());
    if (is_name(name))
      into.insert_or_assign(name, read(name, member));
    else
      in.fail(key, member, "holds \"" + printable(name) + "\", which is no name: use 1 to 64 of a-z, 0-9, '.', '_' and '-'");
  }
}

// Each of them is looked up, so that all who are unknown are named.
void check_peers(Fields& in, const char* key, const std::vector<std::string>& names, bool users) {
  JsonView at = in.array(key).first();
  for (const std::string& name : names) {
    const std::vector<std::string> one = {name};
    if (!Peers::create(users ? one : std::vector<std::string>{}, users ? std::vector<std::string>{} : one))
      in.fail(key, at,
              std::string("names a ") + (users ? "user" : "group") + " that this machine does not have: \"" + printable(name) + "\" (" +
                  (users ? "useradd --system " : "groupadd --system ") + "makes one)");
    at = at.next();
  }
}

void read_control(Fields& in, Config& config, ConfigFile& file) {
  const JsonView object = in.object("control");
  if (!object.exists()) return;
  Fields control(object, "control", &file);
  config.control_users = control.strings("users", 64, 64);
  check_peers(control, "users", config.control_users, true);
  config.control_groups = control.strings("groups", 64, 64);
  check_peers(control, "groups", config.control_groups, false);
  config.control_connections_max = static_cast<int>(control.integer("connections_max", config.control_connections_max, 1, 4096));
  (void)control.finish();
}

void read_region(Fields& in, Config& config) {
  config.ring_bytes = static_cast<uint32_t>(in.integer("ring_bytes", config.ring_bytes, 64 << 10, 64 << 20));
  if ((config.ring_bytes & (config.ring_bytes - 1)) != 0) in.fail("ring_bytes", "must be a power of two: 65536, 131072, 262144, …");
  config.slots = static_cast<uint32_t>(in.integer("slots", config.slots, 16, 65'536));
  config.readers_max = static_cast<uint32_t>(in.integer("readers_max", config.readers_max, 1, 256));
}

// The directory that a file or directory is to be made in.
std::string parent_of(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = path.rfind('/', end);
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

bool is_directory(const std::string& path, bool& exists) {
  struct stat info = {};
  exists = stat(path.c_str(), &info) == 0;
  return exists && S_ISDIR(info.st_mode);
}

// A warning, for the engine may run as another user than whoever checks.
void check_writable(Fields& in, const char* key, const std::string& dir) {
  if (access(dir.c_str(), W_OK | X_OK) != 0 && errno == EACCES)
    in.fail(key, "needs " + dir + ", where this user may make nothing: start jobcastd as a user who may, or name another place",
            Severity::warning);
}

void check_state_dir(Fields& in, const std::string& path) {
  bool exists = false;
  if (!path.starts_with('/')) return;
  if (is_directory(path, exists)) return check_writable(in, "state_dir", path);
  if (exists) return in.fail("state_dir", "is no directory: " + path + " (remove it, or name another)", Severity::error);
  const std::string parent = parent_of(path);
  if (is_directory(parent, exists) && access(parent.c_str(), W_OK) != 0 && errno == EROFS)
    in.fail("state_dir", "cannot be made: " + parent + " is on a file system that is mounted read-only", Severity::error);
  else if (!exists || !is_directory(parent, exists))
    in.fail("state_dir", "cannot be made: " + parent + (exists ? " is no directory" : " does not exist (mkdir -p " + parent + ")"),
            Severity::error);
  else
    check_writable(in, "state_dir", parent);
}

void check_socket(Fields& in, const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return in.fail("socket", "is longer than a socket's path may be (" + std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes)");
  bool exists = false;
  const std::string parent = parent_of(path);
  struct stat info = {};
  if (!path.starts_with('/')) return;
  if (path.ends_with('/')) return in.fail("socket", "ends with /, as a directory's path does: give the socket a name", Severity::error);
  if (stat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode))
    in.fail("socket", "is the path of something that is no socket: " + path + " (remove it, or name another)", Severity::error);
  if (is_directory(parent, exists)) return check_writable(in, "socket", parent);
  const std::string problem = "lies in " + parent + (exists ? ", which is no directory" : ", which does not exist");
  if (!exists && parent.starts_with("/run/"))
    in.fail("socket", problem + ": the systemd unit makes it (RuntimeDirectory=); without systemd: mkdir " + parent, Severity::warning);
  else
    in.fail("socket", problem + (exists ? "" : " (mkdir -p " + parent + ")"), Severity::error);
}

}  // namespace

Config read_config(const std::string& path, Faults& faults, const GivenPaths& given) {
  Config config;
  ConfigFile file(path, faults);
  if (!file.view().exists()) return config;
  Fields in(file.view(), "", &file);
  config.socket = absolute_path(in, "socket", config.socket);
  config.state_dir = absolute_path(in, "state_dir", config.state_dir);
  if (given.socket)
    config.socket = *given.socket;
  else if (in.has("socket"))
    check_socket(in, config.socket);
  if (given.state_dir)
    config.state_dir = *given.state_dir;
  else
    check_state_dir(in, config.state_dir);
  if (config.socket == config.state_dir)
    in.fail("socket", "is the state_dir itself: the socket is a file of its own, such as " + config.socket + "/engine.sock");
  config.progress_interval_ms = in.integer("progress_interval_ms", config.progress_interval_ms, 1, 60'000);
  read_region(in, config);
  config.retain_count = in.integer("retain_count", config.retain_count, 0, 10'000'000);
  config.retain_ms = in.integer("retain_ms", config.retain_ms, 1000, 100 * kYearMs);
  read_control(in, config, file);
  config.queues["default"].name = "default";
  read_named(in, "queues", config.queues, [&](const std::string& name, JsonView object) { return read_queue(name, object, file); });
  read_named(in, "kinds", config.kinds,
             [&](const std::string& name, JsonView object) { return read_kind(name, object, file, config.queues); });
  (void)in.finish();
  faults.sort();
  return config;
}

}  // namespace jobcast::engine
