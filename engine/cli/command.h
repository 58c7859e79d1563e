// What a command is, and the one table of them: the parser, --help, the man page and the shells' completions all read it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/cli/exit.h"

namespace jobcast::cli {

struct Option {
  const char* name;    // without its dashes
  char letter;         // or 0
  const char* value;   // what follows it, for people ("FILE"); nullptr: nothing does
  const char* text;    // a sentence without its full stop
  bool many = false;   // may be given more than once
  bool files = false;  // completes to file names
};

struct Example {
  const char* line;  // without the prompt
  const char* what;
};

class Invocation;

struct Command {
  const char* name;
  const char* operands;  // "JOB [JOB...]", or ""
  size_t operands_min, operands_max;
  const char* summary;  // a line without a full stop
  const char* text;     // paragraphs of at most 78 columns, an empty line between them; a line indented by two spaces stays as it is
  std::span<const Example> examples;
  std::span<const Option> options;
  bool speaks_to_engine;  // takes --socket and --state-dir
  Exit (*run)(const Invocation&);
};

// In the order in which --help lists them.
[[nodiscard]] std::span<const Command* const> commands();
[[nodiscard]] const Command* find_command(std::string_view name);
// A command's own options and those that it shares with others.
[[nodiscard]] std::vector<Option> all_options(const Command& command);

// A command line after parsing: every option known, every value's presence checked.
class Invocation {
 public:
  const Command* command = nullptr;
  std::vector<std::string> operands;

  [[nodiscard]] bool has(const char* option) const { return options_.contains(option); }
  [[nodiscard]] bool json() const { return has("json"); }
  [[nodiscard]] std::string get(const char* option, std::string_view fallback = {}) const;  // the last one given
  [[nodiscard]] std::vector<std::string> all(const char* option) const;
  // A whole number in the range, or the fall-back when the option is absent. Errors: invalid, naming option and range.
  [[nodiscard]] Result<int64_t> integer(const char* option, int64_t fallback, int64_t min, int64_t max) const;

  void add(const std::string& option, std::string value) { options_[option].push_back(std::move(value)); }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
};

// argv[0] is the program. Options may stand before the command's name when all commands know them. `help` asks for help about
// `command` (nullptr: about all). Errors: invalid, in one sentence with the remedy. Not thread-safe: getopt_long.
struct Parsed {
  Invocation invocation;
  bool help = false;
};
[[nodiscard]] Result<Parsed> parse(int argc, char** argv);

[[nodiscard]] std::string help_text(const Command& command);
[[nodiscard]] std::string help_text();
// jobcast.1 in roff, made from the same table.
[[nodiscard]] std::string man_page();

}  // namespace jobcast::cli
