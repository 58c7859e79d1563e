// Copies a request's words out of lws's header table. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <string>

#include "lws-plugin/http_text.h"

namespace jobcast::plugin {

[[nodiscard]] std::string header(lws* wsi, lws_token_indexes token);
[[nodiscard]] std::string custom_header(lws* wsi, const char* name_with_colon);
// All of `request` but its body. Works for upgrades too.
void read_http_request(lws* wsi, HttpRequest& request);
// The request came by HTTP/2.
[[nodiscard]] bool is_h2(lws* wsi);

}  // namespace jobcast::plugin
