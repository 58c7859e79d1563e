// The table of commands. Each is defined beside its code.
#include <array>

#include "engine/cli/command.h"

namespace jobcast::cli {

extern const Command submit_command, watch_command, list_command, show_command, logs_command, cancel_command, retry_command, queues_command,
    stats_command, token_command, check_config_command, demo_command, completion_command, help_command, version_command;

namespace {

constexpr std::array kCommands{&submit_command,       &watch_command, &list_command,       &show_command,  &logs_command,
                               &cancel_command,       &retry_command, &queues_command,     &stats_command, &token_command,
                               &check_config_command, &demo_command,  &completion_command, &help_command,  &version_command};

}  // namespace

std::span<const Command* const> commands() { return kCommands; }

const Command* find_command(std::string_view wanted) {
  for (const Command* command : kCommands)
    if (command->name == wanted) return command;
  return nullptr;
}

}  // namespace jobcast::cli
