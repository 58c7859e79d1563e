// help, version, completion: the command about itself.
#include <string>

#include "base/json.h"
#include "engine/cli/build_info.h"
#include "engine/cli/command.h"
#include "engine/cli/completion.h"
#include "engine/cli/output.h"

namespace jobcast::cli {
namespace {

Exit run_help(const Invocation& invocation) {
  if (invocation.has("man")) {
    print(man_page());
    return Exit::ok;
  }
  if (invocation.operands.empty()) {
    print(help_text());
    return Exit::ok;
  }
  const Command* command = find_command(invocation.operands[0]);
  if (!command)
    return complain(invocation, {Errc::invalid, "there is no command '" + invocation.operands[0] + "': see jobcast help", "COMMAND"});
  print(help_text(*command));
  return Exit::ok;
}

Exit run_version(const Invocation& invocation) {
  print(invocation.json() ? Json::object().set("version", kVersion).dump() + "\n" : std::string("jobcast ") + kVersion + "\n");
  return Exit::ok;
}

Exit run_completion(const Invocation& invocation) {
  const auto script = completion(invocation.operands[0]);
  if (!script) return complain(invocation, script.error());
  print(*script);
  return Exit::ok;
}

constexpr Option kHelpOptions[] = {{"man", 0, nullptr, "the whole manual page, in roff"}};
constexpr Example kCompletionExamples[] = {
    {"completion bash > ~/.local/share/bash-completion/completions/jobcast", "install it for one user of bash"},
    {"completion zsh > ~/.zfunc/_jobcast", "the same for zsh, where ~/.zfunc is in fpath"},
    {"completion fish > ~/.config/fish/completions/jobcast.fish", "and for fish"},
};

}  // namespace

extern const Command help_command{.name = "help",
                                  .operands = "[COMMAND]",
                                  .operands_min = 0,
                                  .operands_max = 1,
                                  .summary = "explain jobcast or one of its commands",
                                  .text = "Explains jobcast, or COMMAND with its options and examples.",
                                  .examples = {},
                                  .options = kHelpOptions,
                                  .speaks_to_engine = false,
                                  .run = run_help};

extern const Command version_command{.name = "version",
                                     .operands = "",
                                     .operands_min = 0,
                                     .operands_max = 0,
                                     .summary = "print the version",
                                     .text = "Prints the version of this program.",
                                     .examples = {},
                                     .options = {},
                                     .speaks_to_engine = false,
                                     .run = run_version};

extern const Command completion_command{.name = "completion",
                                        .operands = "bash|zsh|fish",
                                        .operands_min = 1,
                                        .operands_max = 1,
                                        .summary = "print the completion script of a shell",
                                        .text = "Prints a script that lets a shell complete jobcast's commands and options.",
                                        .examples = kCompletionExamples,
                                        .options = {},
                                        .speaks_to_engine = false,
                                        .run = run_completion};

}  // namespace jobcast::cli
