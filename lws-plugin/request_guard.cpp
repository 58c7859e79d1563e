// Compares what lws made of a request with its bytes.
#include "lws-plugin/request_guard.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "lws-plugin/lws_headers.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kLengthDigitsMax = 18;  // fits 64 bits; lws does not take one of 31 or more for a length at all

constexpr auto kMethods =
    std::to_array<lws_token_indexes>({WSI_TOKEN_GET_URI, WSI_TOKEN_POST_URI, WSI_TOKEN_HEAD_URI, WSI_TOKEN_OPTIONS_URI, WSI_TOKEN_PUT_URI,
                                      WSI_TOKEN_PATCH_URI, WSI_TOKEN_DELETE_URI, WSI_TOKEN_CONNECT});

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Pieces are what lws joins: of a path what it cut at ; and &, of a header what several lines of that name said. An empty one is one.
bool has_piece(lws* wsi, lws_token_indexes token, int index) {
  std::string piece(static_cast<size_t>(lws_hdr_total_length(wsi, token)) + 1, '\0');
  return lws_hdr_copy_fragment(wsi, piece.data(), static_cast<int>(piece.size()), token, index) >= 0;
}

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

// RFC 9112 §3.2: one Host, of the characters that a name, an address and a port can have.
bool has_faulty_host(lws* wsi) {
  std::string host = header(wsi, WSI_TOKEN_HOST);
  host.resize(host.find_last_not_of(" \t") + 1);
  if (host.empty()) return header(wsi, WSI_TOKEN_HTTP) == "HTTP/1.1";
  return has_piece(wsi, WSI_TOKEN_HOST, 1) || !std::ranges::all_of(host, [](char c) {
           return is_alphanumeric(c) || std::string_view("-._~%!$&'()*+;=:[]").find(c) != std::string_view::npos;
         });
}

bool has_control_in_value(lws* wsi) {
  for (int i = 0; i < WSI_TOKEN_COUNT; ++i) {
    const auto token = static_cast<lws_token_indexes>(i);
    if (token == WSI_TOKEN_HTTP_URI_ARGS || lws_hdr_total_length(wsi, token) <= 0) continue;
    if (std::ranges::any_of(header(wsi, token), [](char c) { return is_control(c) && c != '\t'; })) return true;
  }
  return false;
}

#if LWS_LIBRARY_VERSION_NUMBER >= 4003000
// RFC 9112 §5: a name is a token with the colon right behind it. What begins with a space continues the line before, and is refused as
// well.
void look_at_name(const char* text, int length, void* faulty) {
  std::string_view name(text, static_cast<size_t>(std::max(length, 0)));
  if (name.ends_with(':')) name.remove_suffix(1);
  if (name.empty() || !std::ranges::all_of(name, [](char c) {
        return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
      }))
    *static_cast<bool*>(faulty) = true;
}

bool has_faulty_name(lws* wsi) {
  bool faulty = false;
  lws_hdr_custom_name_foreach(wsi, look_at_name, &faulty);
  return faulty;
}
#else
// lws does not list the names that it does not know; it only finds one that is asked for. So the two that say where a body ends are asked
// for with blanks around them.
bool has_faulty_name(lws* wsi) {
  constexpr size_t kBlanksMax = 4;
  static const std::vector<std::string> names = [] {
    std::vector<std::string> blanks{""}, all;
    for (size_t from = 0, length = 1; length <= kBlanksMax; ++length)
      for (const size_t end = blanks.size(); from < end; ++from)
        for (const char blank : {' ', '\t'}) blanks.push_back(blanks[from] + blank);
    for (const char* name : {"content-length", "transfer-encoding"})
      for (const std::string& blank : blanks)
        if (!blank.empty()) all.insert(all.end(), {name + blank + ":", blank + name + ":"});
    return all;
  }();
  return std::ranges::any_of(names,
                             [&](const auto& name) { return lws_hdr_custom_length(wsi, name.data(), static_cast<int>(name.size())) >= 0; });
}
#endif

}  // namespace

const char* request_fault(lws* wsi) {
  if (std::ranges::count_if(kMethods, [&](auto token) { return lws_hdr_total_length(wsi, token) > 0; }) != 1)
    return "a request has one method and one target";
  const auto method = *std::ranges::find_if(kMethods, [&](auto token) { return lws_hdr_total_length(wsi, token) > 0; });
  const std::string target = header(wsi, method);
  if (target.front() != '/' || std::ranges::any_of(target, is_control) || has_piece(wsi, method, 1))
    return "the target must be a path without control characters, ';' and '&'";
  // A line break in the target, encoded or not, ends the request line for lws: then the version is missing, or somewhere else.
  if (const std::string version = header(wsi, WSI_TOKEN_HTTP); version != "HTTP/1.1" && version != "HTTP/1.0")
    return "the request line must end in HTTP/1.1, and the target may have no line break";
  if (has_faulty_host(wsi)) return "a request names one host, in one Host header";
  if (has_faulty_name(wsi) || lws_hdr_total_length(wsi, WSI_TOKEN_HTTP1_0) > 0)
    return "a header is a name, a colon right behind it, and a value on the same line";
  if (has_control_in_value(wsi)) return "a header may have no control characters";
  const std::string length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
  if (has_piece(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, 0) && (length.size() > kLengthDigitsMax || !parse_length(length)))
    return "Content-Length must be one whole number of at most 18 digits";
  return nullptr;
}

void write_refusal(lws* wsi, const HttpResponse& response) {
  std::string out(LWS_PRE, '\0');
  out.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ").append(status_title(response.status));
  out.append("\r\ncontent-type: ").append(response.content_type).append("\r\ncontent-length: ");
  out.append(std::to_string(response.body.size())).append("\r\nconnection: close\r\n");
  for (const auto& [name, value] : response.headers) out.append(name).append(": ").append(value).append("\r\n");
  out.append("\r\n").append(response.body);
  (void)lws_write(wsi, reinterpret_cast<unsigned char*>(out.data()) + LWS_PRE, out.size() - LWS_PRE, LWS_WRITE_HTTP);
}

}  // namespace jobcast::plugin
