// The table of events, and the reading of their members.
#include "lws-plugin/messages.h"

#include <utility>

#include "base/fields.h"

namespace jobcast::plugin {
namespace {

constexpr size_t kIdBytesMax = 64;
constexpr int64_t kRevMax = int64_t{1} << 53;
constexpr int64_t kWhenMax = 253'402'300'799'999;  // the end of the year 9999, as the engine has it
constexpr struct {
  const char* name;
  Request request;
} kRequests[] = {
    {"authenticate", Request::authenticate},        // {token, rev?}
    {"subscribe_job", Request::subscribe_job},      // {job_id, rev?, min_interval_ms?}
    {"unsubscribe_job", Request::unsubscribe_job},  // {job_id}
    {"submit_job", Request::submit_job},            // submit_params()
    {"cancel_job", Request::cancel_job},            // {job_id}
    {"ping", Request::ping},                        // {}
};

Request request_named(std::string_view event) {
  for (const auto& known : kRequests)
    if (event == known.name) return known.request;
  return Request::unknown;
}

std::optional<JobId> job_id(Fields& in) {
  const std::string text = in.required_string("job_id");
  auto job = JobId::parse(text);
  if (!job) in.fail("job_id", "is not a job's id: a UUID is wanted");
  return job;
}

void read_data(Message& message, JsonView data) {
  Fields in(data);
  switch (message.request) {
    case Request::authenticate:
      message.token = in.required_string("token", 64 << 10);  // too long a one is the gate's to refuse
      message.rev = static_cast<uint64_t>(in.integer("rev", 0, 0, kRevMax));
      break;
    case Request::subscribe_job:
      message.job = job_id(in);
      message.rev = static_cast<uint64_t>(in.integer("rev", 0, 0, kRevMax));
      message.min_interval_ms = static_cast<uint32_t>(in.integer("min_interval_ms", 0, 0, kMinIntervalMsMax));
      break;
    case Request::unsubscribe_job:
    case Request::cancel_job: message.job = job_id(in); break;
    case Request::submit_job: return;  // submit_params() reads it
    case Request::ping:
    case Request::unknown: break;
  }
  if (auto done = in.finish(); !done) message.fault = done.error();
}

// The id first, so that a fault's answer can repeat it.
void read_id(Message& message, JsonView id) {
  const bool usable = id.integer() || (id.string() && id.string()->size() <= kIdBytesMax);
  if (usable)
    message.id = id.dump();
  else if (id.exists() && !id.is_null())
    message.fault =
        Error{Errc::invalid, "id must be a whole number or a string of at most " + std::to_string(kIdBytesMax) + " bytes", "id"};
}

}  // namespace

const char* name(Request request) {
  for (const auto& known : kRequests)
    if (request == known.request) return known.name;
  return "";
}

Message parse_message(std::string_view text, size_t bytes_max) {
  Message message;
  auto parsed = Json::parse(text, {bytes_max, 32});
  if (!parsed) {
    message.fault = parsed.error();
    return message;
  }
  message.body = std::move(parsed).value();
  const JsonView whole = message.body.view();
  Fields in(whole);
  const std::string event = in.required_string("event");
  message.request = request_named(event);
  read_id(message, in.any("id"));
  const bool has_data = in.object("data").exists();
  if (event.size() > 0 && message.request == Request::unknown)
    in.fail("event", "is not known: authenticate, subscribe_job, unsubscribe_job, submit_job, cancel_job or ping");
  if (auto done = in.finish(); !done) message.fault = done.error();
  if (message.fault) return message;
  static const Json kEmpty = Json::object();
  read_data(message, has_data ? whole.get("data") : kEmpty.view());
  return message;
}

Result<std::string> submit_params(JsonView data, const Identity& who, const std::optional<std::string>& idempotency_key) {
  static const Json kEmpty = Json::object();
  Fields in(data.exists() ? data : kEmpty.view());
  Json out = Json::object();
  out.set("owner", who.user);
  const auto text = [&](const char* key, size_t bytes_max) {
    if (const auto value = in.optional_string(key, bytes_max)) out.set(key, *value);
  };
  const auto whole = [&](const char* key, int64_t min, int64_t max) {
    if (const auto value = in.optional_integer(key, min, max)) out.set(key, *value);
  };
  const auto object = [&](const char* key) {
    if (const JsonView value = in.object(key); value.exists()) out.set_raw(key, value.dump());
  };
  out.set("kind", in.required_string("kind", 128));
  text("queue", 128);
  text("unique_key", 128);
  if (!idempotency_key)
    text("idempotency_key", 128);
  else if (in.has("idempotency_key"))
    in.fail("idempotency_key", "is in the header already: send it once");
  else if (idempotency_key->empty())
    return {Errc::invalid, "Idempotency-Key is empty: send a key of your own making, or no such header", "Idempotency-Key"};
  else if (idempotency_key->size() > 128 || !is_utf8(*idempotency_key))
    return {Errc::invalid, "Idempotency-Key must be at most 128 bytes of UTF-8", "Idempotency-Key"};
  else
    out.set("idempotency_key", *idempotency_key);
  whole("priority", -100, 100);
  whole("run_at_ms", 0, kWhenMax);
  whole("max_attempts", 1, 25);
  object("args");
  object("meta");
  if (auto done = in.finish(); !done) return done.error();
  return out.dump();
}

std::string cancel_params(const JobId& job, const Identity& who) {
  Json out = Json::object();
  out.set("job_id", job.text());
  if (!who.admin) out.set("owner", who.user);
  out.set("by", who.user);
  return out.dump();
}

const char* error_code(const Error& error) {
  switch (error.code) {
    case Errc::invalid:
    case Errc::unauthorized:
    case Errc::not_found:
    case Errc::full:
    case Errc::retry: return jobcast::name(error.code);
    case Errc::closed: return "unanswered";
    case Errc::corrupt:
    case Errc::internal: return "internal";
  }
  return "internal";
}

}  // namespace jobcast::plugin
