// Looks into valid JSON text without changing a byte of it: the raw text of a member or an element. What must travel on as the very
// bytes that came (a snapshot inside an answer) is cut out here instead of being parsed and printed again. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace jobcast {

// The raw text of the value of `key` in the object that `object` is; nullopt: no such member, or no well-formed object. Escapes in
// keys are not decoded: fits keys of our own protocols. Hostile text gives nullopt or a slice of `object`, never more.
[[nodiscard]] std::optional<std::string_view> json_member(std::string_view object, std::string_view key);

// A string value without escapes, or an unsigned integer, of a member. nullopt: absent or of another kind.
[[nodiscard]] std::optional<std::string_view> json_member_string(std::string_view object, std::string_view key);
[[nodiscard]] std::optional<uint64_t> json_member_integer(std::string_view object, std::string_view key);

}  // namespace jobcast
