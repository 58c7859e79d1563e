// Frames as bytes: ws headers, events, a snapshot's frames on each wire, and their count.
#include "lws-plugin/frames.h"

#include "lws-plugin/snapshot.h"
#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

struct Built : Metrics {
  Counter frames{*this, "frames", "Frames."};
};

void ws_header_has_the_length_in_its_shortest_form(void**) {
  const auto header = [](uint64_t bytes) {
    std::string out;
    append_ws_header(out, bytes);
    return out;
  };
  assert_true(header(0) == std::string("\x81\x00", 2));
  assert_true(header(125) == std::string("\x81\x7d", 2));
  assert_true(header(126) == std::string("\x81\x7e\x00\x7e", 4));
  assert_true(header(65535) == std::string("\x81\x7e\xff\xff", 4));
  assert_true(header(65536) == std::string("\x81\x7f\0\0\0\0\0\x01\0\0", 10));
  assert_true(header(0x0102030405060708) == std::string("\x81\x7f\x01\x02\x03\x04\x05\x06\x07\x08", 10));
}

void ws_event_carries_data_and_id_byte_for_byte(void**) {
  std::string out;
  append_event(out, Framing::ws, "pong", "{}", "\"a b\"");
  assert_string_equal(out.c_str() + 2, R"({"event":"pong","data":{},"id":"a b"})");
  assert_int_equal(static_cast<uint8_t>(out[1]), out.size() - 2);
}

void sse_event_is_a_block_of_lines(void**) {
  std::string out;
  append_event(out, Framing::sse, "job_update", "{\"a\":1}", {}, 4294967313);
  assert_string_equal(out.c_str(), "id: 4294967313\nevent: job_update\ndata: {\"a\":1}\n\n");
  out.clear();
  append_event(out, Framing::sse, "engine", "{}");
  assert_string_equal(out.c_str(), "event: engine\ndata: {}\n\n");
}

void frames_of_every_size_are_found_again_in_a_row_of_them(void**) {
  for (const Framing framing : {Framing::ws, Framing::sse}) {
    std::string all;
    std::vector<size_t> sizes;
    for (const size_t bytes : {0, 50, 95, 96, 97, 98, 99, 100, 200, 65000, 65500, 65510, 65536, 70000}) {
      const size_t before = all.size();
      append_event(all, framing, "e", "\"" + std::string(bytes, 'x') + "\"");
      sizes.push_back(all.size() - before);
    }
    std::string_view rest = all;
    for (const size_t bytes : sizes) {
      assert_int_equal(first_frame_bytes(framing, rest), bytes);
      rest.remove_prefix(bytes);
    }
    assert_true(rest.empty());
  }
}

void snapshot_has_the_engines_bytes_on_both_wires(void**) {
  const std::string text = snapshot(job(7), 42, JobState::failed, "alice");
  Built built;
  const Snapshot made({job(7), 42, JobState::failed, true, "alice", text}, built.frames);
  assert_true(made.json == text);
  assert_true(made.terminal());
  const auto ws = decode_ws(made.frame(Framing::ws)), list = decode_ws(made.list_frame(Framing::ws));
  assert_string_equal(ws[0].event.c_str(), "job_completed");
  assert_string_equal(ws[0].data.c_str(), text.c_str());
  assert_string_equal(list[0].data.c_str(), ("{\"rev\":42,\"job\":" + text + "}").c_str());
  assert_string_equal(made.frame(Framing::sse).c_str(), ("id: 42\nevent: job_completed\ndata: " + text + "\n\n").c_str());
  assert_ptr_equal(made.frame(Framing::sse).data(), made.frame(Framing::sse).data());
}

void snapshot_of_the_largest_size_keeps_its_bytes(void**) {
  const std::string text = "{\"x\":\"" + std::string(kSnapshotBytesMax - 8, 'x') + "\"}";
  Built built;
  const Snapshot made({job(7), 42, JobState::running, true, "alice", text}, built.frames);
  assert_true(made.json == text);
  assert_true(decode_ws(made.frame(Framing::ws))[0].data == text);
}

// jobcast_frames_built_total was always 0.
void every_frame_is_counted_once_however_often_it_is_sent(void**) {
  Built built;
  const std::string text = snapshot(job(7), 42, JobState::running, "alice");
  const Snapshot made({job(7), 42, JobState::running, true, "alice", text}, built.frames);
  assert_int_equal(built.frames, 1);
  for (int i = 0; i < 3; ++i) {
    (void)made.frame(Framing::ws);
    (void)made.frame(Framing::sse);
    (void)made.list_frame(Framing::sse);
  }
  assert_int_equal(built.frames, 3);
  assert_string_equal(built.text().c_str(), "# TYPE frames counter\n# HELP frames Frames.\nframes_total 3\n");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(ws_header_has_the_length_in_its_shortest_form),
      cmocka_unit_test(ws_event_carries_data_and_id_byte_for_byte),
      cmocka_unit_test(sse_event_is_a_block_of_lines),
      cmocka_unit_test(frames_of_every_size_are_found_again_in_a_row_of_them),
      cmocka_unit_test(snapshot_has_the_engines_bytes_on_both_wires),
      cmocka_unit_test(snapshot_of_the_largest_size_keeps_its_bytes),
      cmocka_unit_test(every_frame_is_counted_once_however_often_it_is_sent),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
