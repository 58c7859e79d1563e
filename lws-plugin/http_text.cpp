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
std::string_view next_part(std::string_view& list, char separator) {
  const size_t end = std::min(list.find(separator), list.size());
  const std::string_view part = trim(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return part;
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
    std::string_view tag = next_part(if_none_match, ',');
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || (!tag.empty() && tag == etag)) return true;
  }
  return false;
}

std::optional<uint32_t> preferred_wait_s(std::string_view prefer) {
  while (!prefer.empty()) {
    std::string_view preference = next_part(prefer, ',');
    std::string_view token = next_part(preference, ';');
    const std::string_view key = next_part(token, '=');
    if (!same_word(key, "wait")) continue;
    token = trim(token);
    if (token.size() >= 2 && token.front() == '"' && token.back() == '"') token = token.substr(1, token.size() - 2);
    const auto seconds = parse_number(token);
    if (!seconds) return std::nullopt;
    return static_cast<uint32_t>(std::min<uint64_t>(*seconds, UINT32_MAX));
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
      if (next_part(value, '=') == name) return value;
    }
  }
  return {};
}

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
    if (same_word(entry, origin)) return OriginIs::allowed;
  const size_t scheme = origin.find("://");
  if (scheme != std::string_view::npos && !host.empty() && same_word(origin.substr(scheme + 3), host)) return OriginIs::same;
  return std::ranges::find(allowed, "*") != allowed.end() ? OriginIs::anyone : OriginIs::foreign;
}

}  // namespace jobcast::plugin
