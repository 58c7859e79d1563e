// queues, stats: the engine about itself.
#include "base/json.h"
#include "engine/cli/engine_link.h"
#include "engine/cli/output.h"

namespace jobcast::cli {
namespace {

std::string number(JsonView value) { return value.exists() ? value.dump() : ""; }

Exit tell_queues(JsonView result) {
  std::vector<std::vector<std::string>> rows;
  for (JsonView queue = result.get("queues").first(); queue.exists(); queue = queue.next())
    rows.push_back(
        {std::string(queue.get("name").string().value_or("")) + (queue.get("paused").boolean().value_or(false) ? " (paused)" : ""),
         number(queue.get("running")) + "/" + number(queue.get("concurrency")), number(queue.get("queued")), number(queue.get("scheduled")),
         number(queue.get("retrying"))});
  print(table({"QUEUE", "RUNNING", "QUEUED", "SCHEDULED", "RETRYING"}, rows, look_at_stdout()));
  return Exit::ok;
}

Exit tell_stats(JsonView result) {
  const Look look = look_at_stdout();
  for (JsonView group = result.first(); group.exists(); group = group.next()) {
    std::string head(group.key());
    std::string line;
    if (group.is_object()) {
      for (JsonView item = group.first(); item.exists(); item = item.next())
        line += (line.empty() ? "" : "  ") + std::string(item.key()) + " " + item.dump();
    } else if (head == "uptime_ms") {
      head = "uptime";
      line = duration(group.integer().value_or(0));
    } else {
      line = std::string(group.string().value_or("")).empty() ? group.dump() : std::string(*group.string());
    }
    head.resize(std::max<size_t>(head.size() + 1, 10), ' ');
    print(tinted(printable(head, look.utf8), Tint::dim, look) + printable(line, look.utf8) + "\n");
  }
  return Exit::ok;
}

Exit run_queues(const Invocation& invocation) { return tell_engine(invocation, "queue.list", Json::object(), tell_queues); }
Exit run_stats(const Invocation& invocation) { return tell_engine(invocation, "engine.stats", Json::object(), tell_stats); }

constexpr Example kQueuesExamples[] = {{"queues", "how full each queue is"}};
constexpr Example kStatsExamples[] = {{"stats --json | jq .lane.readers", "how many readers are attached to the shared memory"}};

}  // namespace

extern const Command queues_command{.name = "queues",
                                    .operands = "",
                                    .operands_min = 0,
                                    .operands_max = 0,
                                    .summary = "list the queues and how full they are",
                                    .text = "Lists the engine's queues: jobs that run of those that may, and jobs that wait.",
                                    .examples = kQueuesExamples,
                                    .options = {},
                                    .speaks_to_engine = true,
                                    .run = run_queues};

extern const Command stats_command{.name = "stats",
                                   .operands = "",
                                   .operands_min = 0,
                                   .operands_max = 0,
                                   .summary = "show the engine's counters",
                                   .text = "Shows what the engine counts, since it was started unless the name says otherwise.",
                                   .examples = kStatsExamples,
                                   .options = {},
                                   .speaks_to_engine = true,
                                   .run = run_stats};

}  // namespace jobcast::cli
