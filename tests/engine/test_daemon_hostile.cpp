// Peers that break the rules of the control socket, out of malice or by mistake: each costs itself its connection, at worst.
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

int start_daemon(void**) {
  daemon = std::make_unique<Daemon>(R"(,"control":{"connections_max":48})");
  return daemon->start() ? 0 : -1;
}

int stop_daemon(void**) {
  const int status = daemon->stop();
  daemon.reset();
  return status;
}

constexpr const char* kStats = R"({"jsonrpc":"2.0","id":1,"method":"queue.list"})"
                               "\n";

// A connection without manners.
class Raw {
 public:
  Raw() : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    daemon->socket().copy(address.sun_path, sizeof address.sun_path - 1);
    if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail_msg("connect");
  }
  // What the other side does not take within the patience, or has closed, is left out.
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd ready{fd_.get(), POLLOUT, 0};
      if (poll(&ready, 1, kPatienceMs) != 1) return;
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EAGAIN) continue;
      if (sent < 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  size_t send_what_fits(std::string_view bytes) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<size_t>(sent) : 0;
  }
  void end_of_input() { shutdown(fd_.get(), SHUT_WR); }
  // The next line without its end; "" at the end of the file.
  std::string line() {
    for (;;) {
      if (const size_t end = buffer_.find('\n'); end != std::string::npos) {
        std::string out = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return out;
      }
      if (!more()) return "";
    }
  }
  bool ends() {
    while (more()) {
    }
    return true;
  }
  [[nodiscard]] bool closed() const {
    pollfd end{fd_.get(), POLLRDHUP, 0};
    return poll(&end, 1, 0) == 1 && (end.revents & (POLLRDHUP | POLLHUP)) != 0;
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  bool more() {
    pollfd ready{fd_.get(), POLLIN, 0};
    if (poll(&ready, 1, kPatienceMs) != 1) fail_msg("nothing came within %d ms", kPatienceMs);
    char chunk[65536];
    const ssize_t got = recv(fd_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (got <= 0) return false;
    buffer_.append(chunk, static_cast<size_t>(got));
    return true;
  }
  Fd fd_;
  std::string buffer_;
};

int code_of(const std::string& line) {
  const auto read = Json::parse(line);
  if (!read) fail_msg("no JSON: %s", line.c_str());
  return static_cast<int>(read->view().get("error").get("code").integer().value_or(0));
}

// And answers others, however busy one keeps it: the call fails after kPatienceMs.
void lives() { (void)daemon->result("queue.list", "{}"); }

void garbage_is_refused_and_ends_the_connection(void**) {
  for (const std::string& bytes :
       {std::string("hello\n"), std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\x16\x03\x01\x02\n", 5), std::string("\0\0\0\n", 4),
        std::string("{\"jsonrpc\":\"2.0\"\n"), std::string("\xff\xfe\n"), std::string("{} {}\n")}) {
    Raw raw;
    raw.send(bytes);
    assert_int_equal(code_of(raw.line()), -32700);
    assert_true(raw.ends());
    lives();
  }
}

void what_is_no_request_is_refused_and_the_connection_lives_on(void**) {
  Raw raw;
  for (const char* line : {"[]\n",
                           R"([{"jsonrpc":"2.0","id":1,"method":"queue.list"}])"
                           "\n",
                           "7\n", "null\n", "{}\n",
                           R"({"jsonrpc":"1.0","id":1,"method":"x"})"
                           "\n",
                           R"({"jsonrpc":"2.0","id":1})"
                           "\n",
                           R"({"jsonrpc":"2.0","id":1,"method":7})"
                           "\n",
                           R"({"jsonrpc":"2.0","id":{},"method":"x"})"
                           "\n",
                           R"({"jsonrpc":"2.0","id":1,"method":"queue.list","params":[]})"
                           "\n"}) {
    raw.send(line);
    const std::string answer = raw.line();
    if (code_of(answer) != -32600) fail_msg("%s%s", line, answer.c_str());
  }
  raw.send(R"({"jsonrpc":"2.0","id":"x","method":"job.destroy"})"
           "\n");
  const std::string unknown = raw.line();
  assert_int_equal(code_of(unknown), -32601);
  assert_non_null(strstr(unknown.c_str(), R"("id":"x")"));
  raw.send(std::string("\n\n") + kStats);
  assert_non_null(strstr(raw.line().c_str(), "\"queues\""));
}

void deep_json_is_refused(void**) {
  Raw raw;
  raw.send(std::string(100'000, '[') + "\n");
  assert_int_equal(code_of(raw.line()), -32700);
  Raw object;
  std::string deep = R"({"jsonrpc":"2.0","id":1,"method":"job.get","params":)";
  for (int i = 0; i < 10'000; ++i) deep += R"({"a":)";
  object.send(deep + "1" + std::string(10'001, '}') + "\n");
  assert_int_equal(code_of(object.line()), -32700);
  lives();
}

void a_line_without_end_is_cut_off(void**) {
  Raw raw;
  raw.send(std::string(3 << 20, 'x'));
  assert_int_equal(code_of(raw.line()), -32005);
  assert_true(raw.ends());
  lives();
}

void a_line_of_one_mebibyte_is_carried_out(void**) {
  Raw raw;
  const std::string request = R"({"jsonrpc":"2.0","id":1,"method":"queue.list"})";
  raw.send(request + std::string((1 << 20) - request.size(), ' ') + "\n");
  assert_non_null(strstr(raw.line().c_str(), "\"queues\""));
  raw.send(request + std::string((1 << 20) - request.size() + 1, ' ') + "\n");
  assert_int_equal(code_of(raw.line()), -32005);
}

void a_request_may_come_byte_by_byte(void**) {
  Raw raw;
  for (const char* c = kStats; *c; ++c) raw.send({c, 1});
  assert_non_null(strstr(raw.line().c_str(), "\"queues\""));
}

void half_a_line_holds_up_nobody(void**) {
  std::vector<std::unique_ptr<Raw>> halves;
  for (int i = 0; i < 10; ++i) {
    halves.push_back(std::make_unique<Raw>());
    halves.back()->send(R"({"jsonrpc":"2.0","id":1,"meth)");
  }
  lives();
}

void pipelined_requests_are_all_answered(void**) {
  Raw raw;
  std::string burst;
  constexpr int kCount = 3000;
  for (int i = 0; i < kCount; ++i) burst += R"({"jsonrpc":"2.0","id":)" + std::to_string(i) + R"(,"method":"engine.stats"})" + "\n";
  raw.send(burst);
  std::vector<bool> seen(kCount);
  for (int i = 0; i < kCount; ++i) {
    const auto answer = Json::parse(raw.line());
    const auto id = answer->view().get("id").integer();
    assert_true(id && *id >= 0 && *id < kCount && !seen[static_cast<size_t>(*id)]);
    seen[static_cast<size_t>(*id)] = true;
  }
}

void a_flood_of_one_peer_does_not_hold_up_another(void**) {
  Raw flood;
  std::string burst;
  for (int i = 0; i < 2000; ++i)
    burst += R"({"jsonrpc":"2.0","id":1,"method":"job.list","params":{"limit":200}})"
             "\n";
  for (size_t sent = 0; sent < burst.size();) {
    const size_t step = flood.send_what_fits(std::string_view(burst).substr(sent));
    if (step == 0) break;  // it reads no more, since nobody takes the answers
    sent += step;
    lives();
  }
  lives();
}

void a_peer_that_takes_no_answers_is_closed(void**) {
  for (int i = 0; i < 40; ++i) (void)daemon->submit("echo", R"(,"queue":"one")");
  Raw raw;
  std::string burst;
  for (int i = 0; i < 2000; ++i)
    burst += R"({"jsonrpc":"2.0","id":1,"method":"job.list","params":{"limit":200}})"
             "\n";
  (void)raw.send_what_fits(burst);
  const auto stalled = [] { return *daemon->result("engine.stats", "{}").view().get("control").get("stalled").integer(); };
  const int64_t before = stalled();
  until("it is closed", [&] { return raw.closed(); });
  assert_int_equal(stalled(), before + 1);
}

void a_peer_that_reads_slowly_gets_everything(void**) {
  Raw raw;
  std::string burst;
  for (int i = 0; i < 300; ++i)
    burst += R"({"jsonrpc":"2.0","id":1,"method":"job.list","params":{"limit":200}})"
             "\n";
  raw.send(burst);
  for (int i = 0; i < 300; ++i) {
    assert_non_null(strstr(raw.line().c_str(), "\"jobs\""));
    if (i % 100 == 0) lives();
  }
}

void half_closed_peers_get_their_answers(void**) {
  Raw raw;
  raw.send(std::string(kStats) + R"({"jsonrpc":"2.0","id":2,"method":"job.list"})" + "\n" + kStats);
  raw.end_of_input();
  for (int i = 0; i < 3; ++i) assert_true(raw.line().size() > 10);
  assert_true(raw.ends());
}

// The engine's memory at its highest since the last call, in KiB.
long peak_kib() {
  std::ifstream status("/proc/" + std::to_string(daemon->pid()) + "/status");
  long kib = 0;
  for (std::string word; status >> word;)
    if (word == "VmHWM:") status >> kib;
  std::ofstream("/proc/" + std::to_string(daemon->pid()) + "/clear_refs") << "5";
  return kib;
}

void pipelined_lists_of_peers_that_hang_up_do_not_fill_the_engines_memory(void**) {
  for (int i = 0; i < 200; ++i)
    (void)daemon->submit("echo", R"(,"run_at_ms":4000000000000,"meta":{"text":")" + std::string(900, 'x') + "\"}");
  std::string lists;
  for (int i = 0; i < 2900; ++i)
    lists += R"({"jsonrpc":"2.0","id":1,"method":"job.list","params":{"limit":200}})"
             "\n";
  (void)peak_kib();
  const long before = peak_kib();
  for (const bool half : {false, true}) {
    std::vector<std::unique_ptr<Raw>> peers;
    for (int peer = 0; peer < 8; ++peer) {
      peers.push_back(std::make_unique<Raw>());
      (void)peers.back()->send_what_fits(lists);
      if (half) peers.back()->end_of_input();
    }
    lives();
    peers.clear();
    lives();
  }
  until("all are gone", [] { return daemon->result("engine.stats", "{}").view().get("control").get("connections").integer() == 1; });
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr long kKeptKib = 256 << 10;  // sanitizers keep what was freed for a while, and notes about all memory
#else
  constexpr long kKeptKib = 0;
#endif
  assert_in_range(peak_kib(), 1, before + kKeptKib + (64 << 10));  // 2,900 × 250 KB would be 725 MB
}

void a_notification_is_carried_out_and_not_answered(void**) {
  const auto jobs_of = [](const char* owner) {
    return daemon->result("job.list", std::string(R"({"owner":")") + owner + "\"}").view().get("jobs").size();
  };
  Raw raw;
  raw.send(R"({"jsonrpc":"2.0","method":"job.submit","params":{"kind":"echo","owner":"quiet"}})"
           "\n");
  raw.send(R"({"jsonrpc":"2.0","method":"attach"})"
           "\n");
  raw.send(R"({"jsonrpc":"2.0","method":"no.such"})"
           "\n");
  raw.send(kStats);
  assert_non_null(strstr(raw.line().c_str(), "\"queues\""));
  until("the job is there", [&] { return jobs_of("quiet") == 1; });
  {
    Raw gone;
    gone.send(R"({"jsonrpc":"2.0","method":"job.submit","params":{"kind":"echo","owner":"gone"}})"
              "\n");
  }
  until("the job of a peer that left is there", [&] { return jobs_of("gone") == 1; });
}

void more_connections_than_allowed_are_told_so(void**) {
  until("the others are gone", [] { return daemon->result("engine.stats", "{}").view().get("control").get("connections").integer() == 1; });

  std::vector<std::unique_ptr<Raw>> crowd;
  unsigned full = 0;
  for (int i = 0; i < 60; ++i) {
    crowd.push_back(std::make_unique<Raw>());
    crowd.back()->send(kStats);
    const std::string answer = crowd.back()->line();
    if (answer.find("\"queues\"") == std::string::npos) {
      assert_int_equal(code_of(answer), -32005);
      assert_true(crowd.back()->ends());
      ++full;
    }
  }
  assert_int_equal(full, 60 - 23);  // the fixture has one
  crowd.clear();
  until("there is room again", [] {
    Raw raw;
    raw.send(kStats);
    return raw.line().find("\"queues\"") != std::string::npos;
  });
}

void connections_that_come_and_go_leave_nothing_behind(void**) {
  const auto descriptors = [] {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(daemon->pid()) + "/fd"))
      ++count;
    return count;
  };
  lives();
  const size_t before = descriptors();
  for (int i = 0; i < 300; ++i) {
    Raw raw;
    raw.send(std::string(kStats) + R"({"jsonrpc":"2.0","id":2,"method":"attach"})" + "\n");
    if (i % 3 == 0) (void)raw.line();
  }
  until("all descriptors are closed", [&] { return descriptors() <= before; });
}

void descriptors_that_a_peer_sends_are_not_kept(void**) {
  Raw raw;
  const size_t before =
      static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(daemon->pid()) + "/fd"), {}));
  for (int i = 0; i < 50; ++i) {
    char byte = ' ';
    iovec data{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = raw.fd();
    std::copy_n(reinterpret_cast<const char*>(&fd), sizeof fd, reinterpret_cast<char*>(CMSG_DATA(header)));
    (void)sendmsg(raw.fd(), &message, MSG_NOSIGNAL);
  }
  raw.send(kStats);
  assert_non_null(strstr(raw.line().c_str(), "\"queues\""));
  const size_t after =
      static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(daemon->pid()) + "/fd"), {}));
  assert_true(after <= before + 1);
}

