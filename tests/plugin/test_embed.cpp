// The plugin inside a program of its own: linked, not loaded, on Debian's libwebsockets. One thread serves and asks.
#include "jobcast/embed.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/id.h"
#include "tests/cmocka.h"

namespace {

// Turns the loop until the answer is whole or the patience ends.
std::string ask(lws_context* context, int port, const std::string& request) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  assert_int_equal(send(fd, request.data(), request.size(), 0), request.size());
  std::string answer;
  for (int turn = 0; turn < 1000 && answer.find("\r\n\r\n") == std::string::npos; ++turn) {
    lws_cancel_service(context);
    lws_service(context, 0);
    char bytes[4096];
    const ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) answer.append(bytes, static_cast<size_t>(got));
  }
  close(fd);
  return answer;
}

}  // namespace

static void plugin_serves_inside_a_program_of_its_own(void**) {
  char key_path[] = "/tmp/jobcast-key-XXXXXX";
  const int key = mkstemp(key_path);
  const std::string secret = jobcast::random_hex(32);
  assert_int_equal(write(key, secret.data(), secret.size()), secret.size());
  close(key);
  const std::string key_option = std::string("HS256:") + key_path;
  const lws_protocol_vhost_options engine{nullptr, nullptr, "engine", "/nonexistent/engine.sock"};
  const lws_protocol_vhost_options keys{&engine, nullptr, "key", key_option.c_str()};
  const lws_protocol_vhost_options pvo{nullptr, &keys, "jobcast", ""};
  lws_http_mount mount{};
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
  lws_context* context = lws_create_context(&info);
  assert_non_null(context);
  lws_vhost* vhost = lws_get_vhost_by_name(context, "default");
  const int port = lws_get_vhost_listen_port(vhost);

  assert_int_equal(ask(context, port, "GET /jobcast/health/live HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 200"), 0);
  assert_int_equal(ask(context, port, "GET /jobcast/health/ready HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 503"), 0);
  assert_int_equal(ask(context, port, "GET /jobcast/v1/jobs HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 401"), 0);
  assert_int_equal(ask(context, port, "GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n").find("HTTP/1.1 404"), 0);
  const std::string upgrade =
      "GET /jobcast/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jobcast.v1\r\n\r\n";
  assert_int_equal(ask(context, port, upgrade).find("HTTP/1.1 101"), 0);
  assert_int_equal(
      ask(context, port, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
          .find("101"),
      std::string::npos);
  jobcast_lws_shutdown(vhost);
  for (int turn = 0; turn < 1000 && jobcast_lws_open(vhost) > 0; ++turn) {
    lws_cancel_service(context);
    lws_service(context, 0);
  }
  assert_int_equal(jobcast_lws_open(vhost), 0);
  lws_context_destroy(context);
  unlink(key_path);
}

static void c_program_gets_the_logs_lines(void**) {
  std::string lines;
  jobcast_log_sink([](int level, const char* line,
                      void* user) { static_cast<std::string*>(user)->append(std::to_string(level)).append(" ").append(line).append("\n"); },
                   &lines);
  const lws_protocol_vhost_options pvo{nullptr, nullptr, "jobcast", ""};  // no key: an error
  lws_context_creation_info info{};
  info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
  info.protocols = jobcast_lws_protocols();
  info.pvo = &pvo;
  lws_set_log_level(0, nullptr);
  const auto start_and_end = [&info, &lines] {
    lws_context* context = lws_create_context(&info);
    assert_non_null(context);
    for (int turn = 0; turn < 1000 && lines.empty(); ++turn) {
      lws_cancel_service(context);
      lws_service(context, 0);
    }
    lws_context_destroy(context);
  };
  start_and_end();
  assert_int_equal(lines.find("0 event=vhost_disabled"), 0);
  assert_int_equal(lines.back(), '\n');
  jobcast_log_threshold(-1);  // no level: the nearest one, errors
  lines.clear();
  start_and_end();
  assert_int_equal(lines.find("0 event=vhost_disabled"), 0);
  jobcast_log_threshold(JOBCAST_LOG_NOTICE);
  jobcast_log_sink(nullptr, nullptr);
}

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(plugin_serves_inside_a_program_of_its_own), cmocka_unit_test(c_program_gets_the_logs_lines)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
