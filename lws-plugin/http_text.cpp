// Lists, dates, media ranges and problems.
#include "lws-plugin/http_text.h"

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/text.h"

namespace jobcast::plugin {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t") - start + 1);
}

// The next part of `list` up to `separator`, trimmed; consumed from it.
std::string_view take_part(std::string_view& list, size_t end) {
  end = std::min(end, list.size());
  const std::string_view part = trim(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return part;
}
std::string_view next_part(std::string_view& list, char separator) { return take_part(list, list.find(separator)); }

// The same, but a separator between quotes is none. `escapes`: a backslash there takes the next character along (not so in entity tags).
std::string_view next_unquoted(std::string_view& list, char separator, bool escapes = true) {
  bool quoted = false;
  size_t end = 0;
  for (; end < list.size() && (quoted || list[end] != separator); ++end) {
    if (list[end] == '"') quoted = !quoted;
    if (escapes && quoted && list[end] == '\\') ++end;
  }
  return take_part(list, end);
}

// "0.25" in thousandths; what is no weight counts as 1, like none.
int thousandths(std::string_view weight) {
  if (weight.empty() || (weight[0] != '0' && weight[0] != '1') || (weight.size() > 1 && weight[1] != '.') || weight.size() > 5) return 1000;
  int value = weight[0] == '1' ? 1000 : 0, unit = 100;
  for (const char digit : weight.substr(std::min<size_t>(2, weight.size()))) {
    if (digit < '0' || digit > '9') return 1000;
    value += (digit - '0') * unit;
    unit /= 10;
  }
  return std::min(value, 1000);
}

// How much an Accept header wants `type`: by the most specific of its ranges that fits, and among equals the one named first.
struct Wish {
  int weight = 0, specific = -1, place = 0;
  [[nodiscard]] bool more_than(const Wish& other) const {
    if (weight != other.weight) return weight > other.weight;
    return weight > 0 && (specific != other.specific ? specific > other.specific : place < other.place);
  }
};

Wish wish_for(std::string_view accept, std::string_view type) {
  Wish wish;
  const std::string_view major = type.substr(0, type.find('/') + 1);
  for (int place = 0; !accept.empty(); ++place) {
    std::string_view range = next_unquoted(accept, ',');
    const std::string_view name = next_unquoted(range, ';');
    const int specific = same_word(name, type) ? 2 : same_word(name, std::string(major) + "*") ? 1 : name == "*/*" ? 0 : -1;
    if (specific <= wish.specific) continue;
    wish = {1000, specific, place};
    while (!range.empty()) {
      std::string_view weight = next_unquoted(range, ';');
      if (same_word(next_part(weight, '='), "q")) wish.weight = thousandths(trim(weight));
    }
  }
  return wish;
}

// "https://App.example:443" and "https://app.example" are one origin (RFC 6454 §4): the scheme's own port is left out. No scheme: as it is.
std::string_view without_default_port(std::string_view authority, std::string_view scheme) {
  const std::string_view port = same_word(scheme, "https") ? ":443" : same_word(scheme, "http") ? ":80" : "";
  return !port.empty() && authority.ends_with(port) ? authority.substr(0, authority.size() - port.size()) : authority;
}

bool same_origin(std::string_view a, std::string_view b) {
  const size_t a_end = a.find("://"), b_end = b.find("://");
  if (a_end == std::string_view::npos || b_end == std::string_view::npos) return same_word(a, b);
  const std::string_view scheme = a.substr(0, a_end);
  return same_word(scheme, b.substr(0, b_end)) &&
         same_word(without_default_port(a.substr(a_end + 3), scheme), without_default_port(b.substr(b_end + 3), scheme));
}

}  // namespace

std::optional<std::string_view> HttpRequest::parameter(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return value;
  return std::nullopt;
}

const char* status_title(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Error";
  }
}

HttpResponse problem(int status, std::string_view code, std::string_view detail, std::string_view field) {
  Json body = Json::object();
  body.set("type", "about:blank").set("title", status_title(status)).set("status", status).set("code", code);
  body.set("detail", to_utf8(detail));  // it may quote what the client sent
  if (!field.empty()) body.set("field", to_utf8(field));
  HttpResponse response;
  response.status = status;
  response.content_type = "application/problem+json";
  response.body = body.dump();
  return response;
}

HttpResponse problem(const Error& error) {
  switch (error.code) {
    case Errc::invalid: return problem(400, name(error.code), error.detail, error.field);
    case Errc::unauthorized: return problem(403, "forbidden", error.detail);
    case Errc::not_found: return problem(404, name(error.code), error.detail);
    case Errc::full: return problem(429, name(error.code), error.detail).with("retry-after", "1");
    case Errc::retry: return problem(503, name(error.code), error.detail).with("retry-after", "1");
    case Errc::closed: return problem(504, "unanswered", error.detail).with("retry-after", "1");
    case Errc::corrupt:
    case Errc::internal: return problem(500, name(Errc::internal), error.detail);
  }
  return problem(500, name(Errc::internal), error.detail);
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
  while (!if_none_match.empty()) {
    std::string_view tag = next_unquoted(if_none_match, ',', false);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || (!tag.empty() && tag == etag)) return true;
  }
  return false;
}

std::optional<uint32_t> preferred_wait_s(std::string_view prefer) {
  while (!prefer.empty()) {
    std::string_view preference = next_unquoted(prefer, ',');
    std::string_view token = next_unquoted(preference, ';');
    const std::string_view key = next_part(token, '=');
    if (!same_word(key, "wait")) continue;
    token = trim(token);
    if (token.size() >= 2 && token.front() == '"' && token.back() == '"') token = token.substr(1, token.size() - 2);
    if (token.empty() || token.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
    return static_cast<uint32_t>(std::min<uint64_t>(parse_number(token).value_or(UINT32_MAX), UINT32_MAX));  // none: too large to be read
  }
  return std::nullopt;
}

std::string_view bearer_token(std::string_view authorization) {
  const std::string_view scheme = "Bearer ";
  if (authorization.size() <= scheme.size() || !same_word(authorization.substr(0, scheme.size()), scheme)) return {};
  return trim(authorization.substr(scheme.size()));
}

std::string_view cookie_value(std::string_view cookies, std::string_view name) {
  if (name.empty()) return {};
  while (!cookies.empty()) {
    std::string_view pair = next_part(cookies, ';');
    // lws joins repeated Cookie headers with two spaces.
    while (!pair.empty()) {
      const size_t gap = std::min(pair.find("  "), pair.size());
      std::string_view value = trim(pair.substr(0, gap));
      pair.remove_prefix(gap);
      pair = trim(pair);
      if (next_part(value, '=') != name) continue;
      return value.size() >= 2 && value.front() == '"' && value.back() == '"' ? value.substr(1, value.size() - 2) : value;
    }
  }
  return {};
}

bool prefers_json(std::string_view accept) { return wish_for(accept, "application/json").more_than(wish_for(accept, "text/plain")); }

bool is_json(std::string_view content_type) { return same_word(next_part(content_type, ';'), "application/json"); }

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<uint64_t> parse_length(std::string_view text) { return parse_number(trim(text)); }

OriginIs classify_origin(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed) {
  if (origin.empty()) return OriginIs::absent;
  for (const std::string& entry : allowed)
    if (same_origin(entry, origin)) return OriginIs::allowed;
  const size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos && !host.empty() && same_origin(origin, std::string(origin.substr(0, scheme + 3)).append(host)))
    return OriginIs::same;
  return std::ranges::find(allowed, "*") != allowed.end() ? OriginIs::anyone : OriginIs::foreign;
}

}  // namespace jobcast::plugin
