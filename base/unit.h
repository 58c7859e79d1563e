// "Did you mean 10000?": what somebody meant who wrote a number with a unit where a plain number belongs. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace jobcast {

// "10s" for a key in "ms" gives "10000", "64K" for one in "bytes" "65536", "30 s" for one in "s" "30". "" where it is not known.
[[nodiscard]] std::string in_unit(std::string_view text, std::string_view unit);

// The unit that a key's own name says: "ms", "s" or "bytes"; "" for none.
[[nodiscard]] std::string_view unit_of_key(std::string_view key);

}  // namespace jobcast
