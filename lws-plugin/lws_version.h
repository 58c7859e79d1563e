// Whether the libwebsockets that runs is the one whose headers we were compiled with. Any thread.
#pragma once

#include <string>

namespace jobcast::plugin {

// Between versions of lws the numbers of headers and the layout of structures differ, though the library's file may have the same name:
// every POST would be taken for something else. Returns a sentence that names both versions, or "" if they agree.
[[nodiscard]] std::string lws_mismatch();

}  // namespace jobcast::plugin
