// See process.h. Any thread.
#include "ipc/process.h"

#include <charconv>
#include <string>
#include <string_view>

#include "base/json.h"

namespace jobcast {

std::optional<uint64_t> process_start_ticks(pid_t pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return std::nullopt;
  // The second field is the program's name in parentheses, which may hold anything: count from the last one.
  std::string_view rest(*stat);
  const auto name_end = rest.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(name_end + 1);
  for (int field = 2; field < 22; ++field) {
    const auto space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  uint64_t ticks = 0;
  const auto parsed = std::from_chars(rest.data(), rest.data() + rest.size(), ticks);
  if (parsed.ec != std::errc()) return std::nullopt;
  return ticks;
}

}  // namespace jobcast
