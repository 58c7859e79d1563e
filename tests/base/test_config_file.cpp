// A configuration file with its slips: each named with its line and column, all of them at once, and what stands behind them read on.
#include "base/config_file.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <vector>

#include "base/fields.h"
#include "base/json_slips.h"
#include "base/unit.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;

// A file of its own for each test, gone after it.
struct File {
  std::string path = "/tmp/jobcast-test-config-XXXXXX";
  explicit File(std::string_view text) {
    close(mkstemp(path.data()));
    std::ofstream(path) << text;
  }
  ~File() { unlink(path.c_str()); }
};

// "LINE:COLUMN KEY PROBLEM" of each fault, one a line.
std::string faults_of(std::string_view text) {
  const File file(text);
  Faults faults;
  const ConfigFile config(file.path, faults);
  std::string out;
  for (const Fault& fault : faults.list()) {
    assert_string_equal(fault.file.c_str(), file.path.c_str());
    out += std::to_string(fault.line) + ":" + std::to_string(fault.column) + " " + fault.key + (fault.key.empty() ? "" : " ") +
           fault.problem + "\n";
  }
  return out;
}

struct Case {
  std::string_view text;
  const char* faults;
};

void every_usual_slip_is_named_where_it_stands(void**) {
  const Case cases[] = {
      {"{\"a\": 1,\n}", "1:8 a comma before the closing }: remove it\n"},
      {"[1, ]", "1:3 a comma before the closing ]: remove it\n"},
      {"{\"a\": 1\n \"b\": 2}", "1:8 a comma is missing behind this value\n"},
      {"{\"a\": {} \"b\": []\n\"c\": \"x\"}", "1:9 a comma is missing behind this value\n1:17 a comma is missing behind this value\n"},
      {"{\"a\": 1, # \"it's\" 01\n\"b\": 2 // x\n}",
       "1:10 a comment behind a value: here a comment is a line of its own that begins with #\n"
       "2:8 a comment behind a value: here a comment is a line of its own that begins with #\n"},
      {"/* one\n two */ {\"a\": 1}", "1:1 a comment of another language: here a comment is a line of its own that begins with #\n"},
      {"{'a': 'b c'}",
       "1:2 a single quote: strings and keys stand in plain double quotes (\")\n"
       "1:7 a single quote: strings and keys stand in plain double quotes (\")\n"},
      {"{\xE2\x80\x9C"
       "a\xE2\x80\x9D: 1}",
       "1:2 a typographic quote: strings and keys stand in plain double quotes (\")\n"},
      {"{a: 1, b-c: 2}", "1:2 the key a needs double quotes: \"a\"\n1:8 the key b-c needs double quotes: \"b-c\"\n"},
      {"{\"a\": yes}", "1:7 the word yes needs double quotes: \"yes\" (only true, false and null stand without)\n"},
      {"{\"a\": True, \"b\": None}",
       "1:7 the word True is written in small letters here: true\n1:18 the word None is written in small letters here: null\n"},
      {"{\"a\": {\"b\": 1}", "1:1 the { that opens here is never closed: a } is missing\n"},
      {"{\"a\": [1, {\"b\": 2]\n}", "1:18 the { of line 1, column 11 is not closed before this ]: a } is missing\n"},
      {"{\"a\": 1]", "1:8 a } belongs here, not ]: it closes the { of line 1, column 1\n"},
      {"{\"a\": 1}}", "1:9 one } too many: nothing is open here\n"},
      {"{\"a\" 1}", "1:5 a colon is missing behind the key \"a\"\n"},
      {"{\"a\" = 1; \"b\": 2}", "1:6 = behind the key \"a\": write a colon\n1:9 ; behind a value: write a comma\n"},
      {"{\"a\", \"b\": 1}", "1:5 a colon and a value are missing behind the key \"a\"\n"},
      {"{\"a\": , \"b\": }", "1:7 a value is missing before this comma\n1:14 a value is missing here\n"},
      {"{,\"a\": [,1]}", "1:2 a comma too many: nothing stands before it\n1:9 a comma too many: nothing stands before it\n"},
      {"{\"a\": 10s, \"b\": 5%}",
       "1:9 a number has no unit: remove \"s\" and give it in the unit that the key names\n"
       "1:18 a number has no unit: remove \"%\" and give it in the unit that the key names\n"},
      {"{\"a\": 0x1f}", "1:7 a number is written in decimal: write 31\n"},
      {"{\"a\": 012, \"b\": +5}", "1:7 a number begins with no 0: write 12\n1:17 a number begins with no +: remove it\n"},
      {"{\"a\": .5}", "1:7 this is no number as JSON writes it: .5\n"},
      {"{\"a\": 99999999999999999999}", "1:7 the number 99999999999999999999 is larger than any that is exact here (2^53)\n"},
      {"{\"a\": \"x,\n\"b\": 1}", "1:7 the string that begins here does not end on its line: a closing \" is missing\n"},
      {"{\"a: 1}", "1:2 the string that begins here does not end on its line: a closing \" is missing\n"},
      {"{\"a: \"b\"}", "1:2 the key that begins here has no closing \": \"a\"\n"},
      {"{\"a\": \"x\ty\"}", "1:9 a tab inside a string: write \\t\n"},
      {"{\"a\": \"C:\\dir\"}", "1:10 \\d means nothing in a string: a backslash itself is written \\\\\n"},
      {"{\"a\": \"say \"no\" to\"}", "1:12 this \" ends the string: inside of one it is written \\\"\n"},
      {"{\"\xC3\xA4\": 1\n \"b\": 2, \"c\":\xC2\xA0"
       "3}",
       "1:8 a comma is missing behind this value\n2:14 a no-break space stands here: write a plain one, or none\n"},
      {"\xEF\xBB\xBF{\"a\": 1}", "1:1 a byte order mark stands before the text: save the file as UTF-8 without one (BOM)\n"},
      {"{\"a\": \"\xE4\"}", "1:8 a byte that is not UTF-8 (0xe4; Latin-1?): save the file as UTF-8\n"},
      {std::string_view("{\"a\": 1\0}", 9), "1:8 a NUL byte: this is no text (UTF-16, or the remains of a crash?)\n"},
      {"\xFF\xFE{", "1:1 the file is UTF-16: save it as UTF-8\n"},
      {"\n# nothing\n", "3:1 the file is empty: {} is the least that it may hold\n"},
      {"{} {}", "1:4 the document has ended before this: a closing bracket too many, or two documents?\n"},
      {"{{}}", "1:2 a key in double quotes must stand here, then a colon and its value\n"},
      {"[\"a\": 1]", "1:5 a colon behind a value: what has a key stands in { }, and members are parted by commas\n"},
  };
  for (const Case& slip : cases) {
    const std::string faults = faults_of(slip.text);
    if (faults != slip.faults) fail_msg("%s\nwanted %sgot    %s", std::string(slip.text).c_str(), slip.faults, faults.c_str());
  }
}

