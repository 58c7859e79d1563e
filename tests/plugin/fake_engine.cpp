// The engine's side of control socket and lane with jobs that do what standard input says: for tests of the plugin that want an engine
// to hang, to flood or to die at a chosen moment. usage: fake_engine SOCKET [BOOT]
//
//   progress ID N      the job runs and has done N of 100
//   finish ID STATE    completed, failed or cancelled
//   flood ID N         N revisions at once
//   quiet on|off       calls are not answered
//   (end of input)     it exits
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "ipc/control.h"
#include "ipc/fd_channel.h"
#include "ipc/region.h"

using namespace jobcast;

namespace {

struct Job {
  JobId id;
  std::string owner, kind, args, key;
  JobState state = JobState::queued;
  uint64_t rev = 0;
  int64_t done = 0;

  [[nodiscard]] std::string snapshot() const {
    Json progress = Json::object();
    progress.set("done", done).set("total", 100).set("percent", static_cast<double>(done));
    Json job = Json::object();
    job.set("job_id", id.text())
        .set("kind", kind)
        .set("state", name(state))
        .set("rev", rev)
        .set("owner", owner)
        .set("progress", std::move(progress));
    return job.dump();
  }
};

struct Peer {
  Fd socket;
  LineBuffer lines;
  std::optional<uint32_t> reader;
};

struct Engine {
  RegionWriter region;
  uint64_t boot, counter = 0;
  std::map<std::string, Job> jobs;
  JobIdSource ids;
  bool quiet = false;

  void publish(Job& job, bool list_changed) {
    job.rev = boot << 32 | ++counter;
    const std::string snapshot = job.snapshot();
    region.publish({job.id, job.rev, job.state, list_changed, job.owner, snapshot});
  }

  std::string answer(const Request& request) {
    const JsonView params = request.params();
    const auto text = [&](const char* key) { return std::string(params.get(key).string().value_or("")); };
    const auto job_line = [&](const Job& job, const char* created = "") {
      return result_line(request.id, "{\"job\":" + job.snapshot() + created + "}");
    };
    if (request.method == "job.submit") {
      if (text("kind") != "sample") return error_line(request.id, {Errc::invalid, "kind is not known here", "kind"});
      for (const auto& [id, job] : jobs)
        if (!text("idempotency_key").empty() && job.key == text("idempotency_key") && job.owner == text("owner"))
          return job_line(job, ",\"created\":false");
      Job job{ids.next(now().unix_ms), text("owner"), text("kind"), params.get("args").dump(), text("idempotency_key")};
      publish(job, true);
      return job_line(jobs.emplace(job.id.text(), job).first->second, ",\"created\":true");
    }
    if (request.method == "job.list") {
      Json list = Json::array();
      for (auto job = jobs.rbegin(); job != jobs.rend(); ++job)
        if (text("owner").empty() || text("owner") == job->second.owner) list.push_raw(job->second.snapshot());
      return result_line(request.id, Json::object().set("jobs", std::move(list)).set("next_cursor", nullptr).dump());
    }
    if (request.method == "queue.list") return result_line(request.id, "{\"queues\":[]}");
    const auto found = jobs.find(text("job_id"));
    if (found == jobs.end() || (!text("owner").empty() && text("owner") != found->second.owner))
      return error_line(request.id, {Errc::not_found, "there is no such job", {}});
    Job& job = found->second;
    if (request.method == "job.cancel") {
      job.state = JobState::cancelled;
      publish(job, true);
    } else if (request.method == "job.result") {
      return result_line(request.id, "{\"result\":{\"args\":" + job.args + "}}");
    } else if (request.method == "job.log") {
      return result_line(request.id, R"({"data":"line\n","offset":0,"next_offset":5,"size":5,"dropped":0,"eof":true})");
    } else if (request.method != "job.get" && request.method != "job.retry") {
      return fault_line(request.id, RpcFault::method, "no such method");
    }
    return job_line(job);
  }

  bool serve(Peer& peer) {
    std::string chunk(65536, '\0');
    auto received = receive_with_fds(peer.socket.get(), chunk);
    if (!received) return false;
    peer.lines.append({chunk.data(), received->bytes});
    while (true) {
      auto line = peer.lines.next();
      if (!line || !*line) return line.ok();
      auto parsed = parse_request(**line);
      if (!parsed.request) return false;
      if (parsed.request->method == "attach") {
        auto grant = region.add_reader();
        if (!grant) return false;
        peer.reader = grant->reader;
        char epoch[17];
        snprintf(epoch, sizeof epoch, "%016llx", static_cast<unsigned long long>(region.epoch()));
        const int fds[] = {grant->region.get(), grant->block.get(), grant->doorbell.get()};
        (void)send_with_fds(peer.socket.get(),
                            result_line(parsed.request->id, std::string(R"({"layout_version":1,"epoch":")") + epoch + "\"}"), fds);
      } else if (!quiet) {
        const std::string answer_text = answer(*parsed.request);
        region.flush();
        for (std::string_view rest = answer_text; !rest.empty();) {
          auto sent = send_with_fds(peer.socket.get(), rest);
          if (!sent) return false;
          rest.remove_prefix(*sent);
        }
      }
    }
  }

  void command(const std::string& line) {
    std::istringstream in(line);
    std::string word, id, rest;
    in >> word >> id >> rest;
    if (word == "quiet") quiet = id == "on";
    const auto found = jobs.find(id);
    if (found == jobs.end()) return;
    Job& job = found->second;
    if (word == "progress") {
      const bool started = std::exchange(job.state, JobState::running) != JobState::running;
      job.done = std::stoll(rest);
      publish(job, started);
    } else if (word == "finish") {
      job.state = rest == "failed" ? JobState::failed : rest == "cancelled" ? JobState::cancelled : JobState::completed;
      publish(job, true);
    } else if (word == "flood") {
      for (int64_t i = std::stoll(rest); i > 0; --i) {
        job.done = i % 100;
        publish(job, false);
      }
    }
    region.flush();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  unlink(argv[1]);
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(listener.get(), 64) != 0) return 1;
  auto region = RegionWriter::create({.ring_bytes = 1 << 16, .slots = 64, .readers_max = 16});
  if (!region) return 1;
  Engine engine{std::move(*region), argc > 2 ? std::stoull(argv[2]) : 1, 0, {}, {}, false};
  std::vector<std::unique_ptr<Peer>> peers;
  std::string input;
  puts("ready");
  fflush(stdout);
  while (true) {
    std::vector<pollfd> fds{{0, POLLIN, 0}, {listener.get(), POLLIN, 0}};
    for (const auto& peer : peers) fds.push_back({peer->socket.get(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    for (size_t i = peers.size(); i-- > 0;)
      if (fds[i + 2].revents && !engine.serve(*peers[i])) {
        if (peers[i]->reader) engine.region.remove_reader(*peers[i]->reader);
        peers.erase(peers.begin() + static_cast<ptrdiff_t>(i));
      }
    if (fds[1].revents) {
      auto peer = std::make_unique<Peer>();
      peer->socket.reset(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      peers.push_back(std::move(peer));
    }
    if (fds[0].revents) {
      char bytes[4096];
      const ssize_t got = read(0, bytes, sizeof bytes);
      if (got <= 0) return 0;
      input.append(bytes, static_cast<size_t>(got));
      for (size_t end; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1)) engine.command(input.substr(0, end));
      puts("ok");
      fflush(stdout);
    }
  }
}
