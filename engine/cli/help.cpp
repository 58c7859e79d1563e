// --help and the man page, both made from the table of commands.
#include <algorithm>

#include "engine/cli/build_info.h"
#include "engine/cli/command.h"

namespace jobcast::cli {
namespace {

constexpr const char* kIntro = "Submit long jobs, watch them live, and run a demonstration of the whole system.";

std::string option_term(const Option& option) {
  std::string term = option.letter ? std::string("-") + option.letter + ", --" : "    --";
  term += option.name;
  if (option.value) (term += ' ') += option.value;
  return term;
}

void pad(std::string& out, const std::string& term, size_t width) {
  out += term;
  out += term.size() + 2 > width ? "\n" + std::string(width, ' ') : std::string(width - term.size(), ' ');
}

// Words in lines of at most 79 columns; the first begins at `indent` already.
std::string wrapped(std::string_view text, size_t indent) {
  std::string out;
  size_t column = indent;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (column > indent && column + 1 + word.size() > 79) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) out += ' ';
    column += word.size() + (column > indent ? 1 : 0);
    out += word;
  }
  return out;
}

std::string exit_codes() {
  std::string out = "Exit codes:\n";
  for (const ExitText& each : kExits) {
    pad(out, "  " + std::to_string(static_cast<int>(each.code)), 7);
    out += wrapped(each.meaning, 7) + "\n";
  }
  return out;
}

std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

// Paragraphs; lines indented by two spaces become an example block.
void roff_paragraphs(std::string& out, std::string_view text) {
  bool block = false;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const bool indented = line.starts_with("  ");
    if (indented != block) out += indented ? ".PP\n.nf\n.RS 4\n" : ".RE\n.fi\n";
    block = indented;
    out += line.empty() ? ".PP\n" : roff(indented ? line.substr(2) : line) + "\n";
  }
  if (block) out += ".RE\n.fi\n";
}

void roff_options(std::string& out, std::span<const Option> options) {
  for (const Option& option : options) {
    out += ".TP\n";
    if (option.letter)
      out += std::string(".BR \\-") + option.letter + " \", \" \\-\\-" + roff(option.name);
    else
      out += std::string(".B \\-\\-") + roff(option.name);
    if (option.value) out += option.letter ? std::string(" \" \" ") + option.value : std::string(" ") + option.value;
    out += "\n" + roff(option.text) + "\n";
  }
}

}  // namespace

std::string help_text(const Command& command) {
  std::string out =
      std::string("usage: jobcast ") + command.name + " [OPTIONS]" + (*command.operands ? " " : "") + command.operands + "\n\n";
  out += std::string(command.text) + "\n\nOptions:\n";
  for (const Option& option : all_options(command)) {
    pad(out, "  " + option_term(option), 28);
    out += wrapped(option.text, 28);
    out += '\n';
  }
  if (!command.examples.empty()) out += "\nExamples:\n";
  for (const Example& example : command.examples) out += std::string("  $ jobcast ") + example.line + "\n      " + example.what + "\n";
  if (command.speaks_to_engine) out += "\n" + exit_codes();
  return out;
}

std::string help_text() {
  std::string out = std::string("usage: jobcast COMMAND [OPTIONS] [ARGUMENTS]\n\n") + kIntro + "\n\nCommands:\n";
  for (const Command* command : commands()) pad(out, std::string("  ") + command->name, 16), (out += command->summary) += '\n';
  out += "\n`jobcast COMMAND --help` explains a command with examples. Every command takes --json.\n\n" + exit_codes();
  return out;
}

std::string man_page() {
  std::string out =
      std::string(".TH JOBCAST 1 \"\" \"jobcast ") + kVersion + "\" \"User Commands\"\n.SH NAME\njobcast \\- live status of long jobs\n";
  out += ".SH SYNOPSIS\n.B jobcast\n.I COMMAND\n.RI [ OPTIONS ]\n.RI [ ARGUMENTS ]\n.SH DESCRIPTION\n" + roff(kIntro) + "\n";
  out +=
      "Jobs run under\n.BR jobcastd (8),\nbrowsers are served by\n.BR jobcast\\-host (8)\nor any libwebsockets server with the plugin.\n";
  out += "Every command takes\n.B \\-\\-json\nand\n.BR \\-\\-help .\n.SH COMMANDS\n";
  for (const Command* command : commands()) {
    out += std::string(".SS \"") + roff(std::string("jobcast ") + command->name + (*command->operands ? " " : "") + command->operands) +
           "\"\n";
    roff_paragraphs(out, command->text);
    roff_options(out, command->options);
    for (const Example& example : command->examples)
      out += ".PP\n.nf\n.RS 4\n$ jobcast " + roff(example.line) + "\n.RE\n.fi\n.RS 8\n" + roff(example.what) + "\n.RE\n";
  }
  out += ".SH COMMON OPTIONS\n";
  for (const Command* command : commands()) {
    if (!command->speaks_to_engine) continue;
    const auto all = all_options(*command);
    roff_options(out, std::span(all).subspan(command->options.size()));
    break;
  }
  out += ".SH EXIT STATUS\n";
  for (const ExitText& each : kExits) out += ".TP\n.B " + std::to_string(static_cast<int>(each.code)) + "\n" + roff(each.meaning) + "\n";
  out +=
      ".SH ENVIRONMENT\n.TP\n.B JOBCAST_SOCKET\nThe engine's control socket, where neither\n.B \\-\\-socket\nnor\n.B \\-\\-state\\-dir\nis "
      "given.\n"
      ".TP\n.B NO_COLOR\nNo colours, whatever its value, unless empty.\n.TP\n.B TERM\n.B dumb\nasks for plain lines instead of a progress "
      "bar.\n";
  out +=
      ".SH FILES\n.TP\n.I /run/jobcast/engine.sock\nThe engine's control socket.\n.SH SEE ALSO\n.BR jobcastd (8),\n.BR jobcast\\-host "
      "(8)\n";
  return out;
}

}  // namespace jobcast::cli
