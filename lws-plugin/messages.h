// What a ws client says, read strictly, and the answers to it. docs/protocol.md is normative. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/json.h"
#include "base/result.h"
#include "lws-plugin/auth.h"

namespace jobcast::plugin {

enum class Request : uint8_t { unknown, authenticate, subscribe_job, unsubscribe_job, submit_job, cancel_job, ping };
[[nodiscard]] const char* name(Request request);  // the event's name; "" for unknown

// One client message. Fields that its event does not have are empty.
struct Message {
  Request request = Request::unknown;
  std::string id;                // the request's id as JSON text, to be repeated as it came; "" for none
  std::string token;             // authenticate
  std::optional<JobId> job;      // subscribe_job, unsubscribe_job, cancel_job
  uint64_t rev = 0;              // subscribe_job, authenticate: last seen
  uint32_t min_interval_ms = 0;  // subscribe_job
  Json body;                     // submit_job: the whole message; its data is body.view().get("data")
  std::optional<Error> fault;    // why it cannot be carried out; the members above that could be read are filled nevertheless
};

constexpr uint32_t kMinIntervalMsMax = 3'600'000;

[[nodiscard]] Message parse_message(std::string_view text, size_t bytes_max);

// The parameters of the engine's job.submit from what a user sent (the same object over ws and HTTP), with the owner put in.
// `idempotency_key`: HTTP's header, if it was sent. Errors: invalid, naming the field; unknown fields are refused.
[[nodiscard]] Result<std::string> submit_params(JsonView data, const Identity& who, const std::optional<std::string>& idempotency_key = {});
// Of job.cancel, job.get, …: {"job_id","owner"?}; without owner for those who may touch any job.
[[nodiscard]] std::string cancel_params(const JobId& job, const Identity& who);

// The code of an `error` event (and of a problem document) for an Error: "invalid", "not_found", "full", "retry", …
[[nodiscard]] const char* error_code(const Error& error);

}  // namespace jobcast::plugin
