// What breaks inside the plugin ends the session or the connection that it broke in; the server and everybody else go on.
//
// The real plugin in a real lws: parse_message() and match_route() are wrapped at link time (CMakeLists.txt) and throw when a client's
// bytes tell them to.
#include "lws-plugin/contained.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "base/id.h"
#include "base/log.h"
#include "jobcast/embed.h"
#include "lws-plugin/messages.h"
#include "lws-plugin/router.h"
#include "tests/cmocka.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

void break_if_told(std::string_view text) {
  if (text.find("break-invariant") != std::string_view::npos) invariant(false);
  if (text.find("throw-exception") != std::string_view::npos) throw std::bad_alloc();
  if (text.find("throw-number") != std::string_view::npos) throw 42;
}

}  // namespace

Message real_parse(std::string_view text,
                   size_t bytes_max) __asm__("__real__ZN7jobcast6plugin13parse_messageESt17basic_string_viewIcSt11char_traitsIcEEm");
Message wrapped_parse(std::string_view text,
                      size_t bytes_max) __asm__("__wrap__ZN7jobcast6plugin13parse_messageESt17basic_string_viewIcSt11char_traitsIcEEm");
Message wrapped_parse(std::string_view text, size_t bytes_max) {
  break_if_told(text);
  return real_parse(text, bytes_max);
}

RouteMatch real_match(std::string_view path) __asm__("__real__ZN7jobcast6plugin11match_routeESt17basic_string_viewIcSt11char_traitsIcEE");
RouteMatch wrapped_match(std::string_view path) __asm__(
    "__wrap__ZN7jobcast6plugin11match_routeESt17basic_string_viewIcSt11char_traitsIcEE");
RouteMatch wrapped_match(std::string_view path) {
  break_if_told(path);
  return real_match(path);
}

namespace {

// A program of its own with the plugin in it; one thread serves and asks.
struct Program {
  char key_path[32] = "/tmp/jobcast-key-XXXXXX";
  lws_context* context = nullptr;
  std::string log;
  std::string secret = random_hex(32), key_option;
  // lws reads these when its loop begins.
  lws_protocol_vhost_options engine{nullptr, nullptr, "engine", "/nonexistent/engine.sock"}, keys{&engine, nullptr, "key", nullptr},
      pvo{nullptr, &keys, "jobcast", ""};
  lws_http_mount mount{};

  Program() {
    const int key = mkstemp(key_path);
    assert_int_equal(write(key, secret.data(), secret.size()), secret.size());
    ::close(key);
    key_option = std::string("HS256:") + key_path;
    keys.value = key_option.c_str();
    mount.mountpoint = "/jobcast";
    mount.mountpoint_len = 8;
    mount.origin = mount.protocol = "jobcast";
    mount.origin_protocol = LWSMPRO_CALLBACK;
    lws_context_creation_info info{};
    info.port = 0;
    info.iface = "lo";
    info.protocols = jobcast_lws_protocols();
    info.pvo = &pvo;
    info.mounts = &mount;
    lws_set_log_level(0, nullptr);
    log::set_sink([](void* user, log::Level, std::string_view line) { static_cast<std::string*>(user)->append(line).append("\n"); }, &log);
    context = lws_create_context(&info);
    assert_non_null(context);
  }
  ~Program() {
    lws_context_destroy(context);
    log::set_sink(nullptr);
    unlink(key_path);
  }
  void turn() {
    lws_cancel_service(context);
    lws_service(context, 0);
  }
};

struct Client {
  Program& program;
  int fd;
  std::string got;
  bool ended = false;

