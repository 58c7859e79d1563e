// Questions and their answers in one line, for the tests of plo-equity.
#pragma once

#include <string>

#include "examples/plo-equity/crew.h"
#include "tests/cmocka.h"

namespace plo {

inline Outcomes solve(const Question& question, unsigned threads = 1) {
  auto outcomes = run(Equity(question), threads, [](const Outcomes&) {}, [] { return false; });
  assert_true(outcomes.has_value());
  return *outcomes;
}

inline Question ask(std::string_view json) {
  auto question = read_question(json);
  if (!question) fail_msg("%s", question.error().detail.c_str());
  return *question;
}

inline Question ask(std::initializer_list<const char*> hands, const std::string& board = "") {
  std::string list;
  for (const char* hand : hands) (list += list.empty() ? "\"" : ",\"") += std::string(hand) + '"';
  return ask("{\"hands\":[" + list + "],\"board\":\"" + board + "\"}");
}

}  // namespace plo
