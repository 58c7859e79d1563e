/* The plugin inside a program of your own, linked statically instead of loaded: for firmware and for servers without dlopen(). C11 and C++.
 *
 *   info.protocols = jobcast_lws_protocols();     // or copy its entries behind your own
 *   info.mounts    = a mount of "/jobcast" with origin_protocol LWSMPRO_CALLBACK, origin and protocol "jobcast"
 *   info.pvo       = { .name = "jobcast", .options = the options of docs/configuration.md }
 *
 * Thread: lws's service thread, which alone calls into the protocols. */
#ifndef JOBCAST_EMBED_H
#define JOBCAST_EMBED_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lws_protocols;
struct lws_vhost;

/* "jobcast" (HTTP), "jobcast.v1" (ws) and the terminating entry. Static; never freed. */
const struct lws_protocols* jobcast_lws_protocols(void);

/* Tells the clients of this vhost to come back later and closes their connections as far as they let it; run the loop on until
 * jobcast_lws_open() is 0 or patience ends, then destroy the context. */
void jobcast_lws_shutdown(struct lws_vhost* vhost);

/* Connections, streams and held polls of this vhost that are open. */
size_t jobcast_lws_open(struct lws_vhost* vhost);

/* Where the lines of the log go: those of everything of jobcast that is linked into this program. `line` is "event=… key=value …",
 * terminated by NUL, without a newline, and valid during the call; `level` is one of jobcast_log_level. NULL: standard error, which
 * they go to anyway, with time and level before each. Any thread may call the sink, and it must not call back into jobcast.
 * Set it before the context is created. */
enum jobcast_log_level { JOBCAST_LOG_ERROR = 0, JOBCAST_LOG_WARNING, JOBCAST_LOG_NOTICE, JOBCAST_LOG_INFO, JOBCAST_LOG_DEBUG };
void jobcast_log_sink(void (*sink)(int level, const char* line, void* user), void* user);

/* Lines above this level are dropped; JOBCAST_LOG_NOTICE by default. What is no level is taken for the nearest one. */
void jobcast_log_threshold(int level);

#ifdef __cplusplus
}
#endif
#endif
