// What lws knows of a request: copies of its words, and whether more has come behind it. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <string>

#include "lws-plugin/http_text.h"

namespace jobcast::plugin {

[[nodiscard]] std::string header(lws* wsi, lws_token_indexes token);
[[nodiscard]] std::string custom_header(lws* wsi, const char* name_with_colon);
// All of `request` but its body. Works for upgrades too.
void read_http_request(lws* wsi, HttpRequest& request);
// lws 4.1 keeps what is pipelined behind an unanswered request for later. Later versions end the connection when they come to it, and spin
// while it is not to be read: there a connection on which more is pipelined ends with its first answer at the latest.
constexpr bool kKeepsPipelined = LWS_LIBRARY_VERSION_NUMBER < 4002000;
// Does lws hold bytes of this connection that it has read and not used up: a request pipelined behind another, its own included? Unclear
// where others have such bytes too, and with TLS, which may hold some itself.
enum class Buffered : uint8_t { no, yes, unclear };
[[nodiscard]] Buffered input_buffered(lws* wsi);
// After a transaction: more was pipelined behind it.
[[nodiscard]] bool header_table_kept(lws* wsi);
// The request came by HTTP/2.
[[nodiscard]] bool is_h2(lws* wsi);

}  // namespace jobcast::plugin
