// The command line: what is understood, and what is refused with which remedy.
#include <cstring>
#include <initializer_list>

#include "engine/cli/command.h"
#include "engine/cli/completion.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;
using namespace jobcast::cli;

Result<Parsed> parsed(std::initializer_list<const char*> words) {
  static std::vector<std::string> kept;
  kept.assign({"jobcast"});
  kept.insert(kept.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (auto& word : kept) argv.push_back(word.data());
  argv.push_back(nullptr);
  return parse(static_cast<int>(kept.size()), argv.data());
}

void refused(std::initializer_list<const char*> words, const char* because) {
  const auto result = parsed(words);
  if (result) fail_msg("accepted; it should have said: %s", because);
  if (!strstr(result.error().detail.c_str(), because)) fail_msg("said \"%s\" instead of \"%s\"", result.error().detail.c_str(), because);
}

void options_stand_before_or_after_operands(void**) {
  const auto result = parsed({"token", "--user", "alice", "-e", "60", "--json"});
  assert_true(result.ok());
  assert_string_equal(result->invocation.command->name, "token");
  assert_string_equal(result->invocation.get("user").c_str(), "alice");
  assert_int_equal(result->invocation.integer("expires-in", 1, 1, 100).value(), 60);
  assert_true(result->invocation.json());
  const auto before = parsed({"--json", "help", "--", "token"});
  assert_true(before.ok() && before->invocation.json());
  assert_string_equal(before->invocation.operands.at(0).c_str(), "token");
}

void faults_name_the_option_and_the_remedy(void**) {
  refused({"tokne"}, "did you mean 'token'?");
  refused({"token", "--user", "\xff"}, "argument 3 is not UTF-8");
  refused({"frobnicate"}, "there is no command 'frobnicate'");
  refused({"token", "--usr", "x"}, "there is no option --usr: did you mean --user?");
  refused({"token", "--usr=x"}, "did you mean --user?");
  refused({"token", "-x"}, "there is no option -x");
  refused({"token", "--user"}, "--user wants a value after it");
  refused({"token", "-u"}, "-u wants a value after it");
  refused({"token", "--json=yes"}, "--json takes no value");
  refused({"token", "--user", "a", "--user", "b"}, "--user is given twice");
  refused({"token", "extra"}, "'extra' is one argument too many");
  refused({"completion"}, "usage: jobcast completion [OPTIONS] bash|zsh|fish");
  refused({"--socket", "/x", "version"}, "--socket means nothing to 'version'");
}

void numbers_are_whole_and_in_range(void**) {
  for (const char* bad : {"", "1.5", "0", "101", "ten", "5 ", "99999999999999999999"}) {
    const auto result = parsed({"token", "--expires-in", bad});
    assert_true(result.ok());
    const auto number = result->invocation.integer("expires-in", 1, 1, 100);
    assert_false(number.ok());
    assert_string_equal(number.error().detail.c_str(), "--expires-in must be a whole number from 1 to 100");
  }
}

void every_command_explains_itself_within_eighty_columns(void**) {
  for (const Command* command : commands()) {
    const std::string text = help_text(*command);
    assert_non_null(strstr(text.c_str(), (std::string("usage: jobcast ") + command->name).c_str()));
    for (const Option& option : all_options(*command)) assert_non_null(strstr(text.c_str(), (std::string("--") + option.name).c_str()));
    if (command->speaks_to_engine && command->examples.empty()) fail_msg("%s has no example", command->name);
    assert_true(parsed({command->name, "--help"})->help);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      if (line.size() > 90 && !line.starts_with("  $ ")) fail_msg("%s: too long: %s", command->name, std::string(line).c_str());
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
  }
}

// An example that the parser would refuse teaches nothing.
void examples_are_understood(void**) {
  for (const Command* command : commands())
    for (const Example& example : command->examples) {
      std::vector<std::string> words{"jobcast"};
      std::string word;
      char quote = 0;
      for (const char c : std::string(example.line) + " ") {
        if (quote ? c == quote : c == '\'' || c == '"')
          quote = quote ? '\0' : c;
        else if (c == ' ' && !quote)
          words.push_back(std::exchange(word, ""));
        else
          word += c;
        if (!words.empty() && (words.back() == ">" || words.back() == "|")) break;
      }
      if (words.back() == ">" || words.back() == "|") words.pop_back();
      std::vector<char*> argv;
      for (auto& each : words) argv.push_back(each.data());
      argv.push_back(nullptr);
      const auto result = parse(static_cast<int>(words.size()), argv.data());
      if (!result) fail_msg("%s: %s", example.line, result.error().detail.c_str());
    }
}

void exit_codes_are_one_table(void**) {
  std::string all = help_text(), man = man_page();
  for (const ExitText& each : kExits) {
    const std::string number = std::to_string(static_cast<int>(each.code));
    const std::string line = "\n  " + number + std::string(5 - number.size(), ' ') + std::string(each.meaning).substr(0, 20);
    assert_non_null(strstr(all.c_str(), line.c_str()));
    assert_non_null(strstr(man.c_str(), (".B " + number + "\n").c_str()));
    for (const ExitText& other : kExits) assert_true(&each == &other || each.code != other.code);
  }
}

void errors_and_states_map_to_their_exit_codes(void**) {
  const std::pair<Errc, int> errors[] = {{Errc::invalid, 2}, {Errc::unauthorized, 7}, {Errc::not_found, 5}, {Errc::full, 8},
                                         {Errc::retry, 8},   {Errc::closed, 6},       {Errc::corrupt, 1},   {Errc::internal, 1}};
  for (const auto& [code, exit] : errors) assert_int_equal(static_cast<int>(exit_of(code)), exit);
  assert_int_equal(static_cast<int>(exit_of(JobState::completed)), 0);
  assert_int_equal(static_cast<int>(exit_of(JobState::failed)), 3);
  assert_int_equal(static_cast<int>(exit_of(JobState::cancelled)), 4);
  assert_true(worse(Exit::cancelled, Exit::failed) == Exit::failed && worse(Exit::failed, Exit::cancelled) == Exit::failed);
  assert_true(worse(Exit::ok, Exit::cancelled) == Exit::cancelled && worse(Exit::not_found, Exit::failed) == Exit::not_found);
}

void completions_know_every_command_and_option(void**) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion(shell);
    assert_true(script.ok());
    for (const Command* command : commands()) {
      assert_non_null(strstr(script->c_str(), command->name));
      for (const Option& option : all_options(*command)) assert_non_null(strstr(script->c_str(), option.name));
    }
  }
  assert_false(completion("tcsh").ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(options_stand_before_or_after_operands),
      cmocka_unit_test(faults_name_the_option_and_the_remedy),
      cmocka_unit_test(numbers_are_whole_and_in_range),
      cmocka_unit_test(every_command_explains_itself_within_eighty_columns),
      cmocka_unit_test(examples_are_understood),
      cmocka_unit_test(exit_codes_are_one_table),
      cmocka_unit_test(errors_and_states_map_to_their_exit_codes),
      cmocka_unit_test(completions_know_every_command_and_option),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
