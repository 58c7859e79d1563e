// list, show, cancel, retry: one question to the engine each.
#include "base/clock.h"
#include "base/json.h"
#include "base/json_slice.h"
#include "engine/cli/bar.h"
#include "engine/cli/engine_link.h"
#include "engine/cli/job_view.h"
#include "engine/cli/output.h"

namespace jobcast::cli {
namespace {

std::string progress_cell(const JobView& job) {
  if (is_terminal(job.state) || !(job.percent || job.done)) return job.waiting;
  std::string out = job.percent ? std::to_string(static_cast<int>(*job.percent)) + "%" : amount(*job.done);
  if (job.eta_ms) out += ", " + duration(*job.eta_ms) + " left";
  return out;
}

Exit tell_list(const Invocation& invocation, JsonView result) {
  std::vector<std::vector<std::string>> rows;
  const int64_t unix_ms = now().unix_ms;
  for (JsonView item = result.get("jobs").first(); item.exists(); item = item.next()) {
    const auto job = read_job(item.dump());
    if (!job) return complain(invocation, job.error());
    const std::string age = job->created_ms ? duration(unix_ms - *job->created_ms) : "";
    rows.push_back({job->id.text(), job->kind, job->owner, name(job->state), progress_cell(*job), age,
                    is_terminal(job->state) ? job->error : job->phase});
  }
  if (rows.empty()) {
    note("no jobs");
    return Exit::ok;
  }
  print(table({"JOB", "KIND", "OWNER", "STATE", "PROGRESS", "AGE", "REMARK"}, rows, look_at_stdout()));
  if (const auto cursor = result.get("next_cursor").string()) note("there are more: --cursor " + printable(*cursor, true));
  return Exit::ok;
}

Exit run_list(const Invocation& invocation) {
  const auto limit = invocation.integer("limit", 50, 1, 200);
  if (!limit) return complain(invocation, limit.error());
  Json params = Json::object();
  params.set("limit", *limit);
  for (const char* filter : {"owner", "kind", "queue", "cursor"})
    if (invocation.has(filter)) params.set(filter, invocation.get(filter));
  if (invocation.has("state")) {
    Json states = Json::array();
    for (const std::string& state : invocation.all("state")) {
      if (!parse_state(state))
        return complain(invocation,
                        {Errc::invalid,
                         "there is no state '" + state + "': scheduled, queued, running, retrying, completed, failed, cancelled", "state"});
      states.push(state);
    }
    params.set("states", std::move(states));
  }
  return tell_engine(invocation, "job.list", params, [&](JsonView result) { return tell_list(invocation, result); });
}

void describe(const JobView& job) {
  const Look look = look_at_stdout();
  const auto line = [&](const char* key, const std::string& value, bool lines = false) {
    if (value.empty()) return;
    std::string head = key;
    head.resize(12, ' ');
    print(tinted(head, Tint::dim, look) + printable(value, look.utf8, lines) + "\n");
  };
  const auto time = [&](const char* key, std::optional<int64_t> unix_ms) {
    if (unix_ms) line(key, iso8601(*unix_ms) + " (" + duration(now().unix_ms - *unix_ms) + " ago)");
  };
  line("job", job.id.text());
  line("kind", job.kind);
  line("owner", job.owner);
  line("queue", job.queue + (job.priority ? ", priority " + std::to_string(job.priority) : ""));
  line("state", state_text(job, now().unix_ms) + (job.cancelling ? ", cancelling" : ""));
  line("attempt", std::to_string(job.attempt) + " of " + std::to_string(job.max_attempts));
  if (job.state == JobState::running) {
    const int64_t unix_ms = now().unix_ms;
    line("progress",
         bar(job.percent.value_or(0) / 100, 30, {.terminal = look.terminal, .colour = false, .utf8 = look.utf8, .columns = look.columns}) +
             plain_line(job, "", look, {.unix_ms = unix_ms, .seen_ms = unix_ms}).substr(sizeof " running" - 1));
  }
  time("created", job.created_ms);
  time("started", job.started_ms);
  time("finished", job.finished_ms);
  line("meta", job.meta);
  line("result", job.result_url.empty() ? job.result : "large: jobcast show --result " + job.id.text());
}

// One call about the job of the command line; `params` are what it says beside that.
Result<std::string> call_about(const Invocation& invocation, const char* method, Json params) {
  const auto id = read_job_id(invocation.operands[0]);
  if (!id) return id.error();
  params.set("job_id", id->text());
  if (invocation.has("owner")) params.set("owner", invocation.get("owner"));
  return call_engine(invocation, method, params);
}

// Answers a method's {job: snapshot}: the snapshot itself with --json, in words without.
Exit answer_job(const Invocation& invocation, const char* method, Json params, void (*tell)(const JobView&)) {
  const auto answer = call_about(invocation, method, std::move(params));
  if (!answer) return complain(invocation, answer.error());
  const std::string snapshot(json_member(*answer, "job").value_or(""));
  if (invocation.json()) {
    print(snapshot + "\n");
    return Exit::ok;
  }
  const auto job = read_job(snapshot);
  if (!job) return complain(invocation, job.error());
  tell(*job);
  return Exit::ok;
}

void tell_state(const JobView& job) {
  const Look look = look_at_stdout();
  print(job.id.text() + " " + printable(state_text(job, now().unix_ms), look.utf8) + (job.cancelling ? ", cancelling" : "") + "\n");
}

Exit run_show(const Invocation& invocation) {
  if (!invocation.has("result")) return answer_job(invocation, "job.get", Json::object(), describe);
  const auto answer = call_about(invocation, "job.result", Json::object());
  if (!answer) return complain(invocation, answer.error());
  print(std::string(json_member(*answer, "result").value_or("")) + "\n");
  return Exit::ok;
}
Exit run_retry(const Invocation& invocation) { return answer_job(invocation, "job.retry", Json::object(), tell_state); }
Exit run_cancel(const Invocation& invocation) {
  Json params = Json::object();
  params.set("by", invocation.get("by", login_name()));
  return answer_job(invocation, "job.cancel", std::move(params), tell_state);
}

constexpr Option kOwner = {"owner", 'o', "NAME", "only if it is this owner's: another's job is answered like an absent one"};
constexpr Option kListOptions[] = {
    {"owner", 'o', "NAME", "jobs of this owner only"},
    {"state", 's', "STATE",
     "jobs in this state only: scheduled, queued, running, retrying, completed, failed, cancelled; may be given several times", true},
    {"kind", 'k', "KIND", "jobs of this kind only"},
    {"queue", 'q', "QUEUE", "jobs of this queue only"},
    {"limit", 'n', "N", "at most so many, 1 to 200 (50)"},
    {"cursor", 0, "CURSOR", "go on where an earlier list ended"},
};
constexpr Option kShowOptions[] = {kOwner, {"result", 'r', nullptr, "its result alone, as JSON"}};
constexpr Option kRetryOptions[] = {kOwner};
constexpr Option kCancelOptions[] = {kOwner, {"by", 0, "NAME", "who cancels, as the job's watchers see it (your login name)"}};
constexpr Example kListExamples[] = {
    {"list --state running --state queued", "what the engine is busy with"},
    {"list --owner alice --json | jq -r '.jobs[].job_id'", "the ids of alice's newest jobs"},
};
constexpr Example kShowExamples[] = {
    {"show 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "everything that is known of a job"},
    {"show 0192f0c1-7a3b-7c4d-8e5f-0123456789ab --result", "its result alone"},
};
constexpr Example kCancelExamples[] = {{"cancel 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "ask the job to stop, then make it"}};
constexpr Example kRetryExamples[] = {{"retry 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "run a failed or cancelled job once more"}};

}  // namespace

extern const Command list_command{.name = "list",
                                  .operands = "",
                                  .operands_min = 0,
                                  .operands_max = 0,
                                  .summary = "list jobs, the newest first",
                                  .text =
                                      "Lists jobs, the newest first. With --json: {\"jobs\":[snapshot...],\"next_cursor\"} in\n"
                                      "one line.",
                                  .examples = kListExamples,
                                  .options = kListOptions,
                                  .speaks_to_engine = true,
                                  .run = run_list};

extern const Command show_command{.name = "show",
                                  .operands = "JOB",
                                  .operands_min = 1,
                                  .operands_max = 1,
                                  .summary = "show everything about a job",
                                  .text =
                                      "Shows a job as it is now: state, progress, times, error, result. With --json: its\n"
                                      "snapshot in one line.",
                                  .examples = kShowExamples,
                                  .options = kShowOptions,
                                  .speaks_to_engine = true,
                                  .run = run_show};

extern const Command cancel_command{.name = "cancel",
                                    .operands = "JOB",
                                    .operands_min = 1,
                                    .operands_max = 1,
                                    .summary = "cancel a job",
                                    .text =
                                        "A waiting job is cancelled at once. A running one is asked to stop, then gets\n"
                                        "SIGTERM and, after its kind's grace, SIGKILL; `jobcast watch` shows the end. A job\n"
                                        "that is over stays as it is.",
                                    .examples = kCancelExamples,
                                    .options = kCancelOptions,
                                    .speaks_to_engine = true,
                                    .run = run_cancel};

extern const Command retry_command{.name = "retry",
                                   .operands = "JOB",
                                   .operands_min = 1,
                                   .operands_max = 1,
                                   .summary = "run a failed or cancelled job again",
                                   .text =
                                       "Puts a failed or cancelled job back into its queue, or ends the waiting of one that\n"
                                       "would be tried again later.",
                                   .examples = kRetryExamples,
                                   .options = kRetryOptions,
                                   .speaks_to_engine = true,
                                   .run = run_retry};

}  // namespace jobcast::cli
