// Starts and ends a jobcastd for a test, and talks to its socket.
#include "tests/engine/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/clock.h"
#include "tests/cmocka.h"

namespace jobcast::test {
namespace {

// What the tests run. `wait` ends when a file appears, so that a test decides when.
constexpr const char* kKinds = R"(
  "queues": {"default": {"concurrency": 8}, "one": {"concurrency": 1}, "tiny": {"concurrency": 1, "waiting_max": 2}},
  "kinds": {
    "echo": {"progress": "none", "argv": ["/bin/sh", "-c", "echo out; echo err >&2; printf '{\"answer\":42}' >&$JOBCAST_RESULT_FD"]},
    "words": {"progress": "none", "argv": ["/usr/bin/printf"], "argv_from_args": ["format"]},
    "fail": {"progress": "none", "argv": ["/bin/sh", "-c", "echo no good >&2; exit 3"], "max_attempts_limit": 9, "retry_initial_ms": 10, "retry_jitter": 0},
    "flaky": {"progress": "none", "argv": ["/bin/sh", "-c", "test $JOBCAST_ATTEMPT -ge 3"], "max_attempts": 5, "retry_initial_ms": 10},
    "later": {"progress": "none", "argv": ["/bin/false"], "max_attempts": 2, "retry_initial_ms": 3600000, "retry_max_ms": 3600000},
    "wait": {"progress": "none", "argv": ["/bin/sh", "-c", "while [ ! -e \"$0\" ]; do sleep 0.01; done"], "argv_from_args": ["file"]},
    "lasting": {"progress": "none", "argv": ["/bin/sh", "-c", "while [ ! -e \"$0\" ]; do sleep 0.01; done"], "argv_from_args": ["file"], "max_attempts": 3, "retry_initial_ms": 10},
    "deaf": {"progress": "none", "grace_ms": 3600000, "argv": ["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]},
    "late": {"progress": "none", "timeout_ms": 100, "argv": ["/bin/sleep", "1000"]},
    "percent": {"progress": "pv", "argv": ["/bin/sh", "-c", "n=0; while [ ! -e \"$0\" ]; do n=$((n + 1)); echo $((n < 99 ? n : 99)) >&2; sleep 0.01; done; echo 100 >&2"], "argv_from_args": ["file"]})";

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

void until(const char* what, const std::function<bool()>& condition) {
  const int64_t end_ns = now().mono_ns + int64_t{kPatienceMs} * 1'000'000;
  while (!condition()) {
    if (now().mono_ns > end_ns) fail_msg("not within %d ms: %s", kPatienceMs, what);
    usleep(2000);
  }
}

Daemon::Daemon(const std::string& more) : more_(more) {
  char name[] = "/tmp/jobcast-test-XXXXXX";
  dir_ = mkdtemp(name);
  write_config();
}

void Daemon::write_config() const { write_file(file("jobcastd.conf"), "{" + std::string(kKinds) + kinds_ + "}" + more_ + "}"); }

void Daemon::add_kind(const std::string& name, const std::string& object) {
  kinds_ += ",\"" + name + "\": " + object;
  write_config();
}

void Daemon::run_as(uid_t user) {
  user_ = user;
  if (chown(dir_.c_str(), user, user) != 0 || chown(file("jobcastd.conf").c_str(), user, user) != 0) fail_msg("chown: %s", strerror(errno));
}

Daemon::~Daemon() {
  client_.reset();
  if (pid_ > 0) kill_hard();
  std::filesystem::remove_all(dir_);
}

namespace {

bool mount_boot_id(const std::string& file) {
  return unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount(file.c_str(), "/proc/sys/kernel/random/boot_id", nullptr, MS_BIND, nullptr) == 0;
}

}  // namespace

bool Daemon::boot(const std::string& name) {
  boot_ = file("boot-" + name);
  write_file(boot_, "00000000-0000-4000-8000-" + name + "\n");
  const pid_t may = fork();
  if (may == 0) _exit(mount_boot_id(boot_) ? 0 : 1);
  int status = -1;
  waitpid(may, &status, 0);
  return status == 0;
}

bool Daemon::start() {
  client_.reset();
  const std::string notify_path = file("notify.sock");
  unlink(notify_path.c_str());
  notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  notify_path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail_msg("bind: %s", strerror(errno));

  const char* const bin = getenv("JOBCAST_BIN");
  const std::string program = std::string(bin ? bin : "build/bin") + "/jobcastd", config = file("jobcastd.conf"), state = file("state"),
                    control = socket(), log = file("stderr");
  int pipe[2] = {-1, -1};
  if (piped_ && pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) fail_msg("pipe: %s", strerror(errno));
  if (user_ && chown(notify_path.c_str(), *user_, *user_) != 0) fail_msg("chown: %s", strerror(errno));
  pid_ = fork();
  if (pid_ == 0) {
    dup2(piped_ ? pipe[1] : open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), STDERR_FILENO);
    setenv("NOTIFY_SOCKET", notify_path.c_str(), 1);
    if (watchdog_ms_ > 0) setenv("WATCHDOG_USEC", std::to_string(watchdog_ms_ * 1000).c_str(), 1);
    if (!boot_.empty() && !mount_boot_id(boot_)) _exit(125);
    if (user_ && (setgroups(0, nullptr) != 0 || setgid(*user_) != 0 || setuid(*user_) != 0)) _exit(126);
    execl(program.c_str(), program.c_str(), "--config", config.c_str(), "--state-dir", state.c_str(), "--socket", control.c_str(),
          "--log-level", "info", nullptr);
    _exit(127);
  }
  if (piped_) {
    log_.reset(pipe[0]);
    close(pipe[1]);
  }
  for (int waited = 0; waited < kPatienceMs; waited += 10) {
    pollfd told{notify_.get(), POLLIN, 0};
    if (poll(&told, 1, 10) == 1) {
      char text[256];
      const ssize_t got = recv(notify_.get(), text, sizeof text, 0);
      if (got > 0 && std::string_view(text, static_cast<size_t>(got)).starts_with("READY=1")) return true;
    }
    siginfo_t info{};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_) return false;
  }
  fail_msg("jobcastd is not ready: %s", stderr_text().c_str());
  return false;
}

std::string Daemon::told_manager(int patience_ms) const {
  pollfd told{notify_.get(), POLLIN, 0};
  if (poll(&told, 1, patience_ms) != 1) return "";
  char text[256];
  const ssize_t got = recv(notify_.get(), text, sizeof text, 0);
  return {text, static_cast<size_t>(std::max<ssize_t>(got, 0))};
}

int Daemon::wait_exit() {
  int status = -1;
  const pid_t pid = std::exchange(pid_, -1);
  test::until("jobcastd ends", [&] { return waitpid(pid, &status, WNOHANG) == pid; });
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void Daemon::kill_hard() {
  client_.reset();
  kill(pid_, SIGKILL);
  (void)wait_exit();
}

int Daemon::stop() {
  kill(pid_, SIGTERM);
  return wait_exit();
}

std::string Daemon::stderr_text() const {
  if (piped_) {
    char chunk[4096];
    for (ssize_t got; (got = read(log_.get(), chunk, sizeof chunk)) > 0;) logged_.append(chunk, static_cast<size_t>(got));
    return logged_;
  }
  std::ifstream in(file("stderr"));
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

void Daemon::touch(const std::string& name) const { write_file(file(name), ""); }

ControlClient& Daemon::client() {
  if (!client_) {
    auto connected = ControlClient::connect(socket());
    if (!connected) fail_msg("%s", connected.error().detail.c_str());
    client_.emplace(std::move(*connected));
  }
  return *client_;
}

bool Daemon::connected() {
  if (client_) {
    pollfd end{client_->fd(), POLLIN, 0};  // between calls nothing comes but the end of the file
    if (poll(&end, 1, 0) == 1) client_.reset();
  }
  if (client_) return true;
  auto again = ControlClient::connect(socket());
  if (again) client_.emplace(std::move(*again));
  return again.ok();
}

std::string Daemon::raw(const char* method, const std::string& params) {
  auto read = Json::parse(params);
  if (!read) fail_msg("the test's own params: %s", read.error().detail.c_str());
  auto answer = client().call_raw(method, *read);
  if (!answer) fail_msg("%s: %s: %s", method, name(answer.error().code), answer.error().detail.c_str());
  return std::move(*answer);
}

Json Daemon::result(const char* method, const std::string& params) {
  auto result = Json::parse(raw(method, params));
  return std::move(*result);
}

Error Daemon::error(const char* method, const std::string& params) {
  auto read = Json::parse(params);
  if (!read) fail_msg("the test's own params: %s", read.error().detail.c_str());
  auto answer = client().call(method, *read);
  if (answer) fail_msg("%s was carried out: %s", method, answer->dump().c_str());
  return answer.error();
}

std::string Daemon::submit(const std::string& kind, const std::string& more) {
  const Json done = result("job.submit", R"({"kind":")" + kind + R"(","owner":"alice")" + more + "}");
  return std::string(done.view().get("job").get("job_id").string().value_or(""));
}

Json Daemon::job(const std::string& id) {
  const Json done = result("job.get", R"({"job_id":")" + id + "\"}");
  auto job = Json::parse(done.view().get("job").dump());
  return std::move(*job);
}

std::string Daemon::state(const std::string& id) { return std::string(job(id).view().get("state").string().value_or("")); }

Json Daemon::until(const std::string& id, const std::string& state) {
  Json snapshot;
  test::until((id + " is " + state).c_str(), [&] {
    snapshot = job(id);
    return snapshot.view().get("state").string() == state;
  });
  return snapshot;
}

Watcher::Watcher(ControlClient client, ControlClient::Attached attached)
    : client_(std::move(client)), reader_([&] {
        auto opened = RegionReader::open(std::move(attached.region), std::move(attached.block), std::move(attached.doorbell));
        if (!opened) fail_msg("%s", opened.error().detail.c_str());
        return std::move(*opened);
      }()) {
  reader_.begin_resync();
}

namespace {

std::pair<ControlClient, ControlClient::Attached> attach_to(const Daemon& daemon) {
  auto client = ControlClient::connect(daemon.socket());
  if (!client) fail_msg("%s", client.error().detail.c_str());
  auto attached = client->attach();
  if (!attached) fail_msg("%s", attached.error().detail.c_str());
  return {std::move(*client), std::move(*attached)};
}

Seen copy(const Event& event) {
  return {event.job.text(), event.rev, event.state, event.list_changed, std::string(event.owner), std::string(event.snapshot)};
}

}  // namespace

Watcher::Watcher(const Daemon& daemon) : Watcher(attach_to(daemon)) {}
Watcher::Watcher(std::pair<ControlClient, ControlClient::Attached> both) : Watcher(std::move(both.first), std::move(both.second)) {}

std::vector<Seen> Watcher::table() {
  std::vector<Seen> out;
  Event event;
  for (uint32_t slot = 0; slot < reader_.slots(); ++slot)
    if (reader_.read_slot(slot, event)) out.push_back(copy(event));
  return out;
}

bool Watcher::wait() {
  for (;;) {
    const size_t before = seen_.size();
    const auto drained = reader_.drain([this](const Event& event) { seen_.push_back(copy(event)); });
    if (drained == RegionReader::Drained::corrupt || drained == RegionReader::Drained::lapped) fail_msg("the lane is lapped or corrupt");
    if (seen_.size() > before) return true;
    if (drained == RegionReader::Drained::more || !reader_.arm()) continue;
    pollfd bell{reader_.doorbell_fd(), POLLIN, 0};
    if (poll(&bell, 1, kPatienceMs) != 1) fail_msg("no doorbell within %d ms", kPatienceMs);
    if (!reader_.clear_doorbell()) return false;
  }
}

const Seen& Watcher::until(const std::string& job, JobState state) {
  for (size_t looked = 0;;) {
    for (; looked < seen_.size(); ++looked)
      if (seen_[looked].job == job && seen_[looked].state == state) return seen_[looked];
    if (!wait()) fail_msg("the engine is gone before %s is %s", job.c_str(), name(state));
  }
}

}  // namespace jobcast::test
