// submit: hands a job to the engine and, where asked, stays to watch it.
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_slice.h"
#include "engine/cli/engine_link.h"
#include "engine/cli/job_view.h"
#include "engine/cli/output.h"
#include "engine/cli/watch.h"

namespace jobcast::cli {
namespace {

// An object given as JSON, as @FILE, or as - for standard input. Errors: invalid, naming the option.
Result<Json> read_object(const Invocation& invocation, const char* option) {
  std::string text = invocation.get(option);
  const std::string name = std::string("--") + option;
  if (text == "-" || text.starts_with('@')) {
    auto read = read_file(text == "-" ? "/dev/stdin" : text.substr(1), 1 << 20);
    if (!read) return {Errc::invalid, name + ": " + read.error().detail, option};
    text = std::move(*read);
  }
  auto parsed = Json::parse(text);
  if (!parsed) return {Errc::invalid, name + " is no JSON: " + parsed.error().detail, option};
  if (!parsed->view().is_object()) return {Errc::invalid, name + " must be a JSON object, not " + parsed->view().type_name(), option};
  return parsed;
}

// The parameters of job.submit. Errors: invalid.
Result<Json> parameters(const Invocation& invocation) {
  Json params = Json::object();
  params.set("kind", invocation.operands[0]).set("owner", invocation.get("owner", login_name()));
  for (const char* option : {"args", "meta"}) {
    if (!invocation.has(option)) continue;
    auto object = read_object(invocation, option);
    if (!object) return object.error();
    params.set(option, std::move(*object));
  }
  if (invocation.has("queue")) params.set("queue", invocation.get("queue"));
  if (invocation.has("unique-key")) params.set("unique_key", invocation.get("unique-key"));
  if (invocation.has("idempotency-key")) params.set("idempotency_key", invocation.get("idempotency-key"));
  const auto priority = invocation.integer("priority", 0, -100, 100);
  if (!priority) return priority.error();
  if (invocation.has("priority")) params.set("priority", *priority);
  const auto attempts = invocation.integer("max-attempts", 1, 1, 25);
  if (!attempts) return attempts.error();
  if (invocation.has("max-attempts")) params.set("max_attempts", *attempts);
  if (invocation.has("run-at")) {
    const std::string when = invocation.get("run-at");
    auto at_ms = parse_time(when);
    if (const auto span_ms = when.starts_with('+') ? parse_span(when.substr(1)) : std::nullopt) at_ms = now().unix_ms + *span_ms;
    if (!at_ms)
      return {Errc::invalid, "--run-at is a time like 2026-11-23T13:20:00Z, or +90s, +15m, +2h, +1d from now, a thousand years at most",
              "run_at"};
    params.set("run_at_ms", *at_ms);
  }
  return params;
}

Exit run(const Invocation& invocation) {
  const auto params = parameters(invocation);
  if (!params) return complain(invocation, params.error());
  const auto answer = call_engine(invocation, "job.submit", *params);
  if (!answer) return complain(invocation, answer.error());
  const std::string snapshot(json_member(*answer, "job").value_or(""));
  const auto job = read_job(snapshot);
  if (!job) return complain(invocation, job.error());
  if (json_member(*answer, "created") == "false" && !invocation.json()) note("no new job: its key names this one");
  if (!invocation.has("watch")) {
    print((invocation.json() ? snapshot : job->id.text()) + "\n");
    return Exit::ok;
  }
  if (!invocation.json()) print(job->id.text() + "\n");
  return watch_jobs(invocation, {job->id});
}

constexpr Option kOptions[] = {
    {"args", 'a', "JSON", "what the job shall work on: an object, or @FILE, or - for standard input ({})", false, true},
    {"queue", 'q', "QUEUE", "instead of the kind's own queue"},
    {"priority", 'p', "N", "-100 to 100, higher first (0)"},
    {"unique-key", 0, "KEY", "no second job while one of this kind, owner and key is not over"},
    {"idempotency-key", 0, "KEY", "submitting again with this key answers the job that the first one made"},
    {"max-attempts", 0, "N", "how often it may be tried, as far as the kind allows"},
    {"run-at", 0, "TIME", "not before 2026-11-23T13:20:00Z, or +90s, +15m, +2h, +1d from now"},
    {"meta", 0, "JSON", "an object of up to 1 KiB that goes along in every snapshot"},
    {"owner", 'o', "NAME", "on whose behalf (your login name)"},
    {"watch", 'w', nullptr, "stay until the job is over, as `jobcast watch` does"},
    kReconnectOption,
};
constexpr Example kExamples[] = {
    {"submit plo-equity --args '{\"hands\":[\"AsAhKsKh\",\"8c7d6c5d\"],\"mode\":\"exact\"}' --watch",
     "submit, and watch the bar until the end"},
    {"submit plo-equity --args @deal.json --priority 10", "print the new job's id"},
    {"submit plo-equity --args @deal.json --run-at +15m --unique-key nightly", "in a quarter of an hour, unless one is waiting already"},
};

}  // namespace

extern const Command submit_command{.name = "submit",
                                    .operands = "KIND",
                                    .operands_min = 1,
                                    .operands_max = 1,
                                    .summary = "submit a job",
                                    .text =
                                        "Submits a job of a kind that the engine's config names and prints its id; with\n"
                                        "--json, its snapshot. When the command has ended well the job is on disk: it will\n"
                                        "run, whatever crashes.",
                                    .examples = kExamples,
                                    .options = kOptions,
                                    .speaks_to_engine = true,
                                    .run = run};

}  // namespace jobcast::cli
