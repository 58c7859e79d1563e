// Logging: one `key=value` line an event on standard error, or wherever the program's owner sends it. Any thread.
// Never log a token or a payload. Log or return an error, never both.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace jobcast::log {

enum class Level : int { error = 0, warning, notice, info, debug };

// Receives one finished line, "event=… …" without its newline. Must be callable from any thread; `user` is what set_sink() was given.
using Sink = void (*)(void* user, Level, std::string_view line);

void set_level(Level level);  // lines above it are dropped; `notice` by default
[[nodiscard]] Level level();
void set_sink(Sink sink, void* user = nullptr);  // nullptr: standard error, "<iso8601> level=… event=… …"
[[nodiscard]] bool enabled(Level level);

// One key and its value; a value with spaces, quotes or control characters is quoted and escaped.
struct Field {
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v ? v : "") {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
  std::string_view key;
  std::string value;
};

void write(Level level, std::string_view event, std::initializer_list<Field> fields);
void forward(Level level, std::string_view line);  // a line that another copy of this file finished: the plugin's, in jobcast-host

inline void error(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::error, event, fields); }
inline void warning(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::warning, event, fields); }
inline void notice(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::notice, event, fields); }
inline void info(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::info, event, fields); }
inline void debug(std::string_view event, std::initializer_list<Field> fields = {}) { write(Level::debug, event, fields); }

}  // namespace jobcast::log
