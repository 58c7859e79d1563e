// What the plugin's hub costs a delivery, and a session at rest. `./dev bench hub`.
#include <malloc.h>

#include <functional>
#include <memory>
#include <string>

#include "bench/bench.h"
#include "lws-plugin/hub.h"

using namespace jobcast;
using namespace jobcast::bench;
using namespace jobcast::plugin;

namespace {

constexpr int kRounds = 11, kTurns = 200;
constexpr unsigned kSessions = 1000, kJobs = 10;

struct NoBackend : Backend {
  Result<Identity> verify(std::string_view token, std::string_view, const Time& now) override {
    Identity who;
    who.user = token;
    who.expires_unix_s = now.unix_ms / 1000 + 3600;
    who.begin(now);
    who.may_read_any = true;
    return who;
  }
  uint64_t wait_turn(size_t, const Time&, std::function<void(bool, const Time&)>) override { return 0; }
  void forget_turn(uint64_t) override {}
  void submit(std::string_view, std::string, Reply) override {}
  void cancel(std::string_view, std::string, Reply) override {}
  void fetch(std::string_view, const JobId&) override {}
  void wake_at(int64_t) override {}
};

struct Socket : Transport {
  bool wants = false;
  Session* session = nullptr;
  void request_writable() override { wants = true; }
  void close_session(CloseReason) override { invariant(false); }
};

JobId job(unsigned number) {
  JobId id;
  id.bytes[15] = static_cast<uint8_t>(number);
  return id;
}

// A thousand sessions of as many users, each of which follows `jobs` jobs and has read what there was.
struct House {
  NoBackend backend;
  HubLimits limits = [] {
    HubLimits l;
    l.messages_per_second_max = 0;
    return l;
  }();
  Hub hub{limits, backend};
  Time now{1'000'000'000, 1'700'000'000'000};
  std::vector<Socket> sockets;
  uint64_t rev = 0;
  std::string out, text = "{\"job_id\":\"00000000-0000-0000-0000-000000000000\",\"pad\":\"" + std::string(400, 'x') + "\"}";

  explicit House(unsigned jobs) : sockets(kSessions) {
    out.reserve(64 << 10);
    for (unsigned i = 0; i < jobs; ++i) publish(i);
    for (unsigned i = 0; i < kSessions; ++i) {
      Socket& socket = sockets[i];
      socket.session = &hub.open(socket, now);
      socket.session->on_message(R"({"event":"authenticate","data":{"token":"user)" + std::to_string(i) + R"("}})", now);
      for (unsigned j = 0; j < jobs; ++j)
        socket.session->on_message(R"({"event":"subscribe_job","data":{"job_id":")" + job(j).text() + "\"}}", now);
    }
    collect();
  }

  void publish(unsigned number) { hub.publish({job(number), ++rev, JobState::running, false, "owner", text}, now); }

  size_t collect() {
    size_t bytes = 0;
    for (Socket& socket : sockets) {
      if (!socket.wants) continue;
      socket.wants = false;
      out.clear();
      invariant(!socket.session->collect(out, 64 << 10, now));
      bytes += out.size();
    }
    return bytes;
  }
};

template <class Work>
double ns_each(double count, Work&& work) {
  const int64_t start = cpu_ns();
  for (int i = 0; i < kTurns; ++i) work();
  return static_cast<double>(cpu_ns() - start) / (count * kTurns);
}

// One frame into the buffers of as many sockets: what nobody can save who hands every socket its own bytes.
double memcpy_ns(const std::string& frame) {
  static std::vector<std::string> buffers(kSessions, std::string(1024, '\0'));
  return ns_each(kSessions, [&] {
    for (std::string& buffer : buffers) {
      memcpy(buffer.data(), frame.data(), frame.size());
      __asm__ volatile("" : : "r"(buffer.data()) : "memory");
    }
  });
}

size_t heap_bytes() { return mallinfo2().uordblks; }

}  // namespace

int main(int argc, char** argv) {
  Samples samples;
  pin(0);
  for (int round = 0; round < kRounds; ++round) {
    House one(1), many(kJobs);
    const std::string frame = one.hub.find(job(0))->frame(Framing::ws);
    samples.add("memcpy", memcpy_ns(frame));
    samples.add("one", ns_each(kSessions, [&] {
                  one.publish(0);
                  invariant(one.collect() == kSessions * frame.size());
                }));
    samples.add("joined", ns_each(kSessions * kJobs, [&] {
                  for (unsigned i = 0; i < kJobs; ++i) many.publish(i);
                  invariant(many.collect() == kSessions * kJobs * frame.size());
                }));
    one.publish(0);
    samples.add("conflated", ns_each(kSessions, [&] { one.publish(0); }));
    samples.add("alone", ns_each(1, [&] { one.publish(200); }));
  }
  const size_t before = heap_bytes();
  const auto house = std::make_unique<House>(1);
  const double bytes = static_cast<double>(heap_bytes() - before - house->out.capacity() - kSessions * sizeof(Socket)) / kSessions;

  Table table(wants_json(argc, argv));
  const double floor = samples.median("memcpy");
  table.ratio("publish and collect, 1,000 sessions, a delivery", samples.median("one"), "ns", floor, Goal::at_most, 3);
  table.ratio("the same, 10 jobs joined in one write, a delivery", samples.median("joined"), "ns", floor, Goal::at_most, 2.5);
  table.ratio("publish to 1,000 sessions that do not read, a session", samples.median("conflated"), "ns", floor, Goal::at_most, 0.5);
  table.show("publish of a job that nobody follows", samples.median("alone"), "ns");
  table.value("heap of an idle session with one subscription", bytes, "B", sizeof(Session) + sizeof(Subscription), Goal::at_most, 1024);
}
