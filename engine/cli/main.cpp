// The jobcast command: parses, runs one command of the table, says by its exit code how it went.
#include <clocale>
#include <cstdio>

#include "base/surroundings.h"
#include "engine/cli/command.h"
#include "engine/cli/output.h"

using namespace jobcast;
using namespace jobcast::cli;

int main(int argc, char** argv) {
  settle_surroundings();
  std::setlocale(LC_CTYPE, "");
  Exit exit = Exit::ok;
  if (argc < 2) {
    fputs(help_text().c_str(), stderr);
    exit = Exit::usage;
  } else if (auto parsed = parse(argc, argv); !parsed) {
    note(printable(parsed.error().detail, true));
    exit = Exit::usage;
  } else if (parsed->help) {
    print(parsed->invocation.command->name == std::string_view("help") ? help_text() : help_text(*parsed->invocation.command));
  } else {
    exit = parsed->invocation.command->run(parsed->invocation);
  }
  if (!finish_output() && exit == Exit::ok) exit = Exit::error;
  return static_cast<int>(exit);
}
