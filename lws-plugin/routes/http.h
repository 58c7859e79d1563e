// What the routes share. Service thread only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lws-plugin/exchange.h"

namespace jobcast::plugin {

// The caller; or nullopt after the refusal was given, or where the request is handled anew in its turn (Exchange::await_turn()).
[[nodiscard]] std::optional<Identity> authenticated(Exchange& exchange);
// The same for those whose token grants `scope`.
[[nodiscard]] std::optional<Identity> authorized(Exchange& exchange, bool Identity::* scope, const char* name);
// The {id} of the route, or nullopt after the refusal: what is no id is no job.
[[nodiscard]] std::optional<JobId> job_of(Exchange& exchange);

[[nodiscard]] HttpResponse no_such_job();
[[nodiscard]] HttpResponse unauthorized(const HttpRequest& request, std::string_view why);
[[nodiscard]] HttpResponse of_engine(const Error& error);
[[nodiscard]] std::string etag_of(uint64_t rev);
[[nodiscard]] HttpResponse snapshot_response(std::string_view json, uint64_t rev, bool stale);
[[nodiscard]] HttpResponse not_modified(std::string etag, bool stale);
// {"job_id","owner"?}: without owner for those who may see any.
[[nodiscard]] Json job_params(const JobId& job, const Identity& who);

void get_job(Exchange& exchange);
void list_jobs(Exchange& exchange);
void submit_job(Exchange& exchange);
void cancel_job(Exchange& exchange);
void retry_job(Exchange& exchange);
void get_log(Exchange& exchange);
void get_result(Exchange& exchange);
void list_queues(Exchange& exchange);
void follow_job(Exchange& exchange);
void follow_user(Exchange& exchange);

}  // namespace jobcast::plugin