void a_key_that_stands_twice_is_named_where_it_stands_again(void**) {
  assert_string_equal(faults_of("{\"a\": 1, \"b\": {\"c\": 1,\n  \"c\": 2},\n\"\\u0061\": 3}").c_str(),
                      "2:3 b.c stands here a second time: keep one\n3:1 a stands here a second time: keep one\n");
}

void what_stands_behind_a_slip_is_read_on(void**) {
  const File file("{\"n\": 99,\n 'wrong': 1,\n \"s\": 5 # c\n}");
  Faults faults;
  ConfigFile config(file.path, faults);
  Fields in(config.view(), "", &config);
  assert_int_equal(in.integer("n", 3, 1, 8), 3);
  (void)in.string("s", "");
  (void)in.finish();
  faults.sort();
  std::vector<std::string> told;
  for (const Fault& fault : faults.list()) told.push_back(fault.text().substr(file.path.size()));
  assert_int_equal(told.size(), 5);
  assert_string_equal(told[0].c_str(), ":1:7: error: n must be a whole number from 1 to 8, not 99");
  assert_string_equal(told[1].c_str(), ":2:2: error: a single quote: strings and keys stand in plain double quotes (\")");
  assert_string_equal(told[2].c_str(), ":2:2: error: wrong is not known here");
  assert_string_equal(told[3].c_str(), ":3:7: error: s must be a string, not number");
  assert_string_equal(told[4].c_str(), ":3:9: error: a comment behind a value: here a comment is a line of its own that begins with #");
  assert_true(faults.fatal() && faults.bad());
}

