// Files that decide who gets in: secrets, which nobody else may read, and public keys, which nobody else may replace. Any thread.
#pragma once

#include <string>

#include "base/result.h"

namespace jobcast {

// What strangers, who are neither the file's owner nor of its group, must not be able to do with a file.
enum class Guarded {
  from_reading,  // a secret: nor write it
  from_writing,  // a public key: who may write it may put in their own
};

// Looks at the file's mode alone, as ssh does. What is no regular file (a pipe, standard input) passes.
// Errors: not_found or internal when it cannot be looked at; invalid when strangers may do what they must not, naming the chmod that helps.
[[nodiscard]] Result<void> check_guarded(const std::string& path, Guarded guarded);

// The content of a secret's file. Errors: those of check_guarded() and of read_file().
[[nodiscard]] Result<std::string> read_secret_file(const std::string& path, size_t bytes_max);

}  // namespace jobcast
