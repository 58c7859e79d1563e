// What a server that loads the plugin looks for. Only in the .so.
#include "lws-plugin/plugin.h"

extern "C" {
// The plugin's one exported name: "jobcast", which in C++ is the namespace's already.
extern const lws_plugin_protocol_t jobcast_export __asm__("jobcast") __attribute__((visibility("default")));
const lws_plugin_protocol_t jobcast_export = {
    {
        "jobcast",
        "lws_protocol_plugin",
#if LWS_PLUGIN_API_MAGIC >= 191
        LWS_BUILD_HASH,
#endif
        LWS_PLUGIN_API_MAGIC,
#if LWS_PLUGIN_API_MAGIC >= 192
        0,
#endif
    },
    jobcast::plugin::kProtocols,
    nullptr,
    2,
    0,
};
}
