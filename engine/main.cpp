// jobcastd: puts the engine's parts together and runs their loop.
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/id.h"
#include "base/log.h"
#include "base/surroundings.h"
#include "engine/config.h"
#include "engine/control_server.h"
#include "engine/engine.h"
#include "engine/loop.h"
#include "engine/methods.h"
#include "engine/notify.h"
#include "engine/options.h"
#include "engine/peers.h"
#include "engine/publisher.h"
#include "engine/state_dir.h"
#include "engine/store.h"

namespace {

using namespace jobcast;
using namespace jobcast::engine;

constexpr int kFailed = 1, kUsage = 2;
constexpr rlim_t kOpenFilesMax = 16'384;

int complain(const Error& error) {
  fprintf(stderr, "jobcastd: %s\n", error.detail.c_str());
  // An unusable command line, config, directory or database is for a person to mend; a restart will not.
  return error.code == Errc::invalid || error.code == Errc::not_found || error.code == Errc::corrupt ? kUsage : kFailed;
}

// Small memory on an idle machine: one heap for both threads, and what is freed goes back to the system.
void keep_small() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
  mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

void allow_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kOpenFilesMax));
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// Before any thread is made, so that all of them leave these to the loop.
Fd take_signals() {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

// Tells the manager, from the loop itself, that the loop still turns: one that stands still is ended and started anew.
void feed_watchdog(Loop& loop, int64_t within_ms) {
  notify_manager("WATCHDOG=1");
  loop.after_ms(within_ms / 3, [&loop, within_ms] { feed_watchdog(loop, within_ms); });
}

int serve(const Config& config) {
  const Fd signals = take_signals();
  auto peers = Peers::create(config.control_users, config.control_groups);
  if (!peers) return complain(peers.error());
  const auto lock = claim_state_dir(config.state_dir);
  if (!lock) return complain(lock.error());
  auto store = Store::open(config.state_dir + "/jobs.db");
  if (!store) return complain(store.error());
  auto loaded = (*store)->load(config.slots);
  if (!loaded) return complain(loaded.error());
  auto region = RegionWriter::create({.ring_bytes = config.ring_bytes, .slots = config.slots, .readers_max = config.readers_max});
  if (!region) return complain(region.error());

  Loop loop;
  uint32_t start = 0;
  random_bytes(&start, sizeof start);
  Publisher publisher(std::move(*region), Revisions(loaded->boot, start & Revisions::kStartMax));
  const size_t live = loaded->live.size(), orphans = loaded->attempts.size();
  Engine engine(loop, config, **store, publisher);
  engine.adopt(std::move(*loaded));
  loop.watch((*store)->ready_fd(), EPOLLIN, [&](uint32_t) { (*store)->deliver(); });

  auto listener = listen_on(config.socket, peers->group(), peers->socket_mode());
  if (!listener) return complain(listener.error());
  if (const std::string out = peers->kept_out(config.socket); !out.empty()) log::warning("control_kept_out", {{"error", out}});
  Methods methods(loop, config, engine, **store, publisher);
  ControlServer server(loop, std::move(*listener), std::move(*peers), static_cast<size_t>(config.control_connections_max), methods);
  methods.set_server(server);

  loop.watch(signals.get(), EPOLLIN, [&](uint32_t) {
    signalfd_siginfo info{};
    if (read(signals.get(), &info, sizeof info) != sizeof info) return;
    log::notice("stopping", {{"signal", info.ssi_signo}});
    notify_manager("STOPPING=1");
    server.stop_accepting();
    engine.stop([&] { loop.stop(); });
  });
  loop.after_turn([&] {
    engine.end_turn();
    server.end_turn();
  });
  log::notice("ready", {{"socket", config.socket}, {"boot", publisher.revisions().boot()}, {"jobs", live}, {"orphans", orphans}});
  notify_manager("READY=1");
  if (const auto within_ms = watchdog_ms()) feed_watchdog(loop, *within_ms);
  loop.run();
  unlink(config.socket.c_str());
  log::notice("stopped", {});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settle_surroundings();
  auto options = parse_options(argc, argv);
  if (!options) {
    fprintf(stderr, "jobcastd: %s; `jobcastd --help` lists the options\n", options.error().detail.c_str());
    return kUsage;
  }
  if (options->help) return fputs(kHelp, stdout) < 0 ? kFailed : 0;
  if (options->version) return printf("jobcastd %s\n", JOBCAST_VERSION) < 0 ? kFailed : 0;
  log::set_level(options->log_level);
  Faults faults;
  const Config config = read_config(options->config, faults, {options->socket, options->state_dir});
  if (faults.fatal() || options->check_config) {
    for (const Fault& fault : faults.list()) fprintf(stderr, "jobcastd: %s\n", fault.text(colourful(STDERR_FILENO)).c_str());
    if (faults.bad()) return kUsage;
    return printf("%s: ok, %zu kinds, %zu queues\n", options->config.c_str(), config.kinds.size(), config.queues.size()) < 0 ? kFailed : 0;
  }
  for (const Fault& fault : faults.list())
    log::warning("config_fault", {{"file", fault.file}, {"line", fault.line}, {"key", fault.key}, {"problem", fault.problem}});
  keep_small();
  allow_open_files();
  return serve(config);
}
