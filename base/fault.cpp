// How faults of a configuration are gathered, ordered and told.
#include "base/fault.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

namespace jobcast {
namespace {

constexpr size_t kFaultsMax = 200;  // more help nobody

const char* word(Severity severity) { return severity == Severity::warning ? "warning" : "error"; }

}  // namespace

std::string Fault::text(bool colour) const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  if (!out.empty()) out += ": ";
  const char* const tint = severity == Severity::warning ? "\033[33m" : "\033[31m";
  out += colour ? std::string(tint) + word(severity) + ":\033[0m " : std::string(word(severity)) + ": ";
  return out + key + (key.empty() ? "" : " ") + problem;
}

bool colourful(int fd) {
  const char* no_colour = getenv("NO_COLOR");
  return isatty(fd) == 1 && (!no_colour || !*no_colour);
}

void Faults::add(Fault fault) {
  const bool told = std::ranges::any_of(list_, [&](const Fault& before) {
    return std::tie(before.file, before.line, before.column, before.key, before.problem) ==
           std::tie(fault.file, fault.line, fault.column, fault.key, fault.problem);
  });
  if (!told && list_.size() < kFaultsMax) list_.push_back(std::move(fault));
}

bool Faults::fatal() const {
  return std::ranges::any_of(list_, [](const Fault& fault) { return fault.severity == Severity::fatal; });
}

bool Faults::bad() const {
  return std::ranges::any_of(list_, [](const Fault& fault) { return fault.severity != Severity::warning; });
}

void Faults::sort() {
  std::vector<std::string> files;
  for (const Fault& fault : list_)
    if (std::ranges::find(files, fault.file) == files.end()) files.push_back(fault.file);
  std::ranges::stable_sort(list_, {}, [&](const Fault& fault) {
    return std::tuple(std::ranges::find(files, fault.file) - files.begin(), fault.line, fault.column);
  });
}

Json Faults::json() const {
  Json out = Json::array();
  for (const Fault& fault : list_) {
    Json one = Json::object();
    one.set("severity", word(fault.severity)).set("file", fault.file).set("line", fault.line).set("column", fault.column);
    out.push(std::move(one.set("key", fault.key).set("problem", fault.problem)));
  }
  return out;
}

}  // namespace jobcast