void mangled_requests_do_no_harm(void**) {
  std::minstd_rand random(7);
  const std::vector<std::string> lines = {
      R"({"jsonrpc":"2.0","id":1,"method":"job.submit","params":{"kind":"echo","owner":"alice","args":{"a":[1,2,{"b":"c"}]},"priority":3,"run_at_ms":99999999999999,"meta":{"x":null}}})",
      R"({"jsonrpc":"2.0","id":"abc","method":"job.list","params":{"states":["queued","running"],"limit":200,"cursor":"0192f0c1-0000-7000-8000-000000000000"}})",
      R"({"jsonrpc":"2.0","id":1,"method":"job.log","params":{"job_id":"0192f0c1-0000-7000-8000-000000000000","offset":-5,"limit":262144}})",
      R"({"jsonrpc":"2.0","id":1,"method":"attach","params":{"membarrier":true}})"};
  auto raw = std::make_unique<Raw>();
  for (int i = 0; i < 3000; ++i) {
    std::string line = lines[random() % lines.size()];
    for (unsigned n = random() % 4; n > 0; --n) {
      const size_t at = random() % line.size();
      if (random() % 3 == 0)
        line.erase(at, 1 + random() % 9);
      else if (random() % 2)
        line[at] = static_cast<char>(random());
      else
        line.insert(at, line.substr(random() % line.size(), random() % 20));
      if (line.empty()) line = "{";
    }
    raw->send(line + "\n");
    if (raw->closed() || i % 50 == 0) raw = std::make_unique<Raw>();
  }
  lives();
}

