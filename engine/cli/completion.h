// The shells' completion scripts, made from the table of commands. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace jobcast::cli {

// Of "bash", "zsh" or "fish". Errors: invalid.
[[nodiscard]] Result<std::string> completion(std::string_view shell);

}  // namespace jobcast::cli
