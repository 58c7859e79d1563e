// HTTP as text: what requests say in their headers and how answers are worded. Pure; no lws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace jobcast::plugin {

enum class Method : uint8_t { get, head, post, put, patch, delete_, options, other };

// All of a request that the routes look at, copied out of lws's header table, which may be gone while the answer is awaited.
struct HttpRequest {
  Method method = Method::get;
  std::string path;                                        // decoded, without the query, from the vhost's root
  std::vector<std::pair<std::string, std::string>> query;  // decoded
  std::string host, origin, authorization, cookie, content_type, if_none_match, prefer, last_event_id, accept;
  std::optional<std::string> idempotency_key;   // "": it was sent, and is empty
  std::string request_method, request_headers;  // Access-Control-Request-…, of a preflight
  std::string content_length, transfer_encoding, expect;
  std::string address;  // of the client; behind a proxy on this machine what that says; "" where nothing is known
  std::string body;

  [[nodiscard]] std::optional<std::string_view> parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<const char*, std::string>> headers;  // lower-case names
  std::string body;

  HttpResponse& with(const char* name, std::string value) {
    headers.emplace_back(name, std::move(value));
    return *this;
  }
};

// RFC 9457, with `code` and, where an input is at fault, `field`.
[[nodiscard]] HttpResponse problem(int status, std::string_view code, std::string_view detail, std::string_view field = {});
[[nodiscard]] HttpResponse problem(const Error& error);
[[nodiscard]] const char* status_title(int status);

// True: the validator is among those of an If-None-Match header (weak comparison; "*" is any). `etag` with its quotes.
[[nodiscard]] bool etag_matches(std::string_view if_none_match, std::string_view etag);
// N of `Prefer: wait=N`, in seconds (RFC 7240), at most 2³²-1; nullopt: not asked for, or no number.
[[nodiscard]] std::optional<uint32_t> preferred_wait_s(std::string_view prefer);
// The token of `Authorization: Bearer …`; "" for anything else.
[[nodiscard]] std::string_view bearer_token(std::string_view authorization);
[[nodiscard]] std::string_view cookie_value(std::string_view cookies, std::string_view name);
// By the media ranges of an Accept header and their weights: JSON rather than text (RFC 9110 §12.5.1). Text where both are wanted alike.
[[nodiscard]] bool prefers_json(std::string_view accept);
// Content-Type is application/json, whatever its parameters.
[[nodiscard]] bool is_json(std::string_view content_type);
// A Content-Length that is digits and nothing else. nullopt: absent or anything else (a sign, a list).
[[nodiscard]] std::optional<uint64_t> parse_length(std::string_view text);
[[nodiscard]] std::optional<uint64_t> parse_number(std::string_view text);

// Same: its host and port are those of the Host header. Allowed: on the list by name. Anyone: let in by "*" alone, which is no reason to
// believe what a browser adds by itself (cookies). `allowed` is Options::origins.
enum class OriginIs : uint8_t { absent, same, allowed, anyone, foreign };
[[nodiscard]] OriginIs classify_origin(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed);

}  // namespace jobcast::plugin
