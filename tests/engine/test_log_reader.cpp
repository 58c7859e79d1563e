// job.log's pieces: any bytes become text, and the pieces together are the file.
#include "engine/log_reader.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;
using namespace jobcast::engine;
constexpr size_t kPlenty = 1 << 20;

std::string path;

int make_path(void**) {
  char name[] = "/tmp/jobcast-log-XXXXXX";
  close(mkstemp(name));
  path = name;
  return 0;
}

int remove_path(void**) { return unlink(path.c_str()); }

void write(std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string text(const LogPiece& piece) {
  const auto read = Json::parse("[" + piece.json + "]");
  if (!read) fail_msg("%s in %s", read.error().detail.c_str(), piece.json.c_str());
  return std::string(read->view().at(0).string().value());
}

void a_log_that_is_not_there_is_empty(void**) {
  const auto piece = read_log("/nonexistent/x.log", 5, 10, true, kPlenty);
  assert_true(piece.ok());
  assert_string_equal(piece->json.c_str(), "\"\"");
  assert_int_equal(piece->size, 0);
  assert_int_equal(piece->next_offset, 0);
}

void offsets_count_from_the_start_or_from_the_end(void**) {
  write("0123456789");
  assert_string_equal(text(*read_log(path, 2, 5, true, kPlenty)).c_str(), "23456");
  assert_string_equal(text(*read_log(path, -4, 100, true, kPlenty)).c_str(), "6789");
  assert_string_equal(text(*read_log(path, -400, 100, true, kPlenty)).c_str(), "0123456789");
  const auto beyond = read_log(path, 99, 5, true, kPlenty);
  assert_int_equal(beyond->offset, 10);
  assert_int_equal(beyond->next_offset, 10);
}

void broken_bytes_and_nul_become_replacement_characters(void**) {
  write(std::string_view("a\xff\x00z\xc3(\xed\xa0\x80", 9));
  const std::string r = "\xEF\xBF\xBD";
  const std::string wanted = "a" + r + r + "z" + r + "(" + r + r + r;
  assert_string_equal(text(*read_log(path, 0, 100, true, kPlenty)).c_str(), wanted.c_str());
}

void a_character_is_not_torn_between_pieces(void**) {
  const std::string whole = "aé€😀bé";
  write(whole);
  for (int64_t limit = 1; limit < 12; ++limit) {
    std::string joined;
    int64_t at = 0;
    while (at < static_cast<int64_t>(whole.size())) {
      const auto piece = read_log(path, at, limit, false, kPlenty);
      assert_true(piece->next_offset > at);
      assert_int_equal(piece->offset, at);
      joined += text(*piece);
      at = piece->next_offset;
    }
    assert_string_equal(joined.c_str(), whole.c_str());
  }
}

void a_character_that_is_still_being_written_waits_unless_the_job_is_over(void**) {
  write("ok\xe2\x82");
  const auto running = read_log(path, 0, 100, false, kPlenty);
  assert_string_equal(text(*running).c_str(), "ok");
  assert_int_equal(running->next_offset, 2);
  const auto over = read_log(path, 0, 100, true, kPlenty);
  assert_int_equal(over->next_offset, 4);
  assert_string_equal(text(*over).c_str(), "ok\xEF\xBF\xBD\xEF\xBF\xBD");
}

void an_offset_from_the_end_begins_with_a_whole_character(void**) {
  write("a€b");
  const auto piece = read_log(path, -2, 100, true, kPlenty);
  assert_string_equal(text(*piece).c_str(), "b");
  assert_int_equal(piece->offset, 4);
  assert_int_equal(piece->next_offset, 5);
}

void a_piece_is_cut_where_its_json_would_be_too_large(void**) {
  write(std::string(1000, '\x01'));
  const auto piece = read_log(path, 0, 1000, true, 602);
  assert_int_equal(piece->next_offset, 100);
  assert_true(piece->json.size() <= 602);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_log_that_is_not_there_is_empty),
      cmocka_unit_test(offsets_count_from_the_start_or_from_the_end),
      cmocka_unit_test(broken_bytes_and_nul_become_replacement_characters),
      cmocka_unit_test(a_character_is_not_torn_between_pieces),
      cmocka_unit_test(a_character_that_is_still_being_written_waits_unless_the_job_is_over),
      cmocka_unit_test(an_offset_from_the_end_begins_with_a_whole_character),
      cmocka_unit_test(a_piece_is_cut_where_its_json_would_be_too_large),
  };
  return cmocka_run_group_tests(tests, make_path, remove_path);
}
