// demo: the whole system on loopback. Prepares a state directory, keeps engine and host alive as systemd would, and leaves nothing behind.
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/config_file.h"
#include "base/json.h"
#include "engine/cli/demo_files.h"
#include "engine/cli/engine_link.h"
#include "engine/cli/http_probe.h"
#include "engine/cli/output.h"
#include "engine/cli/part.h"
#include "engine/cli/signals.h"
#include "engine/cli/token.h"

namespace jobcast::cli {
namespace {

constexpr int64_t kStartMs = 15'000;  // from start to readiness
constexpr int64_t kStopMs = 15'000;   // from TERM to KILL: more than the engine takes at most
constexpr int64_t kProbeMs = 20;      // between two looks at a part that is starting
constexpr int64_t kTokenSeconds = 24 * 3600;

struct Sample {
  const char *kind, *args, *title;
};
constexpr Sample kSamples[] = {
    {"plo-equity", R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"Ts9s2h"})", "Every turn and river after Ts9s2h"},
    {"plo-equity", R"({"hands":["AsAhKsKh","8c7d6c5d","QdJdTc9c"],"mode":"monte-carlo","trials":20000000,"seed":1})",
     "Three hands, 20 million boards"},
    {"slow", R"({"seconds":45})", "A slow one: kill the engine meanwhile"},
};

// To be pasted into a shell.
std::string shell_word(const std::string& text) {
  constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=:,@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class Demo {
 public:
  Demo(const Invocation& invocation, DemoFiles files, DemoPrograms programs, uint16_t port, const Json& kinds, bool temporary)
      : invocation_(invocation),
        files_(std::move(files)),
        programs_(std::move(programs)),
        kinds_(kinds),
        port_(port),
        temporary_(temporary),
        engine_("jobcastd", {programs_.engine, "--config", files_.engine_config()}),
        host_("jobcast-host", {programs_.host, "--config", files_.host_config(), "--json"}) {}

  // Until a signal asks for the end, or a part cannot be kept alive.
  Result<Exit> run() {
    // Whatever a killed engine leaves behind becomes a child of this process, to be reaped, and ended at the end.
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, SIG_DFL);  // ignored by whoever started this, it would lose the children's ends
    signal(SIGPIPE, SIG_IGN);  // whoever reads its output may go
    Signals signals{SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    Result<void> going = outlast_the_last_engine(signals);
    if (going && !ending_) going = write_configs(files_, programs_, port_, kinds_.view());
    while (going && !ending_) {
      if (going = start_what_is_due(); !going) break;
      wait(signals);
      if (going = reap(); !going) break;
      going = look_at_starting_parts();
      if (going && !announced_ && host_.ready()) going = announce();
    }
    stop(signals);
    if (!going) return going.error();
    return Exit::ok;
  }

 private:
  // The engine of a demo that was killed ends by itself, but gives its jobs their time.
  Result<void> outlast_the_last_engine(Signals& signals) {
    const int64_t deadline_ms = now().mono_ms() + kStopMs;
    for (bool told = false; !ending_;) {
      const auto pid = engine_left_behind(files_);
      if (!pid) break;
      const std::string who = "the engine of an earlier demo (process " + std::to_string(*pid) + ") ";
      if (now().mono_ms() > deadline_ms) return {Errc::retry, who + "still uses " + files_.dir + ": end it, or name another --state-dir"};
      if (!std::exchange(told, true)) note(who + "is still ending: waiting for it");
      pollfd signal{signals.fd(), POLLIN, 0};
      (void)poll(&signal, 1, kProbeMs);
      while (const auto caught = signals.next()) ending_ = ending_ || *caught != SIGCHLD;
    }
    return {};
  }

  Result<void> start_what_is_due() {
    const int64_t mono_ms = now().mono_ms();
    for (Part* part : {&engine_, &host_}) {
      if (part->running() || (part->pid() > 0 && mono_ms < part->due().value_or(0))) continue;
      if (part == &host_ && !announced_ && !engine_.ready()) continue;  // the first time one after the other: faults are told one by one
      if (auto started = part->start(mono_ms); !started) return started;
    }
    return {};
  }

  void wait(Signals& signals) {
    const int64_t mono_ms = now().mono_ms();
    int64_t until = INT64_MAX;
    for (const Part* part : {&engine_, &host_}) {
      if (part->running() && !part->ready()) until = std::min(until, mono_ms + kProbeMs);
      if (!part->running() && part->due()) until = std::min(until, *part->due());
    }
    std::array<pollfd, 3> fds{{{signals.fd(), POLLIN, 0}, {engine_.output(), POLLIN, 0}, {host_.output(), POLLIN, 0}}};
    (void)poll(fds.data(), fds.size(), until == INT64_MAX ? -1 : static_cast<int>(std::max<int64_t>(0, until - mono_ms)));
    while (const auto signal = signals.next()) ending_ = ending_ || *signal != SIGCHLD;
    // The engine says nothing there; what the host says is its readiness.
    if (fds[1].revents) (void)engine_.read_lines();
    if (fds[2].revents)
      for (const std::string& line : host_.read_lines()) hear_host(line);
  }

  void hear_host(const std::string& line) {
    const auto ready = Json::parse(line);
    const auto port = ready ? ready->view().get("port").integer() : std::nullopt;
    if (!port || *port < 1 || *port > 65'535) return;
    port_ = static_cast<uint16_t>(*port);
    host_listens_ = true;
  }

  // Collects everything that ended: parts, and what they left behind. Errors: a part that cannot be kept alive.
  Result<void> reap() {
    int status = 0;
    while (const pid_t pid = waitpid(-1, &status, WNOHANG)) {
      if (pid < 0) break;
      for (Part* part : {&engine_, &host_}) {
        if (part->pid() != pid || !part->running()) continue;
        const bool was_ready = part->ready();
        for (const std::string& line : part->read_lines()) (void)line;
        part->ended(now().mono_ms());
        if (part == &host_) host_listens_ = false;
        if (ending_) continue;
        const std::string how = part->name() + " (process " + std::to_string(pid) + ") ended with " + status_text(status);
        if (!announced_) return {Errc::internal, how + " instead of starting; what it said stands above"};
        if (!part->due()) return {Errc::internal, how + " right after its start, again and again: giving up"};
        note(how + (was_ready ? "" : " before it was ready") + "; starting it again");
      }
    }
    return {};
  }

  Result<void> look_at_starting_parts() {
    const int64_t mono_ms = now().mono_ms();
    for (Part* part : {&engine_, &host_}) {
      if (!part->running() || part->ready()) continue;
      if (part == &engine_ ? ControlClient::connect(files_.socket()).ok() : host_listens_ && host_is_ready()) {
        part->became_ready(mono_ms);
        if (announced_) note(part->name() + " is back: kill -9 " + std::to_string(part->pid()) + " ends it again");
      } else if (mono_ms - part->started_ms() > kStartMs) {
        if (!announced_) return {Errc::internal, part->name() + " was not ready within " + duration(kStartMs)};
        part->signal(SIGKILL);  // counts as one of its deaths
      }
    }
    return {};
  }

  // The first time it must have found the engine. Later listening is enough: an engine that is away is the engine's matter.
  [[nodiscard]] bool host_is_ready() const { return announced_ || answers_ok(port_, "/jobcast/health/ready", 1000); }

  Result<void> announce() {
    announced_ = true;
    // From now on always this port: open pages find their way back.
    if (auto written = write_configs(files_, programs_, port_, kinds_.view()); !written) return written;
    const std::string user = login_name();
    const auto key = read_file(files_.key(), 4096);
    if (!key) return key.error();
    if (!invocation_.has("no-samples")) submit_samples(user);
    const int64_t now_s = now().unix_ms / 1000;
    const auto token = mint(*key, {.user = user, .scope = "jobs:submit jobs:cancel", .expires_in_s = kTokenSeconds}, now_s);
    if (!token) return token.error();
    const auto admin =
        mint(*key, {.user = "admin", .scope = "jobs:submit jobs:cancel jobs:read:any admin", .expires_in_s = kTokenSeconds}, now_s);
    if (!admin) return admin.error();
    const auto signature = write_login(files_, *token);
    if (!signature) return signature.error();
    // The fragment never leaves the browser: no server and no log sees it.
    const std::string url = "http://127.0.0.1:" + std::to_string(port_) + "/#" + *signature;
    if (invocation_.json()) {
      Json pids = Json::object();
      pids.set("engine", int64_t{engine_.pid()}).set("host", int64_t{host_.pid()});
      Json out = Json::object();
      out.set("url", url).set("port", int64_t{port_}).set("engine_socket", files_.socket()).set("state_dir", files_.dir).set("user", user);
      out.set("token", *token).set("admin_token", *admin).set("pids", std::move(pids));
      print(out.dump() + "\n");
    } else {
      print(headline(url));
    }
    fflush(stdout);
    return {};
  }

  // Printed once everything has said that it is ready, so that it stands below their log lines and not among them.
  [[nodiscard]] std::string headline(const std::string& url) const {
    const std::string command = shell_word(program_invocation_name);
    const std::string common = " --state-dir " + shell_word(files_.dir);
    const std::string from_here =
        "\nFrom another terminal:\n\n  " + command + " submit plo-equity --watch --args '{\"hands\":[\"AsAhKsKh\",\"8c7d6c5d\"]}'" +
        common + "\n  " + command + " submit slow --watch --args '{\"seconds\":30}'" + common + "\n  " + command + " list" + common + "\n";
    return "\njobcast is running. Open this page, submit a job, watch it:\n\n  " + url +
           "\n\nThen kill the engine, or the host, and watch the page catch up (each is started again,\n"
           "and so are the jobs; one that loses its engine three times is given up):\n\n" +
           dare("the engine", engine_) + dare("the host", host_) + from_here + "\nState: " + files_.dir +
           (temporary_ ? " (removed at the end)" : "") + ". Ctrl-C ends everything.\n";
  }

  // The line to type.
  [[nodiscard]] static std::string dare(const char* what, const Part& part) {
    return std::string("  ") + what + ":\n    kill -9 " + std::to_string(part.pid()) + "\n";
  }

  // Something to see when the page opens: one that is over at once, one that counts, one that takes long enough to kill the engine
  // meanwhile. Their keys keep a state directory that is used again from getting them twice.
  void submit_samples(const std::string& user) {
    auto engine = connect_engine(files_.socket());
    for (const auto& [kind, args, title] : kSamples) {
      Json params = Json::object();
      Json meta = Json::object();
      meta.set("title", title);
      params.set("kind", kind).set("owner", user).set_raw("args", args).set("meta", std::move(meta));
      params.set("idempotency_key", std::string("demo: ") + title);
      const auto answer = engine ? engine->call("job.submit", params) : Result<Json>(engine.error());
      if (!answer) note(std::string("the sample job \"") + title + "\" was refused: " + answer.error().detail);
    }
  }

  // The host first, so that nobody is served by half a system; a second signal makes it short.
  void stop(Signals& signals) {
    ending_ = true;
    for (Part* part : {&host_, &engine_}) {
      part->signal(SIGTERM);
      const int64_t deadline_ms = now().mono_ms() + kStopMs;
      while (part->running()) {
        const int64_t left_ms = deadline_ms - now().mono_ms();
        if (left_ms <= 0) part->signal(SIGKILL);
        pollfd signal{signals.fd(), POLLIN, 0};
        (void)poll(&signal, 1, static_cast<int>(std::clamp<int64_t>(left_ms, 10, kStopMs)));
        while (const auto caught = signals.next())
          if (*caught != SIGCHLD) part->signal(SIGKILL);
        (void)reap();
      }
    }
    // What a killed engine's jobs had started: orphans come to this process, whoever started them.
    while (waitpid(-1, nullptr, WNOHANG) >= 0) {
      const std::string path = "/proc/self/task/" + std::to_string(getpid()) + "/children";
      const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
      std::array<char, 4096> text{};
      if (read(fd.get(), text.data(), text.size() - 1) <= 0) break;
      // NOLINTNEXTLINE(bugprone-infinite-loop): strtol moves on in each round, and ends with 0
      for (char* at = text.data(); const long pid = std::strtol(at, &at, 10);) kill(static_cast<pid_t>(pid), SIGKILL);
      (void)waitpid(-1, nullptr, 0);
    }
  }

  const Invocation& invocation_;
  DemoFiles files_;
  DemoPrograms programs_;
  const Json& kinds_;
  uint16_t port_;
  bool temporary_;
  Part engine_, host_;
  bool host_listens_ = false, announced_ = false, ending_ = false;
};

Exit run(const Invocation& invocation) {
  const auto port = invocation.integer("port", 0, 0, 65'535);
  if (!port) return complain(invocation, port.error());
  Json kinds;
  if (invocation.has("kinds")) {
    auto read = read_json_file(invocation.get("kinds"));
    if (!read) return complain(invocation, {Errc::invalid, read.error().detail, "kinds"});
    if (!read->view().is_object())
      return complain(invocation, {Errc::invalid, invocation.get("kinds") + " must hold an object of kinds by name", "kinds"});
    kinds = std::move(*read);
  }
  auto programs = find_programs();
  if (!programs) {
    complain(invocation, programs.error());
    return Exit::error;
  }
  auto directory = claim_directory(invocation.get("state-dir"));
  if (!directory) return complain(invocation, directory.error());
  const bool temporary = invocation.get("state-dir").empty();
  const auto ended = Demo(invocation, directory->files, std::move(*programs), static_cast<uint16_t>(*port), kinds, temporary).run();
  if (temporary || (directory->made && !ended)) {
    std::error_code fault;
    std::filesystem::remove_all(directory->files.dir, fault);
    if (fault) note(directory->files.dir + " could not be removed: " + fault.message());
  }
  return ended ? *ended : complain(invocation, ended.error());
}

constexpr Option kOptions[] = {
    {"port", 'p', "N", "the host's port on 127.0.0.1; 0 picks a free one (0)"},
    {"state-dir", 'd', "DIR", "keep everything there, for the next demo too (a temporary one, removed at the end)", false, true},
    {"no-samples", 0, nullptr, "begin without the sample jobs"},
    {"kinds", 0, "FILE", "further kinds of jobs: a JSON object, by name, as in the engine's config", false, true},
};
constexpr Example kExamples[] = {
    {"demo", "start everything and print the address of a page"},
    {"demo --port 7681 --state-dir ~/jobcast-demo", "jobs and keys survive the end of the demo"},
    {"demo --json", "for scripts: the first line says where everything is"},
};

}  // namespace

extern const Command demo_command{.name = "demo",
                                  .operands = "",
                                  .operands_min = 0,
                                  .operands_max = 0,
                                  .summary = "run the whole system on this machine, to try it",
                                  .text =
                                      "Starts an engine and a host on loopback, with a state directory and a key of their\n"
                                      "own, and prints the address of a page on which jobs can be submitted and watched.\n"
                                      "What is secret of the page's token stands in the address's fragment (#...), which\n"
                                      "browsers send to no server. Sample jobs of the user who runs this are submitted, so\n"
                                      "that the page has something to show. A part that dies is started again on the same\n"
                                      "port, as systemd would, and standard error says so. Ctrl-C ends everything.\n\n"
                                      "Kinds: plo-equity (the sample), slow ({\"seconds\":30}: takes its time), fails. The\n"
                                      "first two are tried again when their worker or the engine was killed.\n\n"
                                      "With --json the first line of standard output, once everything is ready, is\n"
                                      "{\"url\",\"port\",\"engine_socket\",\"state_dir\",\"user\",\"token\",\"admin_token\",\n"
                                      "\"pids\":{\"engine\",\"host\"}}. It exits with 0 when it was ended by SIGINT or SIGTERM.",
                                  .examples = kExamples,
                                  .options = kOptions,
                                  .speaks_to_engine = false,
                                  .run = run};

}  // namespace jobcast::cli