void every_value_is_found_where_it_stands(void**) {
  const File file("{\"a\": [1, \"x:y\", {\"b\": null}],\n\"k\\\"\": {\"c\": -2.5e3},\n  \"d\"  :  true}");
  Faults faults;
  ConfigFile config(file.path, faults);
  const JsonView root = config.view();
  (config.fail)(root, "", "root");
  (config.fail)(root.get("a").at(1), "", "x");
  config.fail_key(root.get("a").at(2).get("b"), "", "b");
  (config.fail)(root.get("a").at(2).get("b"), "", "null");
  (config.fail)(root.get("k\"").get("c"), "", "c");
  (config.fail)(root.get("d"), "", "d");
  (config.fail)(JsonView(), "", "nothing");
  const int wanted[][2] = {{1, 1}, {1, 11}, {1, 19}, {1, 24}, {2, 14}, {3, 11}, {0, 0}};
  for (size_t i = 0; i < std::size(wanted); ++i) {
    assert_int_equal(faults.list()[i].line, wanted[i][0]);
    assert_int_equal(faults.list()[i].column, wanted[i][1]);
  }
}

// Whatever is thrown at it: it ends, and what it calls whole is JSON.
void random_damage_is_always_survived(void**) {
  const std::string good = "{\"a\": [1, true, {\"b\": \"c\\n\"}], # x\n\"d\": 'e', f: 1.5e3}\n";
  unsigned state = 7;
  const auto random = [&] { return (state = state * 1664525U + 1013904223U) >> 8U; };
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    for (unsigned i = random() % 6 + 1; i > 0; --i) {
      const size_t at = random() % text.size();
      const std::string_view bytes("{}[]\",:'#/\\ \n\t=;0-x\xE2\x80\x9C\xFF", 23);
      if (random() % 2 == 0)
        text[at] = bytes[random() % bytes.size()];
      else
        text.erase(at, random() % 3);
      if (text.empty()) text = " ";
    }
    const MendedJson mended(text);
    for (const Slip& slip : mended.slips()) assert_true(slip.at <= text.size());
    if (mended.whole()) assert_true(Json::parse(mended.text()).ok());
    if (!mended.whole()) assert_true(!mended.slips().empty());
  }
}

void file_with_comments_is_read(void**) {
  const File file("# a comment\n  # \"another\": {\n{\n\t# inside \xC3\xA4\n\"a\": \"# none\"\n# last\n}\n#");
  const auto json = read_json_file(file.path);
  assert_true(json.ok());
  assert_string_equal(json->dump().c_str(), R"({"a":"# none"})");
}

void file_that_cannot_be_read_is_told_by_path(void**) {
  const auto absent = read_json_file("/nonexistent/x.json");
  assert_int_equal(absent.error().code, Errc::not_found);
  assert_string_equal(absent.error().detail.c_str(), "/nonexistent/x.json: No such file or directory");
  assert_string_equal(read_json_file("/tmp").error().detail.c_str(), "/tmp: Is a directory");
  const File large(std::string((1 << 20) + 1, ' '));
  assert_string_equal(read_json_file(large.path).error().detail.c_str(), (large.path + ": larger than 1048576 bytes").c_str());
  const File wrong("{\n\"a\": 01\n}");
  assert_string_equal(read_json_file(wrong.path).error().detail.c_str(), (wrong.path + ":2:6: a number begins with no 0: write 1").c_str());
}

void a_number_with_a_unit_is_told_as_the_number_that_was_meant(void**) {
  struct Meant {
    const char *text, *unit, *number;
  };
  for (const Meant& one : {Meant{"10s", "ms", "10000"},
                           {"2 min", "ms", "120000"},
                           {"1h", "s", "3600"},
                           {"64K", "bytes", "65536"},
                           {"2MiB", "bytes", "2097152"},
                           {"5", "ms", "5"},
                           {"500ms", "s", ""},
                           {"5 apples", "ms", ""},
                           {"10s", "bytes", ""},
                           {"99999999999s", "ms", ""},
                           {"", "ms", ""}})
    assert_string_equal(in_unit(one.text, one.unit).c_str(), one.number);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_usual_slip_is_named_where_it_stands),
      cmocka_unit_test(a_key_that_stands_twice_is_named_where_it_stands_again),
      cmocka_unit_test(what_stands_behind_a_slip_is_read_on),
      cmocka_unit_test(every_value_is_found_where_it_stands),
      cmocka_unit_test(random_damage_is_always_survived),
      cmocka_unit_test(file_with_comments_is_read),
      cmocka_unit_test(file_that_cannot_be_read_is_told_by_path),
      cmocka_unit_test(a_number_with_a_unit_is_told_as_the_number_that_was_meant),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
