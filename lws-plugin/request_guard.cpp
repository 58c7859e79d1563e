// Compares what lws made of a request with its bytes.
#include "lws-plugin/request_guard.h"

#include <algorithm>
#include <array>
#include <string>

#include "lws-plugin/lws_headers.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kLengthDigitsMax = 18;  // fits 64 bits; lws does not take one of 31 or more for a length at all

constexpr auto kMethods =
    std::to_array<lws_token_indexes>({WSI_TOKEN_GET_URI, WSI_TOKEN_POST_URI, WSI_TOKEN_HEAD_URI, WSI_TOKEN_OPTIONS_URI, WSI_TOKEN_PUT_URI,
                                      WSI_TOKEN_PATCH_URI, WSI_TOKEN_DELETE_URI, WSI_TOKEN_CONNECT});

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// lws cuts a path at ; and & and joins the pieces again without them.
bool has_second_piece(lws* wsi, lws_token_indexes token) {
  std::string piece(static_cast<size_t>(lws_hdr_total_length(wsi, token)) + 1, '\0');
  return lws_hdr_copy_fragment(wsi, piece.data(), static_cast<int>(piece.size()), token, 1) >= 0;
}

}  // namespace

const char* request_fault(lws* wsi) {
  if (std::ranges::count_if(kMethods, [&](auto token) { return lws_hdr_total_length(wsi, token) > 0; }) != 1)
    return "a request has one method and one target";
  const auto method = *std::ranges::find_if(kMethods, [&](auto token) { return lws_hdr_total_length(wsi, token) > 0; });
  const std::string target = header(wsi, method);
  if (target.front() != '/' || std::ranges::any_of(target, is_control) || has_second_piece(wsi, method))
    return "the target must be a path without control characters, ';' and '&'";
  // A line break in the target, encoded or not, ends the request line for lws: then the version is missing, or somewhere else.
  if (const std::string version = header(wsi, WSI_TOKEN_HTTP); version != "HTTP/1.1" && version != "HTTP/1.0")
    return "the request line must end in HTTP/1.1, and the target may have no line break";
  const std::string length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
  if (!length.empty() && (length.size() > kLengthDigitsMax || !parse_length(length)))
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
