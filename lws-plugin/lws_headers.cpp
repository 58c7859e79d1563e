// lws's tokens as strings.
#include "lws-plugin/lws_headers.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "lws-plugin/connections.h"

namespace jobcast::plugin {

std::string header(lws* wsi, lws_token_indexes token) {
  const int length = lws_hdr_total_length(wsi, token);
  if (length <= 0) return {};
  std::string text(static_cast<size_t>(length) + 1, '\0');
  const int got = lws_hdr_copy(wsi, text.data(), length + 1, token);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

std::string custom_header(lws* wsi, const char* name_with_colon) {
  const int name_length = static_cast<int>(strlen(name_with_colon));
  const int length = lws_hdr_custom_length(wsi, name_with_colon, name_length);
  if (length <= 0) return {};
  std::string text(static_cast<size_t>(length) + 1, '\0');
  const int got = lws_hdr_custom_copy(wsi, text.data(), length + 1, name_with_colon, name_length);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  const size_t start = text.find_first_not_of(" \t");
  if (start == std::string::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t") - start + 1);
}

// There is no call for it. But in lws 4.1 the loop does not sleep while a connection has such bytes, unless that connection is not to be
// read. From 4.2 on the same question runs due timers and with them whatever they call, in the middle of the callback that asks, and with
// LWS_WITH_EXTERNAL_POLL in 4.1 too: there it is not asked. Later versions end a connection on which more comes while an answer is awaited,
// so it only matters whether this request came behind another one.
Buffered input_buffered(lws* wsi) {
#if LWS_LIBRARY_VERSION_NUMBER >= 4002000
  return Connections::alone(wsi) ? Buffered::no : Buffered::unclear;
#elif defined(LWS_WITH_EXTERNAL_POLL)
  (void)wsi;
  return Buffered::unclear;
#else
  lws_context* context = lws_get_context(wsi);
  if (lws_service_adjust_timeout(context, 1, 0) != 0) return Buffered::no;
  if (lws_is_ssl(wsi)) return Buffered::unclear;
  lws_rx_flow_control(wsi, 0);
  const bool others = lws_service_adjust_timeout(context, 1, 0) == 0;
  lws_rx_flow_control(wsi, 1);
  return others ? Buffered::unclear : Buffered::yes;
#endif
}

// lws keeps the table attached only then; and only with one attached does this call touch its result.
bool header_table_kept(lws* wsi) {
  char touched = 'x';
  (void)lws_hdr_custom_copy(wsi, &touched, 1, "-:", 2);
  return touched == '\0';
}

bool is_h2(lws* wsi) {
#if defined(LWS_ROLE_H2)
  return lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_COLON_METHOD) > 0;
#else
  (void)wsi;
  return false;
#endif
}

namespace {

// Whoever connects from this machine is taken for a proxy in front, as where connections are counted: the address is then the last one
// that X-Forwarded-For names, which is what that proxy itself saw.
std::string client_address(lws* wsi) {
  std::array<char, 64> text{};
  std::string peer = lws_get_peer_simple(wsi, text.data(), text.size()) ? text.data() : "";
  const bool here = peer.empty() || peer.starts_with("127.") || peer.starts_with("::ffff:127.") || peer == "::1";
  const std::string forwarded = here ? header(wsi, WSI_TOKEN_X_FORWARDED_FOR) : "";
  const size_t last = forwarded.find_last_not_of(" ,");
  if (last == std::string::npos) return peer;
  const size_t before = forwarded.find_last_of(" ,", last);
  return forwarded.substr(before == std::string::npos ? 0 : before + 1, last - (before == std::string::npos ? 0 : before + 1) + 1);
}

}  // namespace

void read_http_request(lws* wsi, HttpRequest& request) {
  constexpr auto kMethods = std::to_array<std::pair<lws_token_indexes, Method>>({
      {WSI_TOKEN_GET_URI, Method::get},
      {WSI_TOKEN_POST_URI, Method::post},
      {WSI_TOKEN_HEAD_URI, Method::head},
      {WSI_TOKEN_OPTIONS_URI, Method::options},
      {WSI_TOKEN_PUT_URI, Method::put},
      {WSI_TOKEN_PATCH_URI, Method::patch},
      {WSI_TOKEN_DELETE_URI, Method::delete_},
  });
  request.method = Method::other;
  for (const auto& [token, method] : kMethods) {
    if (lws_hdr_total_length(wsi, token) <= 0) continue;
    request.method = method;
    request.path = header(wsi, token);
    break;
  }
  for (int n = 0;; ++n) {
    // One that does not fit looks like the end of them all.
    std::string pair(static_cast<size_t>(lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, n)) + 1, '\0');
    const int length = lws_hdr_copy_fragment(wsi, pair.data(), static_cast<int>(pair.size()), WSI_TOKEN_HTTP_URI_ARGS, n);
    if (length < 0) break;
    pair.resize(static_cast<size_t>(length));
    if (pair.empty() || pair == "/") continue;  // "/": what lws makes of nothing behind the last ? or &
    const size_t equals = std::min(pair.find('='), pair.size());
    request.query.emplace_back(pair.substr(0, equals), equals < pair.size() ? pair.substr(equals + 1) : "");
  }
  request.address = client_address(wsi);
  request.host = header(wsi, WSI_TOKEN_HOST);
  request.origin = header(wsi, WSI_TOKEN_ORIGIN);
  request.authorization = header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
  request.cookie = header(wsi, WSI_TOKEN_HTTP_COOKIE);
  request.content_type = header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
  request.content_length = header(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
  request.transfer_encoding = header(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING);
  if (header(wsi, WSI_TOKEN_HTTP) == "HTTP/1.1") request.expect = header(wsi, WSI_TOKEN_HTTP_EXPECT);
  request.if_none_match = header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH);
  request.accept = header(wsi, WSI_TOKEN_HTTP_ACCEPT);
  request.request_headers = header(wsi, WSI_TOKEN_HTTP_AC_REQUEST_HEADERS);
  request.request_method = custom_header(wsi, "access-control-request-method:");
  request.prefer = custom_header(wsi, "prefer:");
  if (lws_hdr_custom_length(wsi, "idempotency-key:", 16) >= 0) request.idempotency_key = custom_header(wsi, "idempotency-key:");
  request.last_event_id = custom_header(wsi, "last-event-id:");
}

}  // namespace jobcast::plugin