// What the peer is counts, not what it knows: the file's mode alone does not let anybody in.
void a_stranger_is_refused(void**) {
  if (geteuid() != 0) skip();
  const passwd* const nobody = getpwnam("nobody");
  if (!nobody) skip();
  chmod(daemon->dir().c_str(), 0711);
  chmod(daemon->socket().c_str(), 0666);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0) _exit(2);
    Raw raw;
    _exit(code_of(raw.line()) == -32001 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(garbage_is_refused_and_ends_the_connection),
      cmocka_unit_test(what_is_no_request_is_refused_and_the_connection_lives_on),
      cmocka_unit_test(deep_json_is_refused),
      cmocka_unit_test(a_line_without_end_is_cut_off),
      cmocka_unit_test(a_line_of_one_mebibyte_is_carried_out),
      cmocka_unit_test(a_request_may_come_byte_by_byte),
      cmocka_unit_test(half_a_line_holds_up_nobody),
      cmocka_unit_test(pipelined_requests_are_all_answered),
      cmocka_unit_test(a_flood_of_one_peer_does_not_hold_up_another),
      cmocka_unit_test(a_peer_that_takes_no_answers_is_closed),
      cmocka_unit_test(a_peer_that_reads_slowly_gets_everything),
      cmocka_unit_test(half_closed_peers_get_their_answers),
      cmocka_unit_test(pipelined_lists_of_peers_that_hang_up_do_not_fill_the_engines_memory),
      cmocka_unit_test(a_notification_is_carried_out_and_not_answered),
      cmocka_unit_test(more_connections_than_allowed_are_told_so),
      cmocka_unit_test(connections_that_come_and_go_leave_nothing_behind),
      cmocka_unit_test(descriptors_that_a_peer_sends_are_not_kept),
      cmocka_unit_test(mangled_requests_do_no_harm),
      cmocka_unit_test(a_stranger_is_refused),
  };
  return cmocka_run_group_tests(tests, start_daemon, stop_daemon);
}
