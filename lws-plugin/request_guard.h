// Whether a request is what its client sent: lws reads targets and lengths in ways that HTTP does not know. Service thread only.
#pragma once

#include <libwebsockets.h>

#include "lws-plugin/http_text.h"

namespace jobcast::plugin {

// Returns why this request is refused, or null. docs/lws.md says what of a request can be seen here, and what cannot.
[[nodiscard]] const char* request_fault(lws* wsi);

// Writes a whole answer at once where no exchange is to give it; the connection is to be closed behind it.
void write_refusal(lws* wsi, const HttpResponse& response);

}  // namespace jobcast::plugin
