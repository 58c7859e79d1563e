// What the command prints: text that is safe on a terminal, tables, errors. Main thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/cli/command.h"
#include "engine/cli/exit.h"

namespace jobcast::cli {

// What the terminal at hand can show; of standard output.
struct Look {
  bool terminal = false;  // a person is watching, and it can move its cursor
  bool colour = false;    // a terminal, and NO_COLOR is unset or empty
  bool utf8 = false;      // from the locale
  int columns = 80;
  int rows = 24;
};
[[nodiscard]] Look look_at_stdout();

enum class Tint { none, good, bad, warn, live, dim };
[[nodiscard]] std::string tinted(std::string_view text, Tint tint, const Look& look);

// Outside text (messages, names, logs) made harmless: control characters, C1 ones too, bidirectional overrides and, where the
// locale is not UTF-8, everything beyond ASCII become '?'. `keep_lines` lets newlines and tabs through.
[[nodiscard]] std::string printable(std::string_view text, bool utf8, bool keep_lines = false);
// Columns that printable text takes; and its first `columns` of them, with an ellipsis where it was cut.
[[nodiscard]] int width_of(std::string_view text);
[[nodiscard]] std::string cut(std::string_view text, int columns, bool utf8);

// To standard output, everything or an error at the end of the program: see finish_output().
void print(std::string_view text);
// "jobcast: …" on standard error.
void note(std::string_view text);
// Says the error, as {"error":{code,message,field}} with --json, and answers the exit code for it.
Exit complain(const Invocation& invocation, const Error& error);
// Flushes standard output. False, with the reason on standard error, when something could not be written.
[[nodiscard]] bool finish_output();

// Rows under a header, columns as wide as their widest cell, cut at the terminal's edge. Cells are made printable.
[[nodiscard]] std::string table(const std::vector<std::string>& header, const std::vector<std::vector<std::string>>& rows,
                                const Look& look);

// "0.4 s", "12 s", "3:07", "1:02:03", "4 d 3 h".
[[nodiscard]] std::string duration(int64_t ms);
// "0", "999", "1.2k", "34.5M"; a rate is that with "/s".
[[nodiscard]] std::string amount(double value);

}  // namespace jobcast::cli
