// Compares the numbers of headers and library.
#include "lws-plugin/lws_version.h"

#include <libwebsockets.h>

#include <cstdio>

namespace jobcast::plugin {

std::string lws_mismatch() {
  const char* running = lws_get_library_version();
  int major = 0, minor = 0, patch = 0;
  if (sscanf(running, "%d.%d.%d", &major, &minor, &patch) == 3 && major == LWS_LIBRARY_VERSION_MAJOR &&
      minor == LWS_LIBRARY_VERSION_MINOR && patch == LWS_LIBRARY_VERSION_PATCH)
    return {};
  return std::string("compiled for libwebsockets " LWS_LIBRARY_VERSION " but running with ") + running +
         ": build jobcast again with the headers of the library that is installed";
}

}  // namespace jobcast::plugin
