// One line an event, quoted where it must be, written with one call.
#include "base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <initializer_list>
#include <mutex>

#include "base/clock.h"
#include "base/json.h"

namespace jobcast::log {
namespace {

std::atomic<Level> threshold{Level::notice};

struct Destination {
  Sink sink = nullptr;
  void* user = nullptr;
};
std::mutex destination_mutex;
Destination destination;

constexpr std::array<const char*, 5> kNames{"error", "warning", "notice", "info", "debug"};

void append_value(std::string& line, std::string_view value) {
  const bool utf8 = is_utf8(value);
  bool plain = !value.empty() && utf8;
  for (const char c : value) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= ' ' || c == '"' || c == '\\' || c == '=' || u == 0x7f) plain = false;
  }
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (u < ' ' || u == 0x7f || (u > 0x7f && !utf8)) {
      std::array<char, 8> escape{};
      snprintf(escape.data(), escape.size(), "\\x%02x", u);
      line += escape.data();
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

void set_level(Level level) { threshold.store(level, std::memory_order_relaxed); }
Level level() { return threshold.load(std::memory_order_relaxed); }
void set_sink(Sink sink, void* user) {
  const std::lock_guard lock(destination_mutex);
  destination = {sink, user};
}
bool enabled(Level level) { return level <= log::level(); }

void write(Level level, std::string_view event, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  std::string line = "event=";
  append_value(line, event);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  forward(level, line);
}

void forward(Level level, std::string_view line) {
  if (!enabled(level)) return;
  Destination to;
  {
    const std::lock_guard lock(destination_mutex);
    to = destination;
  }
  if (to.sink) return to.sink(to.user, level, line);
  const std::string whole = iso8601(now().unix_ms) + " level=" + kNames.at(static_cast<size_t>(level)) + " " + std::string(line) + "\n";
  // One write a line, so that lines of several threads and processes do not mix.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, whole.data(), whole.size());
}

}  // namespace jobcast::log
