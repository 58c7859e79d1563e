// What one snapshot costs, beside the same JSON built as a tree and printed. `./dev bench snapshot`.
#include "engine/snapshot.h"

#include "base/clock.h"
#include "base/json.h"
#include "bench/bench.h"

using namespace jobcast;
using namespace jobcast::bench;
using namespace jobcast::engine;

namespace {

constexpr int kRounds = 11;
constexpr int kSnapshots = 20'000;

Job running_job() {
  Job job;
  job.kind = "plo-equity";
  job.owner = "alice";
  job.queue = "default";
  job.state = JobState::running;
  job.rev = 4294967313;
  job.attempt = 1;
  job.created_ms = 1795440000123;
  job.started_ms = 1795440001000;
  job.progress = {1200, 5000, 24.0, 400.1, 9500, "flop", "boards counted"};
  return job;
}

std::string as_a_tree(const Job& job) {
  Json progress = Json::object();
  progress.set("done", *job.progress.done).set("total", *job.progress.total).set("percent", *job.progress.percent);
  progress.set("rate", *job.progress.rate).set("eta_ms", *job.progress.eta_ms);
  progress.set("phase", job.progress.phase).set("message", job.progress.message);
  Json root = Json::object();
  root.set("job_id", job.id.text()).set("kind", job.kind).set("state", name(job.state)).set("rev", job.rev).set("owner", job.owner);
  root.set("queue", job.queue).set("priority", job.priority).set("attempt", job.attempt).set("max_attempts", job.max_attempts);
  root.set("created_at", iso8601(job.created_ms)).set("started_at", iso8601(*job.started_ms)).set("finished_at", nullptr);
  root.set("progress", std::move(progress)).set("cancel", nullptr).set("reason", nullptr).set("exit_code", nullptr);
  root.set("error", nullptr).set("result", nullptr).set("waiting", nullptr).set_raw("meta", job.meta_json);
  return root.dump();
}

template <class Encode>
double cost_ns(Encode encode) {
  Job job = running_job();
  size_t bytes = 0;
  const int64_t start = cpu_ns();
  for (int i = 0; i < kSnapshots; ++i) {
    ++job.rev;
    bytes += encode(job).size();
  }
  invariant(bytes > 0);
  return static_cast<double>(cpu_ns() - start) / kSnapshots;
}

}  // namespace

int main(int argc, char** argv) {
  Samples samples;
  for (int round = 0; round < kRounds; ++round) {
    samples.add("straight", cost_ns([](const Job& job) { return encode_snapshot(job, std::nullopt); }));
    samples.add("tree", cost_ns(as_a_tree));
  }
  Table table(wants_json(argc, argv));
  table.ratio("a running job's snapshot, beside a tree's", samples.median("straight"), "ns", samples.median("tree"), Goal::at_most, 0.4);
}
