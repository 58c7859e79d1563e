// A command line, read by the table of commands.
#include <getopt.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "base/closest.h"
#include "base/json.h"
#include "engine/cli/command.h"

namespace jobcast::cli {
namespace {

constexpr Option kCommon[] = {
    {"json", 0, nullptr, "write JSON for programs instead of text for people"},
    {"help", 'h', nullptr, "explain this command"},
};
constexpr Option kEngine[] = {
    {"socket", 0, "PATH", "the engine's control socket ($JOBCAST_SOCKET, else /run/jobcast/engine.sock)", false, true},
    {"state-dir", 0, "DIR", "speak to the engine of the `jobcast demo` with this state directory", false, true},
};

constexpr int kFirstLong = 256;  // getopt's value of the first option: above every letter

// Reads the options at hand with getopt_long, whose index stands behind them afterwards.
Result<void> read_options(int argc, char** argv, const std::vector<Option>& options, bool before_command, Parsed& out) {
  std::vector<option> table;
  std::string letters = before_command ? "+:" : ":";
  for (size_t i = 0; i < options.size(); ++i) {
    table.push_back({options[i].name, options[i].value ? required_argument : no_argument, nullptr, kFirstLong + static_cast<int>(i)});
    if (options[i].letter) (letters += options[i].letter) += options[i].value ? ":" : "";
  }
  table.push_back({});
  opterr = 0;
  for (;;) {
    const int before = optind;
    const int got = getopt_long(argc, argv, letters.c_str(), table.data(), nullptr);
    if (got == -1) return {};
    if (got == '?' || got == ':') {
      // getopt has stepped over a long option, but stays at a word of letters until its last one.
      const std::string_view word = argv[optind > before ? optind - 1 : optind];
      const std::string given = word.starts_with("--") ? std::string(word) : std::string("-") + static_cast<char>(optopt);
      if (got == ':') return {Errc::invalid, given + " wants a value after it"};
      const std::string bare = given.substr(0, given.find('='));
      if (optopt >= kFirstLong) return {Errc::invalid, bare + " takes no value"};
      std::vector<std::string> known;
      for (const Option& each : options) known.push_back(std::string("--") + each.name);
      const std::string meant = bare.starts_with("--") ? closest(bare, known) : "";
      return {Errc::invalid, "there is no option " + bare + (meant.empty() ? "" : ": did you mean " + meant + "?")};
    }
    const auto found = got >= kFirstLong
                           ? options.begin() + (got - kFirstLong)
                           : std::find_if(options.begin(), options.end(), [&](const Option& each) { return each.letter == got; });
    if (std::string_view(found->name) == "help") {
      out.help = true;
    } else if (found->value && !found->many && out.invocation.has(found->name)) {
      return {Errc::invalid, std::string("--") + found->name + " is given twice"};
    } else {
      out.invocation.add(found->name, found->value ? optarg : "");
    }
  }
}

}  // namespace

std::vector<Option> all_options(const Command& command) {
  std::vector<Option> all(command.options.begin(), command.options.end());
  if (command.speaks_to_engine) all.insert(all.end(), std::begin(kEngine), std::end(kEngine));
  all.insert(all.end(), std::begin(kCommon), std::end(kCommon));
  return all;
}

std::string Invocation::get(const char* option, std::string_view fallback) const {
  const auto found = options_.find(option);
  return found == options_.end() ? std::string(fallback) : found->second.back();
}

std::vector<std::string> Invocation::all(const char* option) const {
  const auto found = options_.find(option);
  return found == options_.end() ? std::vector<std::string>{} : found->second;
}

Result<int64_t> Invocation::integer(const char* option, int64_t fallback, int64_t min, int64_t max) const {
  if (!has(option)) return fallback;
  const std::string text = get(option);
  int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault == std::errc() && end == text.data() + text.size() && value >= min && value <= max) return value;
  return {Errc::invalid, std::string("--") + option + " must be a whole number from " + std::to_string(min) + " to " + std::to_string(max)};
}

Result<Parsed> parse(int argc, char** argv) {
  Parsed out;
  for (int i = 1; i < argc; ++i)  // all of it may end up in JSON
    if (!is_utf8(argv[i])) return {Errc::invalid, "argument " + std::to_string(i) + " is not UTF-8"};
  optind = 0;  // glibc: forget any earlier parse
  std::vector<Option> common(std::begin(kEngine), std::end(kEngine));
  common.insert(common.end(), std::begin(kCommon), std::end(kCommon));
  common.push_back({"version", 0, nullptr, "print the version"});
  if (auto read = read_options(argc, argv, common, true, out); !read) return read.error();

  std::string name = optind < argc ? argv[optind] : "help";
  if (out.invocation.has("version")) name = "version";
  out.invocation.command = find_command(name);
  if (!out.invocation.command) {
    std::vector<std::string> known;
    for (const Command* each : commands()) known.emplace_back(each->name);
    const std::string meant = closest(name, known);
    return {Errc::invalid, "there is no command '" + name + "'" + (meant.empty() ? "" : ": did you mean '" + meant + "'?")};
  }
  if (optind >= argc || out.invocation.has("version")) return out;

  const Command& command = *out.invocation.command;
  const auto options = all_options(command);
  for (const char* shared : {"socket", "state-dir"})
    if (out.invocation.has(shared) &&
        std::none_of(options.begin(), options.end(), [&](const Option& each) { return each.name == std::string_view(shared); }))
      return {Errc::invalid, std::string("--") + shared + " means nothing to '" + command.name + "'"};
  const int skipped = optind;
  optind = 0;
  if (auto read = read_options(argc - skipped, argv + skipped, options, false, out); !read) return read.error();
  out.invocation.operands.assign(argv + skipped + optind, argv + argc);
  if (out.help) return out;
  const size_t count = out.invocation.operands.size();
  if (count < command.operands_min)
    return {Errc::invalid, std::string("usage: jobcast ") + command.name + " [OPTIONS] " + command.operands};
  if (count > command.operands_max)
    return {Errc::invalid,
            "'" + out.invocation.operands[command.operands_max] + "' is one argument too many: see jobcast " + command.name + " --help"};
  return out;
}

}  // namespace jobcast::cli
