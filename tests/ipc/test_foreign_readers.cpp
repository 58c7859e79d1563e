// Readers that are not ours to link: the example in plain C and the one in Python, run as programs against a small engine of the test's
// own. Each must print every job's newest state, then every event, across laps of the ring, and end when the engine does.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "ipc/control.h"
#include "ipc/fd_channel.h"
#include "tests/ipc/region_fixture.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

constexpr uint64_t kBefore = 20, kAfter = 4000;

Fd listen_at(const std::string& path) {
  unlink(path.c_str());
  Fd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());
  assert_int_equal(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  assert_int_equal(listen(listener.get(), 1), 0);
  return listener;
}

Fd serve_attach(const Fd& listener, RegionWriter& writer) {
  pollfd ready{listener.get(), POLLIN, 0};
  assert_int_equal(poll(&ready, 1, 20'000), 1);
  Fd peer(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  char buffer[512];
  LineBuffer lines;
  auto received = receive_with_fds(peer.get(), buffer);
  assert_true(received.ok());
  lines.append({buffer, received->bytes});
  const auto line = lines.next();
  assert_true(line.ok() && line->has_value());
  const auto parsed = parse_request(**line);
  assert_string_equal(parsed.request->method.c_str(), "attach");
  const auto grant = writer.add_reader().value();
  const int fds[] = {grant.region.get(), grant.block.get(), grant.doorbell.get()};
  assert_true(send_with_fds(peer.get(), result_line(parsed.request->id, "{\"layout_version\":1}"), fds).ok());
  return peer;
}

void publish_line(RegionWriter& writer, uint64_t rev) {
  const std::string snapshot = "{\"n\":" + std::to_string(rev) + ",\"fill\":\"" + std::string(rev % 300, 'x') + "\"}";
  writer.publish({.job = job(static_cast<uint32_t>(rev % 10)),
                  .rev = rev,
                  .state = JobState::running,
                  .list_changed = false,
                  .owner = "alice",
                  .snapshot = snapshot});
  writer.flush();
}

uint64_t rev_of(const char* line) {
  unsigned long long rev = 0, number = 0;
  char state[32], id[64];
  assert_int_equal(sscanf(line, "%llu %31s %63s {\"n\":%llu", &rev, state, id, &number), 4);
  assert_int_equal(rev, number);
  assert_string_equal(state, "running");
  assert_string_equal(id, job(static_cast<uint32_t>(rev % 10)).text().c_str());
  return rev;
}

void follow(const std::string& program) {
  const std::string path = "/tmp/jobcast-test-foreign-" + std::to_string(getpid());
  const Fd listener = listen_at(path);
  auto writer = std::make_unique<RegionWriter>(
      RegionWriter::create({.ring_bytes = 65536, .slots = 16, .first_position = (uint64_t{1} << 32) - 100}).value());
  for (uint64_t rev = 1; rev <= kBefore; ++rev) publish_line(*writer, rev);
  FILE* output = popen((program + " " + path).c_str(), "r");
  assert_non_null(output);
  Fd peer = serve_attach(listener, *writer);

  char line[8192];
  uint64_t last = 0;
  for (int slot = 0; slot < 10; ++slot) {
    assert_non_null(fgets(line, sizeof line, output));
    assert_true(rev_of(line) > kBefore - 10);
  }
  last = kBefore;
  // One by one, and the reader sleeps in between: each must wake it.
  for (uint64_t rev = kBefore + 1; rev <= kBefore + 20; ++rev) {
    publish_line(*writer, rev);
    writer->flush();
    assert_non_null(fgets(line, sizeof line, output));
    assert_int_equal(rev_of(line), ++last);
  }
  // Faster than it can print: it may be lapped and jump, but ends at the newest.
  for (uint64_t rev = last + 1; rev <= kAfter; ++rev) {
    publish_line(*writer, rev);
    writer->flush();
  }
  writer.reset();
  uint64_t highest = 0;
  while (fgets(line, sizeof line, output)) highest = std::max(highest, rev_of(line));
  assert_int_equal(highest, kAfter);
  assert_int_equal(pclose(output), 0);
  unlink(path.c_str());
}

void the_reader_in_c_prints_every_change(void**) { follow(std::string(getenv("JOBCAST_BIN")) + "/examples/lane-reader"); }

void the_reader_in_python_prints_every_change(void**) {
  follow(std::string("python3 ") + getenv("JOBCAST_SOURCE") + "/examples/lane-reader-python/lane_reader.py");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_reader_in_c_prints_every_change),
      cmocka_unit_test(the_reader_in_python_prints_every_change),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
