// The units that people write, as factors of the smallest one of their kind.
#include "base/unit.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace jobcast {
namespace {

struct Unit {
  std::string_view name;
  char kind;  // 't' for time in ms, 'b' for bytes
  uint64_t factor;
};
constexpr auto kUnits = std::to_array<Unit>({{"ms", 't', 1},
                                             {"s", 't', 1000},
                                             {"sec", 't', 1000},
                                             {"m", 't', 60'000},
                                             {"min", 't', 60'000},
                                             {"h", 't', 3'600'000},
                                             {"d", 't', 86'400'000},
                                             {"bytes", 'b', 1},
                                             {"b", 'b', 1},
                                             {"k", 'b', 1 << 10},
                                             {"kb", 'b', 1 << 10},
                                             {"kib", 'b', 1 << 10},
                                             {"m", 'b', 1 << 20},
                                             {"mb", 'b', 1 << 20},
                                             {"mib", 'b', 1 << 20},
                                             {"g", 'b', 1 << 30},
                                             {"gb", 'b', 1 << 30},
                                             {"gib", 'b', 1 << 30}});

const Unit* find(std::string_view name, char kind) {
  const auto found =
      std::ranges::find_if(kUnits, [&](const Unit& unit) { return unit.name == name && (kind == '\0' || unit.kind == kind); });
  return found == kUnits.end() ? nullptr : &*found;
}

}  // namespace

std::string in_unit(std::string_view text, std::string_view unit) {
  uint32_t number = 0;
  const auto [end, trouble] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (trouble != std::errc()) return "";
  std::string name(end, text.data() + text.size());
  name.erase(0, name.find_first_not_of(' '));
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (name.empty()) return std::to_string(number);
  const Unit* const wanted = find(unit, '\0');
  const Unit* const written = wanted ? find(name, wanted->kind) : nullptr;
  if (!written || number * written->factor % wanted->factor != 0) return "";
  return std::to_string(number * written->factor / wanted->factor);
}

std::string_view unit_of_key(std::string_view key) {
  if (key.ends_with("_ms")) return "ms";
  if (key.ends_with("_s") || key.ends_with("-secs") || key.ends_with("timeout")) return "s";
  return key.find("bytes") != std::string_view::npos ? "bytes" : "";
}

}  // namespace jobcast
