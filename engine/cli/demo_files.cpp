// The demo's configs, keys and directories, written for one user.
#include "engine/cli/demo_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/id.h"
#include "engine/cli/build_info.h"

namespace jobcast::cli {
namespace {

namespace fs = std::filesystem;

// A job that takes as many seconds as it is told and says how far it is: for trying progress, cancel and a killed engine.
constexpr const char* kSlow =
    "case $1 in ''|*[!0-9]*|?????*) s=20;; *) s=$1;; esac\n"
    "step=$((s * 10)) n=0\n"
    "while [ $n -lt 100 ]; do\n"
    "  sleep $((step / 1000)).$(printf %03d $((step % 1000)))\n"
    "  n=$((n + 1)); echo $n >&2\n"
    "done";
constexpr const char* kFails = "echo 'this kind always fails' >&2; exit 3";

Error system_error(const std::string& what) { return {Errc::internal, what + ": " + std::strerror(errno), {}}; }

Result<void> write_file(const std::string& path, mode_t mode, std::string_view text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!fd || fchmod(fd.get(), mode) != 0) return system_error(path);
  while (!text.empty()) {
    const ssize_t written = write(fd.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) return system_error(path);
    if (written > 0) text.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

fs::path own_directory() {
  std::error_code fault;
  return fs::read_symlink("/proc/self/exe", fault).parent_path();
}

Result<std::string> find_file(const std::string& name, std::initializer_list<fs::path> places) {
  std::string sought;
  for (const fs::path& place : places) {
    const fs::path path = (place / name).lexically_normal();
    if (access(path.c_str(), R_OK) == 0) return path.string();
    (sought += sought.empty() ? "" : ", ") += place.lexically_normal().string();
  }
  return {Errc::not_found, name + " is missing (sought in " + sought + "): build everything, or install it"};
}

Json list_of(std::initializer_list<std::string_view> words) {
  Json list = Json::array();
  for (const auto word : words) list.push(word);
  return list;
}

Json one(const char* key, std::string_view value) {
  Json object = Json::object();
  object.set(key, value);
  return object;
}

Json one(const char* key, Json value) {
  Json object = Json::object();
  object.set(key, std::move(value));
  return object;
}

Json in_list(Json value) {
  Json list = Json::array();
  list.push(std::move(value));
  return list;
}

std::string engine_config(const DemoFiles& files, const DemoPrograms& programs, JsonView more_kinds) {
  // A killed engine or worker costs an attempt: the samples have more than one, so that whoever tries it sees them finish.
  const auto tries_again = [](Json& kind) { kind.set("max_attempts", 3).set("retry_initial_ms", 200); };
  Json plo = Json::object();
  plo.set("argv", list_of({programs.plo_equity})).set("threads", 0).set("grace_ms", 2000);
  tries_again(plo);
  Json slow = Json::object();
  slow.set("argv", list_of({"/bin/sh", "-c", kSlow, "slow"}))
      .set("argv_from_args", list_of({"seconds"}))
      .set("progress", "pv")
      .set("grace_ms", 2000);
  tries_again(slow);
  Json fails = Json::object();
  fails.set("argv", list_of({"/bin/sh", "-c", kFails})).set("progress", "none");
  Json kinds = Json::object();
  for (auto& [name, kind] : {std::pair{"plo-equity", &plo}, std::pair{"slow", &slow}, std::pair{"fails", &fails}})
    if (!more_kinds.get(name).exists()) kinds.set(name, std::move(*kind));
  for (JsonView kind = more_kinds.first(); kind.exists(); kind = kind.next()) kinds.set_raw(std::string(kind.key()).c_str(), kind.dump());
  Json config = Json::object();
  config.set("socket", files.socket()).set("state_dir", files.engine_state());
  config.set("queues", one("default", std::move(Json::object().set("concurrency", 2)))).set("kinds", std::move(kinds));
  return config.dump();
}

std::string host_config(const DemoFiles& files, const DemoPrograms& programs, uint16_t port) {
  Json page = Json::object();
  page.set("mountpoint", "/").set("origin", "file://" + programs.client_dir).set("default", "index.html");
  Json callback = Json::object();
  callback.set("mountpoint", "/jobcast").set("origin", "callback://jobcast");
  Json login = Json::object();
  login.set("mountpoint", "/demo").set("origin", "file://" + files.login_dir());
  Json mounts = Json::array();
  mounts.push(std::move(page));  // the shortest one first: lws takes the last that fits
  mounts.push(std::move(login));
  mounts.push(std::move(callback));
  Json options = Json::object();
  options.set("engine", files.socket()).set("key", "HS256:" + files.key());
  Json vhost = Json::object();
  vhost.set("name", "localhost").set("port", std::to_string(port)).set("interface", "127.0.0.1");
  vhost.set("mounts", std::move(mounts));
  vhost.set("ws-protocols", in_list(one("jobcast", std::move(options))));
  return one("vhosts", in_list(std::move(vhost))).dump();
}

}  // namespace

Result<std::string> find_program(const std::string& name) { return find_file(name, {own_directory()}); }

Result<DemoPrograms> find_programs() {
  const fs::path here = own_directory(), prefix = here.parent_path();
  const auto engine = find_program("jobcastd"), host = find_program("jobcast-host");
  const auto plo_equity = find_file("plo-equity", {here, prefix / kLibexecDir});
  const auto plugin = find_file("libprotocol_jobcast.so", {prefix / "lib", prefix / kLibDir});
  const auto page = find_file("index.html", {prefix / kClientDir, kClientSourceDir});
  for (const auto* found : {&engine, &host, &plo_equity, &plugin, &page})
    if (!*found) return found->error();
  return DemoPrograms{*engine, *host, *plo_equity, fs::path(*plugin).parent_path(), fs::path(*page).parent_path()};
}

Result<DemoDirectory> claim_directory(const std::string& wanted) {
  DemoDirectory out;
  if (wanted.empty()) {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = std::string(base && *base == '/' ? base : "/tmp") + "/jobcast-demo-XXXXXX";
    if (!mkdtemp(pattern.data())) return system_error(pattern);
    out.files.dir = pattern;
    out.made = true;
  } else {
    std::error_code fault;
    out.files.dir = fs::absolute(wanted, fault).lexically_normal();
    while (out.files.dir.size() > 1 && out.files.dir.ends_with('/')) out.files.dir.pop_back();
    out.made = mkdir(out.files.dir.c_str(), 0700) == 0;
    if (!out.made && errno != EEXIST) return system_error(out.files.dir);
    const bool ours = access(out.files.lock().c_str(), F_OK) == 0;
    if (!out.made && !ours && !fs::is_empty(out.files.dir, fault))
      return {Errc::invalid, out.files.dir + (fault ? ": " + fault.message() : " is neither empty nor a demo's: name another --state-dir"),
              "state-dir"};
  }
  const auto give_up = [&](Error error) {
    if (out.made) (void)rmdir(out.files.dir.c_str());
    return error;
  };
  if (out.files.socket().size() >= sizeof(sockaddr_un::sun_path))
    return give_up({Errc::invalid, out.files.dir + " is too long a path: a Unix socket below it must fit into 107 bytes", "state-dir"});
  out.lock.reset(open(out.files.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!out.lock) return give_up(system_error(out.files.lock()));
  if (flock(out.lock.get(), LOCK_EX | LOCK_NB) != 0)
    return {Errc::retry, "another demo runs on " + out.files.dir + ": end it first, or name another --state-dir", "state-dir"};
  return out;
}

std::optional<pid_t> engine_left_behind(const DemoFiles& files) {
  const Fd fd(open((files.engine_state() + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  if (!fd || fcntl(fd.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return lock.l_pid;
}

Result<void> write_configs(const DemoFiles& files, const DemoPrograms& programs, uint16_t port, JsonView kinds) {
  if (access(files.key().c_str(), F_OK) != 0) {  // whole or not at all: the next demo goes on with it
    const std::string fresh = files.key() + ".new";
    if (auto written = write_file(fresh, 0600, random_hex(32)); !written) return written;
    if (rename(fresh.c_str(), files.key().c_str()) != 0) return system_error(files.key());
  }
  for (const std::string& dir : {files.engine_state(), files.host_config(), files.host_config() + "/conf.d", files.login_dir()})
    if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return system_error(dir);
  const std::string note = "# Made by `jobcast demo`, anew at each start.\n";
  if (auto written = write_file(files.engine_config(), 0600, note + engine_config(files, programs, kinds) + "\n"); !written) return written;
  const std::string global = one("global", one("plugin-dir", programs.plugin_dir)).dump();
  if (auto written = write_file(files.host_config() + "/conf", 0600, note + global + "\n"); !written) return written;
  return write_file(files.host_config() + "/conf.d/jobcast", 0600, note + host_config(files, programs, port) + "\n");
}

Result<std::string> write_login(const DemoFiles& files, const std::string& token) {
  const size_t dot = token.rfind('.');
  if (auto written = write_file(files.login_dir() + "/token.txt", 0600, token.substr(0, dot)); !written) return written.error();
  return token.substr(dot + 1);
}

}  // namespace jobcast::cli
