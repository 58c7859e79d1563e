// Where a text stops being JSON, for whoever tells its author. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"

namespace jobcast {

struct JsonFault {
  size_t at = 0;
  std::string what;
  bool of_cjson = false;  // cJSON says so, at the byte where it gave up; else Json::parse()'s own stricter rules
};
// Nothing when `text` is JSON, but for duplicate keys.
[[nodiscard]] std::optional<JsonFault> find_json_fault(std::string_view text, JsonLimits limits = {});

// Returns true if both are the same value of the same document.
[[nodiscard]] bool same_value(JsonView a, JsonView b);

}  // namespace jobcast
