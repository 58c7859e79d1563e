// bash, zsh and fish, each in its own words.
#include "engine/cli/completion.h"

#include "engine/cli/command.h"

namespace jobcast::cli {
namespace {

std::string words_of(const Command& command) {
  std::string out;
  for (const Option& option : all_options(command)) out += std::string(out.empty() ? "" : " ") + "--" + option.name;
  return out;
}

// In single quotes of a shell.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
  return out + "'";
}

std::string names() {
  std::string out;
  for (const Command* command : commands()) out += std::string(out.empty() ? "" : " ") + command->name;
  return out;
}

std::string bash() {
  std::string out =
      "# bash completion of jobcast; made by `jobcast completion bash`\n_jobcast() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=" +
      quoted(names()) + "\n  else\n    case ${COMP_WORDS[1]} in\n";
  for (const Command* command : commands())
    out += std::string("      ") + command->name + ") words=" + quoted(words_of(*command)) + " ;;\n";
  out += "    esac\n    case $before in\n      ";
  std::string files;
  for (const Command* command : commands())
    for (const Option& option : all_options(*command))
      if (const std::string flag = std::string("--") + option.name; option.files && (files + "|").find(flag + "|") == std::string::npos)
        files += (files.empty() ? "" : "|") + flag;
  out += files +
         ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n    esac\n"
         "    [ \"${COMP_WORDS[1]}\" = completion ] && words=\"bash zsh fish $words\"\n"
         "    [ \"${COMP_WORDS[1]}\" = help ] && words=\"" +
         names() +
         " $words\"\n"
         "    [ \"${COMP_WORDS[1]}\" = check-config ] && [[ $word != -* ]] && { COMPREPLY=($(compgen -f -- \"$word\")); return; }\n"
         "  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\ncomplete -o filenames -F _jobcast jobcast\n";
  return out;
}

// What stands in zsh's brackets: no brackets or colons of its own.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh() {
  std::string out =
      "#compdef jobcast\n# made by `jobcast completion zsh`\n_jobcast() {\n  if (( CURRENT == 2 )); then\n    local -a commands=(\n";
  for (const Command* command : commands()) out += "      " + quoted(std::string(command->name) + ":" + zsh_text(command->summary)) + "\n";
  out +=
      "    )\n    _describe command commands\n    return\n  fi\n  local command=$words[2]\n  shift words; (( CURRENT-- ))\n  case $command "
      "in\n";
  for (const Command* command : commands()) {
    out += std::string("    ") + command->name + ") _arguments";
    for (const Option& option : all_options(*command)) {
      std::string spec =
          std::string(option.many ? "*" : "") + "--" + option.name + (option.value ? "=" : "") + "[" + zsh_text(option.text) + "]";
      if (option.value) spec += std::string(":") + zsh_text(option.value) + ":" + (option.files ? "_files" : "");
      out += " \\\n      " + quoted(spec);
    }
    if (command->name == std::string_view("completion")) out += " \\\n      '1:shell:(bash zsh fish)'";
    if (command->name == std::string_view("help")) out += " \\\n      " + quoted("1:command:(" + names() + ")");
    if (command->name == std::string_view("check-config")) out += " \\\n      '*:file:_files'";
    out += " ;;\n";
  }
  return out + "  esac\n}\n_jobcast \"$@\"\n";
}

std::string fish() {
  std::string out = "# fish completion of jobcast; made by `jobcast completion fish`\ncomplete -c jobcast -f\n";
  for (const Command* command : commands()) {
    out += std::string("complete -c jobcast -n __fish_use_subcommand -a ") + command->name + " -d " + quoted(command->summary) + "\n";
    const std::string here = std::string("complete -c jobcast -n '__fish_seen_subcommand_from ") + command->name + "'";
    for (const Option& option : all_options(*command)) {
      out += here + " -l " + option.name + (option.letter ? std::string(" -s ") + option.letter : "");
      out += std::string(option.value ? (option.files ? " -r -F" : " -x") : "") + " -d " + quoted(option.text) + "\n";
    }
    if (command->name == std::string_view("completion")) out += here + " -a 'bash zsh fish'\n";
    if (command->name == std::string_view("help")) out += here + " -a " + quoted(names()) + "\n";
    if (command->name == std::string_view("check-config")) out += here + " -F\n";
  }
  return out;
}

}  // namespace

Result<std::string> completion(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  if (shell == "fish") return fish();
  return {Errc::invalid, "there is no completion for '" + std::string(shell) + "': it is made for bash, zsh and fish", "SHELL"};
}

}  // namespace jobcast::cli