  explicit Client(Program& of) : program(of), fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(lws_get_vhost_listen_port(lws_get_vhost_by_name(program.context, "default"))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { ::close(fd); }

  void send(const std::string& bytes) { assert_int_equal(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size()); }
  // Turns the loop until `text` has come. Returns false if the connection ends before, or nothing comes.
  bool waits_for(const char* text) {
    for (int i = 0; i < 2000; ++i) {
      if (got.find(text) != std::string::npos) return true;
      if (ended) return false;
      program.turn();
      char bytes[4096];
      const ssize_t size = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (size > 0) got.append(bytes, static_cast<size_t>(size));
      ended = size == 0 || (size < 0 && errno != EAGAIN);
    }
    return false;
  }
  bool ends() { return !waits_for("\x01never\x01") && ended; }
  std::string get(const std::string& path) {
    send("GET /jobcast" + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)waits_for("\r\n\r\n");
    return got.substr(0, got.find("\r\n"));
  }
  void open_ws() {
    send(
        "GET /jobcast/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jobcast.v1\r\n\r\n");
    assert_true(waits_for("\"connected\""));
  }
  void say(const std::string& text) {  // one frame with a mask of zeros
    send(std::string("\x81") + static_cast<char>(0x80 | text.size()) + std::string(4, '\0') + text);
  }
};

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

}  // namespace

static void broken_invariant_in_a_message_closes_that_ws_alone(void**) {
  Program program;
  Client other(program);
  other.open_ws();
  const uint64_t before = faults().invariants_broken, thrown_before = faults().exceptions_contained;
  for (const char* how : {"break-invariant", "throw-exception", "throw-number"}) {
    Client client(program);
    client.open_ws();
    client.say(std::string(R"({"event":"ping","id":")") + how + "\"}");
    assert_true(client.ends());
  }
  assert_int_equal(faults().invariants_broken - before, 1);
  assert_int_equal(faults().exceptions_contained - thrown_before, 2);
  assert_int_equal(count(program.log, "event=invariant_broken"), 1);
  assert_int_equal(count(program.log, "event=exception"), 2);
  other.got.clear();
  other.say(R"({"event":"ping","id":7})");
  assert_true(other.waits_for("pong"));
}

static void broken_invariant_in_a_request_is_answered_500(void**) {
  Program program;
  for (const char* how : {"break-invariant", "throw-exception", "throw-number"}) {
    Client client(program);
    assert_string_equal(client.get(std::string("/v1/") + how).c_str(), "HTTP/1.1 500 Internal Server Error");
    assert_true(client.ends());
    assert_null(strstr(client.got.c_str(), ".cpp"));  // where it broke is for the log
  }
  Client after(program);
  assert_string_equal(after.get("/health/live").c_str(), "HTTP/1.1 200 OK");
  Client metrics(program);
  metrics.get("/metrics");
  assert_true(metrics.waits_for("jobcast_invariants_broken_total"));
  assert_true(metrics.waits_for("jobcast_exceptions_contained_total"));
}

static void floods_of_broken_invariants_do_not_flood_the_log(void**) {
  std::string log;
  log::set_sink([](void* user, log::Level, std::string_view line) { static_cast<std::string*>(user)->append(line).append("\n"); }, &log);
  const uint64_t before = faults().invariants_broken;
  for (int i = 0; i < 1000; ++i) assert_false(contained("test", [] { invariant(false); }));
  log::set_sink(nullptr);
  assert_int_equal(faults().invariants_broken - before, 1000);
  assert_in_range(count(log, "\n"), 1, 40);
}

static void broken_invariant_outside_the_plugin_ends_the_process(void**) {
  const pid_t pid = fork();
  if (pid == 0) {
    close(STDERR_FILENO);
    (void)contained("before", [] {});
    try {
      invariant(false);
    } catch (...) {
    }
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

// A cancelled thread unwinds by a foreign exception, which would end the process in a frame that lets nothing through.
static void cancelled_thread_ends_at_its_own_next_point(void**) {
#ifdef __SANITIZE_ADDRESS__
  skip();  // ASan takes the unwinding of a cancelled thread's stack for a use after its scope
#endif
  int ends[2];
  assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
  static bool finished = false;
  pthread_t thread{};
  const auto work = [](void* fd) -> void* {
    finished = contained("work", [fd] {
      char byte = 0;
      const ssize_t got = read(*static_cast<int*>(fd), &byte, 1);  // a point of cancellation
      assert_int_equal(got, 1);
    });
    for (;;) pause();
  };
  assert_int_equal(pthread_create(&thread, nullptr, work, &ends[0]), 0);
  pthread_cancel(thread);
  assert_int_equal(write(ends[1], "x", 1), 1);
  void* result = nullptr;
  pthread_join(thread, &result);
  assert_ptr_equal(result, PTHREAD_CANCELED);
  assert_true(finished);
  close(ends[0]);
  close(ends[1]);
}

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(broken_invariant_in_a_message_closes_that_ws_alone),
      cmocka_unit_test(broken_invariant_in_a_request_is_answered_500),
      cmocka_unit_test(floods_of_broken_invariants_do_not_flood_the_log),
      cmocka_unit_test(broken_invariant_outside_the_plugin_ends_the_process),
      cmocka_unit_test(cancelled_thread_ends_at_its_own_next_point),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
