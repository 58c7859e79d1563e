// One table of numbers, one list of texts, and their faults.
#include "lws-plugin/options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/closest.h"
#include "base/unit.h"

namespace jobcast::plugin {
namespace {

constexpr auto kNumbers = std::to_array<NumberOption>({
    {"leeway", 0, 0, 300, "s", [](Options& o, uint32_t n) { o.auth.leeway_s = n; }},
    {"key-grace", 60, 0, 86'400, "s", [](Options& o, uint32_t n) { o.key_grace_s = n; }},
    {"auth-timeout", 10, 1, 300, "s", [](Options& o, uint32_t n) { o.hub.auth_timeout_ms = int64_t{n} * 1000; }},
    {"expiry-warning", 60, 0, 3600, "s", [](Options& o, uint32_t n) { o.hub.expiry_warning_s = n; }},
    {"min-interval", 0, 0, 60'000, "ms", [](Options& o, uint32_t n) { o.hub.min_interval_ms = n; }},
    {"subscriptions-max", 256, 1, 65'536, "a connection", [](Options& o, uint32_t n) { o.hub.subscriptions_per_session_max = n; }},
    {"sessions-per-user", 64, 1, 65'536, "connections", [](Options& o, uint32_t n) { o.hub.sessions_per_user_max = n; }},
    {"topics-max", 8192, 64, 1'000'000, "jobs", [](Options& o, uint32_t n) { o.hub.topics_max = n, o.hub.followed_per_user_max = n / 4; }},
    {"messages-per-second", 50, 1, 10'000, "a connection", [](Options& o, uint32_t n) { o.hub.messages_per_second_max = n; }},
    {"messages-burst", 100, 1, 100'000, "a connection", [](Options& o, uint32_t n) { o.hub.messages_burst_max = n; }},
    {"message-bytes", 98'304, 1024, 1'048'576, "bytes", [](Options& o, uint32_t n) { o.hub.message_bytes_max = n; }},
    {"message-fragments", 1024, 1, 65'536, "fragments", [](Options& o, uint32_t n) { o.fragments_max = n; }},
    {"connections-max", 10'000, 1, 1'000'000, "connections", [](Options& o, uint32_t n) { o.connections_max = n; }},
    {"connections-per-address", 512, 1, 1'000'000, "connections", [](Options& o, uint32_t n) { o.connections_per_address_max = n; }},
    {"streams-max", 4096, 1, 1'000'000, "streams", [](Options& o, uint32_t n) { o.streams_max = n; }},
    {"streams-per-user", 64, 1, 65'536, "streams", [](Options& o, uint32_t n) { o.streams_per_user_max = n; }},
    {"body-bytes", 98'304, 1024, 1'048'576, "bytes", [](Options& o, uint32_t n) { o.body_bytes_max = n; }},
    {"body-time", 10, 1, 300, "s", [](Options& o, uint32_t n) { o.body_time_ms = n * 1000; }},
    {"wait-max", 60, 1, 300, "s", [](Options& o, uint32_t n) { o.wait_max_s = n; }},
    {"engine-timeout", 10'000, 100, 300'000, "ms", [](Options& o, uint32_t n) { o.engine_timeout_ms = n; }},
    {"engine-calls-max", 1024, 1, 65'536, "calls", [](Options& o, uint32_t n) { o.calls_max = n; }},
    {"engine-calls-per-user", 128, 1, 65'536, "calls", [](Options& o, uint32_t n) { o.calls_per_user_max = n; }},
    {"ping-interval", 30, 1, 3600, "s", [](Options& o, uint32_t n) { o.ping_interval_s = n; }},
    {"ping-timeout", 15, 1, 3600, "s", [](Options& o, uint32_t n) { o.ping_timeout_s = n; }},
    {"sse-keepalive", 20, 1, 3600, "s", [](Options& o, uint32_t n) { o.sse_keepalive_s = n; }},
    {"tickets-max", 8192, 1, 1'000'000, "tickets", [](Options& o, uint32_t n) { o.tickets_max = n; }},
    {"tickets-per-user", 64, 1, 65'536, "tickets", [](Options& o, uint32_t n) { o.tickets_per_user_max = n; }},
});

constexpr auto kTexts = std::to_array<const char*>({"engine", "mount", "key", "issuer", "audience", "origin", "cookie"});

// lwsws's own, meant for the server and not for the protocol.
constexpr auto kOfTheServer = std::to_array<std::string_view>({"default", "raw", "basic-auth", "status"});

// lwsws stores a longer value as several options of one name, cut anywhere.
constexpr size_t kValueBytesMax = 253;

Error fault(std::string_view name, std::string problem) {
  return {Errc::invalid, "option \"" + std::string(name) + "\" " + std::move(problem), std::string(name)};
}

// Paths may hold blanks and commas: a key ends where a blank or comma is followed by the start of another.
std::vector<std::string> keys_in(std::string_view list) {
  constexpr std::string_view kBetween = ", \t";
  const auto starts_key = [&](size_t at) {
    return std::ranges::any_of(std::array{"HS256:", "RS256:", "ES256:", "jwks:"},
                               [&](const char* kind) { return list.substr(at).starts_with(kind); });
  };
  std::vector<std::string> out;
  for (size_t at = 0; (at = list.find_first_not_of(kBetween, at)) != std::string_view::npos;) {
    size_t next = at;
    do {
      next = list.find_first_not_of(kBetween, std::min(list.find_first_of(kBetween, next), list.size()));
    } while (next < list.size() && !starts_key(next));
    const std::string_view key = list.substr(at, next - at);
    out.emplace_back(key.substr(0, key.find_last_not_of(kBetween) + 1));
    at = std::min(next, list.size());
  }
  return out;
}

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> out;
  for (size_t at = 0; (at = list.find_first_not_of(", \t", at)) != std::string_view::npos;) {
    const size_t end = std::min(list.find_first_of(", \t", at), list.size());
    out.emplace_back(list.substr(at, end - at));
    at = end;
  }
  return out;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

bool is_origin(std::string_view text) {
  if (text == "*") return true;
  const size_t scheme = text.find("://");
  return (text.starts_with("http://") || text.starts_with("https://")) && text.size() > scheme + 3 &&
         text.find_first_of("/?#@*", scheme + 3) == std::string_view::npos;
}

Result<void> set_text(Options& options, std::string_view name, std::string_view value) {
  if (name == "engine") {
    if (!value.starts_with('/') || value.size() > 107)
      return fault(name, "must be the absolute path of the engine's socket, at most 107 bytes");
    options.engine = value;
  } else if (name == "mount") {
    if (!value.starts_with('/') || value.find_first_of("?#% ") != std::string_view::npos)
      return fault(name, "must be the mount point's path as in \"mounts\", such as /jobcast");
    while (value.ends_with('/')) value.remove_suffix(1);
    options.mount = value;
  } else if (name == "cookie") {
    if (value.find_first_of("=;, \t\"") != std::string_view::npos) return fault(name, "must be a cookie's name, or empty for none");
    options.cookie = value;
  } else if (name == "issuer") {
    options.auth.issuer = value;
  } else if (name == "audience") {
    options.auth.audience = value;
  } else {
    for (std::string& word : name == "key" ? keys_in(value) : words(value)) {
      if (name == "key") {
        options.auth.keys.push_back(std::move(word));
      } else if (word = lower(std::move(word)); is_origin(word)) {
        options.origins.push_back(std::move(word));
      } else {
        return fault(name, "must list origins such as https://app.example:8443 (scheme, host, port; no path), or *: not " + word);
      }
    }
  }
  return {};
}

Error unknown(std::string_view name) {
  std::vector<std::string> known(kTexts.begin(), kTexts.end());
  for (const NumberOption& number : kNumbers) known.emplace_back(number.name);
  const std::string meant = closest(name, known);
  return fault(name, "is unknown: " + (meant.empty() ? "docs/configuration.md lists what there is" : "did you mean \"" + meant + "\"?"));
}

Result<void> set_option(Options& options, std::string_view name, std::string_view value) {
  if (std::ranges::find(kTexts, name) != kTexts.end()) return set_text(options, name, value);
  const auto number = std::ranges::find(kNumbers, name, &NumberOption::name);
  if (number == kNumbers.end()) return unknown(name);
  uint32_t n = 0;
  const auto [end, trouble] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (trouble != std::errc() || end != value.data() + value.size() || n < number->min || n > number->max) {
    const std::string meant = in_unit(value, number->unit);
    return fault(name, "must be a whole number of " + std::string(number->unit) + " from " + std::to_string(number->min) + " to " +
                           std::to_string(number->max) + ", not \"" + std::string(value) + "\"" +
                           (meant.empty() || meant == value ? "" : ": write \"" + meant + "\""));
  }
  number->set(options, n);
  return {};
}

}  // namespace

std::span<const NumberOption> number_options() { return kNumbers; }

Result<Options> Options::parse(std::span<const Pvo> pvos) {
  std::vector<Error> faults;
  Options options = parse(pvos, faults);
  if (!faults.empty()) return faults.front();
  return options;
}

Options Options::parse(std::span<const Pvo> pvos, std::vector<Error>& faults) {
  Options options;
  for (const NumberOption& number : kNumbers) number.set(options, number.fallback);  // the table's word counts, not the struct's
  std::set<std::string_view> seen;
  for (auto [name, value] : pvos) {
    if (name.ends_with("[]")) name.remove_suffix(2);  // an array's elements
    if (std::ranges::find(kOfTheServer, name) != kOfTheServer.end()) continue;
    const bool once = name != "key" && name != "origin";
    if (value.size() > kValueBytesMax)
      faults.push_back(
          fault(name, "is longer than " + std::to_string(kValueBytesMax) + " bytes, which lwsws would cut: give it in several"));
    else if (!seen.insert(name).second && once)
      faults.push_back(fault(name, "is given more than once"));
    else if (auto done = set_option(options, name, value); !done)
      faults.push_back(done.error());
  }
  if (options.auth.keys.empty() && std::ranges::find(faults, "key", &Error::field) == faults.end())
    faults.push_back(fault("key", "is required: for example HS256:/etc/jobcast/key"));
  std::ranges::reverse(options.auth.keys);  // lwsws hands options over in reverse
  return options;
}

}  // namespace jobcast::plugin
