// jobcast-host: a small server for machines without lwsws, reading lwsws's own configuration.
#include <getopt.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/json.h"
#include "base/log.h"
#include "base/surroundings.h"
#include "lws-plugin/host/config.h"
#include "lws-plugin/host/server.h"
#include "lws-plugin/options.h"

namespace {

using namespace jobcast;

constexpr const char* kHelp = R"(usage: jobcast-host -c DIR_OR_FILE [OPTIONS]

Serves HTTP and ws by lwsws's configuration: DIR/conf and DIR/conf.d/*, or one file with both "global" and "vhosts".

  -c, --config PATH    the configuration (default /etc/lwsws)
  -l, --loop LOOP      poll (default) or libuv (package libwebsockets-evlib-uv); before the file's "event-loop"
      --json           print one JSON line when ready: {"port":N,"ports":[N,…],"pid":N}
      --check-config   read the configuration and what it names, say all that is wrong, and end; with --json as one line
  -v, --verbose        say more
      --version
      --help

Ends on SIGTERM and SIGINT, after telling its clients to come back. docs/configuration.md lists every key.
)";

// With --json what check-config of the `jobcast` command asks for: the faults, and the engines that the plugin would call.
int tell_check(const std::string& path, const host::HostConfig& config, const Faults& faults, bool json) {
  if (json) {
    Json engines = Json::array();
    for (const host::VhostConfig& vhost : config.vhosts)
      for (const host::Protocol& protocol : vhost.protocols) {
        if (protocol.name != "jobcast") continue;
        std::vector<plugin::Pvo> pvos;
        for (const auto& [name, value] : protocol.options) pvos.push_back({name, value});
        std::vector<Error> ignored;
        engines.push(plugin::Options::parse(pvos, ignored).engine);
      }
    Json line = Json::object();
    line.set("ok", !faults.bad()).set("faults", faults.json()).set("engines", std::move(engines));
    printf("%s\n", line.dump().c_str());
  } else if (!faults.bad()) {
    printf("jobcast-host: %s is in order\n", path.c_str());
  }
  return faults.bad() ? 1 : 0;
}

int fail(const Error& error) {
  fprintf(stderr, "jobcast-host: %s\n", error.detail.c_str());
  return 1;
}

void print_ready(const host::Server& server, bool json) {
  const auto ports = server.ports();
  if (json) {
    Json list = Json::array();
    for (const int port : ports) list.push_raw(std::to_string(port));
    Json line = Json::object();
    line.set("port", ports.front()).set("ports", std::move(list)).set("pid", getpid());
    printf("%s\n", line.dump().c_str());
  } else {
    for (const int port : ports) {
      if (port > 0)
        printf("jobcast-host: listening on port %d\n", port);
      else
        puts("jobcast-host: listening on a Unix socket");
    }
  }
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  settle_surroundings();
  enum : int { kJson = 256, kCheck, kVersion, kHelpOption };
  const option options[] = {{"config", required_argument, nullptr, 'c'}, {"loop", required_argument, nullptr, 'l'},
                            {"json", no_argument, nullptr, kJson},       {"check-config", no_argument, nullptr, kCheck},
                            {"verbose", no_argument, nullptr, 'v'},      {"version", no_argument, nullptr, kVersion},
                            {"help", no_argument, nullptr, kHelpOption}, {nullptr, 0, nullptr, 0}};
  std::string path = "/etc/lwsws", loop;
  bool json = false, check_only = false;
  for (int c; (c = getopt_long(argc, argv, "c:l:v", options, nullptr)) != -1;) {
    switch (c) {
      case 'c': path = optarg; break;
      case 'l': loop = optarg; break;
      case 'v': log::set_level(log::Level::info); break;
      case kJson: json = true; break;
      case kCheck: check_only = true; break;
      case kVersion: printf("jobcast-host %s (libwebsockets %s)\n", JOBCAST_VERSION, LWS_LIBRARY_VERSION); return 0;
      case kHelpOption: fputs(kHelp, stdout); return 0;
      default: fputs(kHelp, stderr); return 2;
    }
  }
  if (optind < argc || (!loop.empty() && loop != "poll" && loop != "libuv")) {
    fputs(kHelp, stderr);
    return 2;
  }
  Faults faults;
  host::HostConfig config = host::read_config(path, faults, !check_only);
  if (!loop.empty()) config.loop = loop;
  if (!check_only || !json)
    for (const Fault& fault : faults.list()) fprintf(stderr, "jobcast-host: %s\n", fault.text(colourful(STDERR_FILENO)).c_str());
  if (check_only) return tell_check(path, config, faults, json);
  if (faults.fatal()) return 1;
  signal(SIGPIPE, SIG_IGN);
  host::Server server(std::move(config));
  if (auto done = server.start(); !done) return fail(done.error());
  struct sigaction action = {};
  action.sa_handler = [](int) { host::Server::stop(); };
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  server.run([&] { print_ready(server, json); });
  return 0;
}
