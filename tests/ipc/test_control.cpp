// The control socket's lines, written and read back; and the blocking client against a small engine of the test's own.
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <thread>

#include "ipc/control.h"
#include "ipc/control_client.h"
#include "ipc/fd_channel.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;

void lines_come_out_whole_however_they_came_in(void**) {
  const std::string stream = "one\n\nthree\nfo";
  for (size_t step = 1; step <= stream.size(); ++step) {
    LineBuffer lines;
    std::string seen;
    for (size_t at = 0; at < stream.size(); at += step) {
      lines.append(std::string_view(stream).substr(at, step));
      for (auto next = lines.next(); *next; next = lines.next()) seen += "<" + std::string(**next) + ">";
    }
    assert_string_equal(seen.c_str(), "<one><><three>");
  }
}

void a_line_without_end_is_given_up(void**) {
  LineBuffer lines(10);
  lines.append("0123456789\n");
  assert_int_equal((*lines.next())->size(), 10);
  lines.append("0123456789");
  assert_true(lines.next().ok());
  lines.append("x");
  assert_true(lines.next().error().code == Errc::full);
}

void a_request_survives_a_round_trip(void**) {
  Json params = Json::object();
  params.set("kind", "plo");
  const std::string line = request_line(42, "job.submit", params);
  assert_string_equal(line.c_str(), "{\"jsonrpc\":\"2.0\",\"id\":42,\"method\":\"job.submit\",\"params\":{\"kind\":\"plo\"}}\n");
  auto parsed = parse_request(std::string_view(line).substr(0, line.size() - 1));
  assert_true(parsed.request.has_value());
  assert_string_equal(parsed.request->method.c_str(), "job.submit");
  assert_string_equal(parsed.request->id.c_str(), "42");
  assert_true(parsed.request->params().get("kind").string() == "plo");
  auto notification = parse_request(R"({"jsonrpc":"2.0","method":"x"})");
  assert_true(notification.request && notification.request->id.empty() && !notification.request->params().exists());
}

void what_is_no_request_is_refused_with_the_codes_of_json_rpc(void**) {
  const struct {
    const char* line;
    const char* code;
    const char* id;
    bool close;
  } cases[] = {
      {"{", "-32700", "\"id\":null", true},
      {"[]", "-32600", "\"id\":null", false},
      {"5", "-32600", "\"id\":null", false},
      {R"({"jsonrpc":"1.0","id":"a","method":"x"})", "-32600", "\"id\":\"a\"", false},
      {R"({"jsonrpc":"2.0","id":3})", "-32600", "\"id\":3", false},
      {R"({"jsonrpc":"2.0","id":3,"method":"x","params":[]})", "-32600", "\"id\":3", false},
      {R"({"jsonrpc":"2.0","id":{},"method":"x"})", "-32600", "\"id\":null", false},
  };
  for (const auto& one : cases) {
    auto parsed = parse_request(one.line);
    assert_false(parsed.request.has_value());
    assert_non_null(strstr(parsed.refusal.c_str(), one.code));
    assert_non_null(strstr(parsed.refusal.c_str(), one.id));
    assert_int_equal(parsed.close, one.close);
    assert_int_equal(parsed.refusal.back(), '\n');
  }
}

void every_error_code_survives_a_round_trip(void**) {
  for (const Errc code :
       {Errc::invalid, Errc::unauthorized, Errc::not_found, Errc::full, Errc::retry, Errc::closed, Errc::corrupt, Errc::internal}) {
    std::string line = error_line("9", {code, "why \"so\"", "args.kind"});
    line.pop_back();
    auto response = parse_response(line);
    assert_int_equal(response->id, 9);
    assert_true(response->error->code == code);
    assert_string_equal(response->error->detail.c_str(), "why \"so\"");
    assert_string_equal(response->error->field.c_str(), "args.kind");
  }
  assert_string_equal(error_line("1", {Errc::invalid, "kind is required: a non-empty string", "kind"}).c_str(),
                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\"message\":\"kind is required: a non-empty string\","
                      "\"data\":{\"code\":\"invalid\",\"field\":\"kind\"}}}\n");
}

void what_is_no_answer_is_corrupt(void**) {
  for (const char* line :
       {"", "[]", "{}", R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","id":"x","result":1})", R"({"jsonrpc":"2.0","id":1,"error":{}})",
        R"({"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"},"result":1})"})
    assert_true(parse_response(line).error().code == Errc::corrupt);
}

// Listens on a path of its own and answers the requests of one connection by `answer`.
template <class Answer>
struct Engine {
  std::string path;
  Fd listener;
  std::thread thread;
  explicit Engine(Answer answer) : path("/tmp/jobcast-test-control-" + std::to_string(getpid())) {
    unlink(path.c_str());
    listener.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.data(), path.size());
    assert_int_equal(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    assert_int_equal(listen(listener.get(), 1), 0);
    thread = std::thread([this, answer] {
      Fd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      LineBuffer lines;
      char buffer[4096];
      for (;;) {
        auto received = receive_with_fds(peer.get(), buffer);
        if (!received) return;
        lines.append({buffer, received->bytes});
        for (auto next = lines.next(); *next; next = lines.next()) answer(peer.get(), *parse_request(**next).request);
      }
    });
  }
  ~Engine() {
    thread.join();
    unlink(path.c_str());
  }
};

void the_client_gets_results_errors_and_descriptors(void**) {
  Fd memory(memfd_create("m", 0));
  Engine engine([&](int peer, const Request& request) {
    if (request.method == "attach") {
      const int fds[] = {memory.get(), memory.get(), memory.get()};
      (void)send_with_fds(peer, result_line(request.id, "{\"layout_version\":1}"), fds);
    } else if (request.method == "silence") {
    } else if (request.method == "late") {
      (void)send_with_fds(peer, result_line("2", "\"of a call that gave up\"") + result_line(request.id, "7"));
    } else {
      (void)send_with_fds(peer, error_line(request.id, {Errc::not_found, "no such job", "job_id"}));
    }
  });
  {
    auto client = ControlClient::connect(engine.path);
    auto error = client->call("job.get", Json::object());
    assert_true(error.error().code == Errc::not_found);
    assert_string_equal(error.error().field.c_str(), "job_id");
    assert_true(client->call("silence", Json::object(), 20).error().code == Errc::closed);
    assert_int_equal(client->call("late", Json::object())->view().get("result").integer().value(), 7);
    auto attached = client->attach();
    assert_true(attached.ok() && attached->region && attached->block && attached->doorbell);
  }
}

void an_absent_engine_is_named(void**) {
  const auto client = ControlClient::connect("/nonexistent/engine.sock");
  assert_true(client.error().code == Errc::not_found);
  assert_non_null(strstr(client.error().detail.c_str(), "/nonexistent/engine.sock"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(lines_come_out_whole_however_they_came_in),
      cmocka_unit_test(a_line_without_end_is_given_up),
      cmocka_unit_test(a_request_survives_a_round_trip),
      cmocka_unit_test(what_is_no_request_is_refused_with_the_codes_of_json_rpc),
      cmocka_unit_test(every_error_code_survives_a_round_trip),
      cmocka_unit_test(what_is_no_answer_is_corrupt),
      cmocka_unit_test(the_client_gets_results_errors_and_descriptors),
      cmocka_unit_test(an_absent_engine_is_named),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
