// Preloaded, makes a libwebsockets say that it is of another version than the headers that everything was compiled with.
const char* lws_get_library_version(void);
__attribute__((visibility("default"))) const char* lws_get_library_version(void) { return "4.0.99-other"; }
