// What plo-equity accepts and what it refuses: each refusal names the field, and the card where one is at fault.
#include <cstring>

#include "base/json.h"
#include "examples/plo-equity/question.h"
#include "tests/cmocka.h"

namespace {

void refused(const char* json, const char* field, std::initializer_list<const char*> words) {
  const auto question = plo::read_question(json);
  if (question) fail_msg("accepted: %s", json);
  assert_int_equal(question.error().code, jobcast::Errc::invalid);
  assert_string_equal(question.error().field.c_str(), field);
  const std::string& detail = question.error().detail;
  assert_true(jobcast::is_utf8(detail));
  assert_null(strchr(detail.c_str(), '\n'));
  for (const char* word : words)
    if (detail.find(word) == std::string::npos) fail_msg("\"%s\" is not in: %s", word, detail.c_str());
}

void bad_input_is_refused_by_field_and_card(void**) {
  refused(R"({"hands":["AsAhKsKh","As7d6c5d"]})", "hands[1]", {"hands[1] \"As7d6c5d\"", "As is already in hands[0]"});
  refused(R"({"hands":["AsAhKsAs","8c7d6c5d"]})", "hands[0]", {"the card As is there twice"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2c3c8c"})", "board", {"8c is already in hands[1]"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2c3c4c","dead":"9s4c"})", "dead", {"4c is already in board"});
  refused(R"({"hands":["AsAhKs","8c7d6c5d"]})", "hands[0]", {"\"AsAhKs\"", "has 3 cards; a hand has four or five"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d2s"]})", "hands[1]", {"has 5 cards, but hands[0] has 4"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d4h3h"]})", "hands[1]", {"has 6 cards"});
  refused(R"({"hands":["AsAhKsKh",""]})", "hands[1]", {"has 0 cards"});
  refused(R"({"hands":["AsAhKs1h","8c7d6c5d"]})", "hands[0]", {"\"1h\" is not a card", "rank \"1\""});
  refused(R"({"hands":["AsAhKsKx","8c7d6c5d"]})", "hands[0]", {"\"Kx\" is not a card", "suit \"x\""});
  refused(R"({"hands":["AsAhKsK","8c7d6c5d"]})", "hands[0]", {"\"K\" is half a card"});
  refused(R"({"hands":["AsAhKsK♥","8c7d6c5d"]})", "hands[0]", {"\"K♥\" is not a card", "c d h s"});
  refused(R"({"hands":["🂡AhKsKh","8c7d6c5d"]})", "hands[0]", {"\"🂡A\" is not a card"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2c"})", "board", {"\"2c\"", "has 1 card;"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2c3c"})", "board", {"has 2 cards"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":"2c3c4c5c6h7h"})", "board", {"has 6 cards"});
  refused(R"({"hands":["AsAhKsKh"]})", "hands", {"two to six hands"});
  refused("{}", "hands", {"two to six hands"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d","a","a","a","a","a"]})", "hands", {"7 elements; at most 6"});
  refused(R"({"hands":"AsAhKsKh"})", "hands", {"must be an array"});
  refused(R"({"hands":["AsAhKsKh",7]})", "hands", {"strings"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"board":7})", "board", {"must be a string"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"mode":"montecarlo"})", "mode", {"exact, monte-carlo"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"trials":0})", "trials", {"from 1 to 1000000000000"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"trials":1.5})", "trials", {"whole number"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"trials":1000000000001})", "trials", {"from 1 to 1000000000000"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"seed":-1})", "seed", {"from 0"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],"trails":5})", "trails", {"did you mean \"trials\"?"});
  refused(R"(["AsAhKsKh","8c7d6c5d"])", "", {"must be an object"});
  refused("", "", {"not JSON"});
  refused(R"({"hands":["AsAhKsKh","8c7d6c5d"],
    "dead":"AcAdKcKd8d8h8s7c7h7s6d6h6s5c5h5s4c4d4h4s3c3d3h3s2c2d2h2sQcQdQhQsJcJdJhJsTcTdThTs"})",
          "dead", {"leaves 4 cards in the deck", "still needs 5"});
}

void good_input_is_read(void**) {
  auto question = plo::read_question(
      R"({"hands":["As Ah Ks Kh","8C7D6C5D"],"board":"2c3c4c","dead":"Td","mode":"monte-carlo","trials":5,"seed":9007199254740992})");
  assert_true(question.ok());
  assert_string_equal(plo::text_of(question->hands[0]).c_str(), "AsAhKsKh");
  assert_string_equal(plo::text_of(question->hands[1]).c_str(), "8c7d6c5d");
  assert_string_equal(plo::text_of(question->board).c_str(), "2c3c4c");
  assert_string_equal(plo::text_of(question->dead).c_str(), "Td");
  assert_true(question->mode == plo::Mode::monte_carlo);
  assert_int_equal(question->trials, 5);
  assert_int_equal(question->seed, uint64_t{1} << 53);
}

void what_is_left_out_takes_its_default(void**) {
  auto question = plo::read_question(R"({"hands":["AsAhKsKhQc","8c7d6c5dQd"],"board":null})");
  assert_true(question.ok());
  assert_true(question->board.empty() && question->dead.empty());
  assert_true(question->mode == plo::Mode::exact);
  assert_int_equal(question->trials, 1000000);
  assert_int_equal(question->seed, 1);
}

void answer_has_the_promised_form(void**) {
  auto question = plo::read_question(R"({"hands":["AsAhKsKh","8c7d6c5d"]})");
  plo::Outcomes outcomes;
  outcomes.by_winners = {0, 2, 1, 1};
  assert_string_equal(
      plo::write_answer(*question, outcomes).c_str(),
      R"({"boards":4,"hands":[{"hand":"AsAhKsKh","win":2,"tie":1,"equity":0.625},{"hand":"8c7d6c5d","win":1,"tie":1,"equity":0.375}]})");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(bad_input_is_refused_by_field_and_card),
      cmocka_unit_test(good_input_is_read),
      cmocka_unit_test(what_is_left_out_takes_its_default),
      cmocka_unit_test(answer_has_the_promised_form),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
