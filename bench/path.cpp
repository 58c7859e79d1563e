// From a worker's call to the bytes of its report handed to the host's send(), through the real engine and host, all of them asleep before.
// `./dev bench path`. This process is the client; `path --worker BASE_NS PROCESSOR` is the job that the engine starts.
//
// The kernel notes when a segment enters loopback, inside the sender's send(): the client takes that time (SO_TIMESTAMPNS), so that
// its own wake-up is no part of the measure. The worker's half of the pair travels as `done`, nanoseconds since BASE_NS.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/config_file.h"
#include "bench/bench.h"
#include "bench/floors.h"
#include "engine/cli/demo_files.h"
#include "engine/cli/http_probe.h"
#include "engine/cli/part.h"
#include "engine/cli/token.h"
#include "ipc/control_client.h"
#include "jobcast/status.h"
#include "jobcast/worker.h"

using namespace jobcast;
using namespace jobcast::bench;
namespace fs = std::filesystem;

namespace {

constexpr int kRounds = 11;

// Reports further apart than the engine's progress_interval_ms, so that each finds everybody asleep. The first one of a round comes with
// the start of the job and does not count.
struct Pace {
  const char* name;
  int interval_ms;
  long gap_us;
  int reports;
};
constexpr Pace kPaces[] = {{"every 3 ms", 1, 3'000, 60}, {"every 80 ms", 50, 80'000, 20}};

constexpr int kWaitMs = 15'000;

int64_t real_ns() {
  timespec time;
  clock_gettime(CLOCK_REALTIME, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int work(int64_t base_ns, int cpu, long gap_us, int reports) {
  pin_to(cpu);
  if (jobcast_worker_open() != JOBCAST_OK) return 1;
  for (int i = 0; i < reports; ++i) {
    const timespec gap{0, gap_us * 1000};
    nanosleep(&gap, nullptr);
    jobcast_progress(static_cast<uint64_t>(real_ns() - base_ns), 0);
  }
  return 0;
}

// The engine and a host on a temporary directory; gone with their owner.
class House {
 public:
  House(const Pace& pace, int64_t base_ns) {
    const fs::path self = fs::read_symlink("/proc/self/exe"), build = self.parent_path().parent_path();
    const cli::DemoPrograms programs{build / "bin/jobcastd", build / "bin/jobcast-host", build / "bin/plo-equity", build / "lib", build};
    Json argv = Json::array();
    argv.push(self.string()).push("--worker");
    for (const int64_t number : {base_ns, int64_t{processor(0)}, int64_t{pace.gap_us}, int64_t{pace.reports}})
      argv.push(std::to_string(number));
    Json kind = Json::object(), kinds = Json::object();
    kind.set("argv", std::move(argv)).set("progress", "worker");
    kinds.set("path", std::move(kind));
    invariant(cli::write_configs(files_, programs, 0, kinds.view()).ok());
    set_interval(pace.interval_ms);
    start(engine_, {programs.engine, "--config", files_.engine_config()});
    wait([this] { return ControlClient::connect(files_.socket()).ok(); });
    start(host_, {programs.host, "--config", files_.host_config(), "--json"});
    wait([this] {
      for (const std::string& line : host_->read_lines())
        if (const auto ready = Json::parse(line)) port_ = static_cast<uint16_t>(ready->view().get("port").integer().value_or(0));
      return port_ != 0 && cli::answers_ok(port_, "/jobcast/health/ready", 1000);
    });
    pin(1, engine_->pid());
    pin(0, host_->pid());
  }
  House(const House&) = delete;
  ~House() {
    for (auto* part : {&host_, &engine_}) {
      if (!*part) continue;
      (*part)->signal(SIGTERM);
      waitpid((*part)->pid(), nullptr, 0);
    }
    std::error_code ignored;
    fs::remove_all(files_.dir, ignored);
  }

  std::string submit() {
    Json job = Json::object();
    job.set("kind", "path").set("owner", "bench");
    const auto answer = ControlClient::connect(files_.socket()).value().call("job.submit", job).value();
    return std::string(answer.view().get("result").get("job").get("job_id").string().value());
  }

  // A stream of the job's events, asked for.
  Fd follow(const std::string& job) {
    Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    invariant(setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) == 0);
    invariant(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const std::string key = read_file(files_.key(), 4096).value();
    const std::string token = cli::mint(key, {.user = "bench"}, real_ns() / 1'000'000'000).value();
    const std::string request =
        "GET /jobcast/v1/jobs/" + job + "/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n";
    invariant(send(fd.get(), request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
    return fd;
  }

 private:
  void set_interval(int ms) {
    auto config = read_json_file(files_.engine_config()).value();
    config.set("progress_interval_ms", ms);
    std::ofstream(files_.engine_config()) << config.dump();
  }
  void start(std::optional<cli::Part>& part, std::vector<std::string> argv) {
    part.emplace(fs::path(argv[0]).filename(), std::move(argv));
    invariant(part->start(0).ok());
  }
  template <class Ready>
  static void wait(Ready&& ready) {
    for (const int64_t until = now_ns() + kWaitMs * int64_t{1'000'000}; !ready(); usleep(10'000)) invariant(now_ns() < until);
  }

  cli::DemoFiles files_ = std::move(cli::claim_directory("").value().files);
  std::optional<cli::Part> engine_, host_;
  uint16_t port_ = 0;
};

struct Chunk {
  std::string text;        // "": the stream has ended
  int64_t arrived_ns = 0;  // when its last segment was handed to loopback
};

Chunk receive(int fd) {
  std::array<char, 16384> bytes;
  alignas(cmsghdr) std::array<char, 256> control;
  iovec vector{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  pollfd readable{fd, POLLIN, 0};
  invariant(poll(&readable, 1, kWaitMs) == 1);
  const ssize_t got = recvmsg(fd, &message, 0);
  invariant(got >= 0);
  Chunk chunk{std::string(bytes.data(), static_cast<size_t>(got)), 0};
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time;
    memcpy(&time, CMSG_DATA(part), sizeof time);
    chunk.arrived_ns = int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }
  return chunk;
}

std::optional<int64_t> done_in(std::string_view text) {
  constexpr std::string_view kDone = "\"done\":";
  const size_t at = text.rfind(kDone);
  int64_t done = 0;
  if (at == std::string_view::npos) return std::nullopt;
  const auto [end, fault] = std::from_chars(text.data() + at + kDone.size(), text.data() + text.size(), done);
  return fault == std::errc() ? std::optional(done) : std::nullopt;
}

void follow_one(House& house, int64_t base_ns, std::vector<int64_t>& latencies) {
  const Fd stream = house.follow(house.submit());
  int64_t last = 0;
  for (bool first = true, over = false; !over;) {
    const Chunk chunk = receive(stream.get());
    over = chunk.text.empty() || chunk.text.find("event: job_completed") != std::string::npos;
    const auto done = done_in(chunk.text);
    if (over || !done || *done == last) continue;
    last = *done;
    invariant(chunk.arrived_ns > 0);
    if (!std::exchange(first, false)) latencies.push_back(chunk.arrived_ns - (base_ns + *done));
  }
}

// A busy machine may follow a job so late that it hears little of it: then another one.
double path_ns(House& house, const Pace& pace, int64_t base_ns) {
  constexpr int kJobsMax = 20;
  std::vector<int64_t> latencies;
  for (int jobs = 0; static_cast<int>(latencies.size()) < pace.reports / 2; ++jobs) {
    invariant(jobs < kJobsMax);
    follow_one(house, base_ns, latencies);
  }
  std::sort(latencies.begin(), latencies.end());
  return static_cast<double>(latencies[latencies.size() / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 6 && strcmp(argv[1], "--worker") == 0)
    return work(std::atoll(argv[2]), std::atoi(argv[3]), std::atol(argv[4]), std::atoi(argv[5]));
  (void)processor(0);  // before anything is pinned
  const int64_t base_ns = real_ns();
  Table table(wants_json(argc, argv));
  for (const Pace& pace : kPaces) {
    Samples all;
    House house(pace, base_ns);
    for (int round = 0; round < kRounds; ++round) {
      pin(1);
      all.add("path", path_ns(house, pace, base_ns));
      pin(0);
      all.add("to engine", wake_one_way_ns(Waker::seqpacket, pace.gap_us, Sleep::epoll, pace.reports));
      all.add("to plugin", wake_one_way_ns(Waker::seqpacket, pace.gap_us, Sleep::poll, pace.reports));
      all.add("eventfd", wake_one_way_ns(Waker::eventfd, pace.gap_us, Sleep::epoll, pace.reports));
    }
    const auto of = [&](const char* name) { return all.median(name); };
    const auto named = [&](const char* measure) { return std::string(measure) + ", " + pace.name; };
    table.show(named("bare seqpacket wake, asleep in epoll"), of("to engine"), "ns");
    table.show(named("bare seqpacket wake, asleep in poll"), of("to plugin"), "ns");
    table.show(named("bare eventfd wake, asleep in epoll"), of("eventfd"), "ns");
    table.ratio(named("worker's call to bytes in send(), to both wakes"), of("path"), "ns", of("to engine") + of("to plugin"),
                Goal::at_most, 1.5);
  }
  return 0;
}
