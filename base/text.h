// UTF-8 text of a bounded size: what arrives as bytes (a program's stderr, a worker's message) becomes fit for JSON here. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace jobcast {

// Length of the well-formed character at `at` (no surrogates, no overlong forms, at most U+10FFFF, not NUL); 0 where there is none.
[[nodiscard]] size_t utf8_length(std::string_view text, size_t at);

// `bytes` with each byte that belongs to no character replaced by U+FFFD, cut at a character's end to at most `bytes_max`.
[[nodiscard]] std::string to_utf8(std::string_view bytes, size_t bytes_max = std::string_view::npos);

// `text` with every absolute path of at least two parts ("/var/lib/jobcast/jobs.db") replaced by "a file of the server": for errors that
// are shown to strangers.
[[nodiscard]] std::string without_paths(std::string_view text);

// For quoting in an error what a stranger wrote: to_utf8() in one line, '?' for control characters, "..." where it was cut.
[[nodiscard]] std::string printable(std::string_view bytes, size_t bytes_max = 64);

}  // namespace jobcast
