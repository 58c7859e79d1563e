// One function for each method of docs/control-protocol.md.
#include "engine/methods.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/fields.h"
#include "engine/log_reader.h"
#include "jobcast/layout.h"

namespace jobcast::engine {
namespace {

constexpr unsigned kLarge = kControlLineBytesMax / ControlServer::kBytesPerCost;
constexpr size_t kEnvelopeBytes = 4096;            // of an answer's line, around its large part
constexpr int64_t kWhenMax = 253'402'300'799'999;  // the end of the year 9999, the last that RFC 3339 can write

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

JobId read_id(Fields& in) {
  const auto id = JobId::parse(in.required_string("job_id", 64));
  if (!id) in.fail("job_id", "must be a UUID");
  return id.value_or(JobId{});
}

// "" where none was given, which stands for whoever owns it: an empty one must not be taken for that.
std::string read_owner(Fields& in) {
  if (!in.has("owner")) return "";
  std::string owner = in.required_string("owner", kOwnerBytesMax);
  if (has_control_characters(owner)) in.fail("owner", "must not contain control characters");
  return owner;
}

int depth_of(JsonView value) {
  int deepest = 0;
  for (JsonView child = value.first(); child.exists(); child = child.next()) deepest = std::max(deepest, depth_of(child));
  return deepest + (value.is_object() || value.is_array() ? 1 : 0);
}

std::string read_json_object(Fields& in, const char* key, size_t bytes_max) {
  const JsonView object = in.object(key);
  if (depth_of(object) > kValueDepthMax) in.fail(key, "nests deeper than " + std::to_string(kValueDepthMax));
  std::string text = object.exists() ? object.dump() : "{}";
  if (text.size() > bytes_max) in.fail(key, "is " + std::to_string(text.size()) + " bytes as JSON; at most " + std::to_string(bytes_max));
  return text;
}

Done<std::string> answer_job(Reply reply) {
  return [reply](const Result<std::string>& snapshot) mutable {
    if (snapshot)
      reply.result("{\"job\":" + *snapshot + "}");
    else
      reply.error(snapshot.error());
  };
}

std::string hex16(uint64_t value) {
  std::array<char, 17> text{};
  snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

template <class T>
Json counts_of(const T& counts, std::initializer_list<JobState> states) {
  Json out = Json::object();
  for (const JobState state : states) out.set(name(state), counts[static_cast<size_t>(state)]);
  return out;
}

}  // namespace

Methods::Methods(Loop& loop, const Config& config, Engine& engine, Store& store, Publisher& publisher)
    : loop_(loop), config_(config), engine_(engine), store_(store), publisher_(publisher), started_ns_(loop.now().mono_ns) {}

const std::vector<Methods::Method>& Methods::table() {
  static const std::vector<Method> kTable = {
      {"job.submit", &Methods::submit, 1},      {"job.get", &Methods::get, 1},       {"job.list", &Methods::list, kLarge},
      {"job.cancel", &Methods::cancel, 1},      {"job.retry", &Methods::retry, 1},   {"job.log", &Methods::log, kLarge},
      {"job.result", &Methods::result, kLarge}, {"queue.list", &Methods::queues, 1}, {"engine.stats", &Methods::stats, 1},
      {"engine.ping", &Methods::ping, 1},       {"attach", &Methods::attach, 1},
  };
  return kTable;
}

std::vector<std::string_view> Methods::names() {
  std::vector<std::string_view> out;
  for (const Method& method : table()) out.push_back(method.name);
  return out;
}

unsigned Methods::cost(std::string_view method) const {
  for (const Method& known : table())
    if (known.name == method) return known.cost;
  return 1;
}

void Methods::call(const Request& request, Reply reply) {
  static const Json kNone = Json::object();
  for (const Method& known : table())
    if (known.name == request.method)
      return (this->*known.call)(request.params().exists() ? request.params() : kNone.view(), std::move(reply));
  reply.fault(RpcFault::method, "there is no method of this name");
}

void Methods::submit(JsonView params, Reply reply) {
  Fields in(params);
  Submission wanted;
  wanted.kind = in.required_string("kind", 128);
  wanted.owner = in.required_string("owner", kOwnerBytesMax);
  if (has_control_characters(wanted.owner)) in.fail("owner", "must not contain control characters");
  wanted.args_json = read_json_object(in, "args", kArgsBytesMax);
  wanted.queue = in.optional_string("queue", 128);
  wanted.priority = static_cast<int>(in.integer("priority", 0, -100, 100));
  wanted.run_at_ms = in.optional_integer("run_at_ms", 0, kWhenMax);
  if (const auto attempts = in.optional_integer("max_attempts", 1, 25)) wanted.max_attempts = static_cast<int>(*attempts);
  wanted.unique_key = in.optional_string("unique_key", 128).value_or("");
  wanted.idempotency_key = in.optional_string("idempotency_key", 128).value_or("");
  wanted.meta_json = read_json_object(in, "meta", kMetaBytesMax);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.submit(wanted, [reply](const Result<Engine::Submitted>& done) mutable {
    if (done)
      reply.result("{\"job\":" + done->snapshot + ",\"created\":" + (done->created ? "true" : "false") + "}");
    else
      reply.error(done.error());
  });
}

void Methods::get(JsonView params, Reply reply) {
  Fields in(params);
  const JobId id = read_id(in);
  const std::string owner = read_owner(in);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.get(id, owner, answer_job(std::move(reply)));
}

void Methods::list(JsonView params, Reply reply) {
  Fields in(params);
  ListFilter filter;
  filter.owner = read_owner(in);
  for (const std::string& text : in.strings("states", 7, 16)) {
    const auto state = parse_state(text);
    if (state)
      filter.states.push_back(*state);
    else
      in.fail("states", "must name states: scheduled, queued, running, retrying, completed, failed or cancelled");
  }
  filter.kind = in.optional_string("kind", 128).value_or("");
  filter.queue = in.optional_string("queue", 128).value_or("");
  const auto limit = static_cast<size_t>(in.integer("limit", 50, 1, 200));
  filter.limit = static_cast<int>(limit) + 1;  // one more tells whether there is another page
  const auto cursor = in.optional_string("cursor", 64);
  if (cursor) filter.before = JobId::parse(*cursor);
  if (cursor && !filter.before) in.fail("cursor", "must be a next_cursor of an earlier answer");
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.list(filter, [reply, limit](const Result<Engine::Page>& jobs) mutable {
    if (!jobs) return reply.error(jobs.error());
    std::string out = "{\"jobs\":[";
    size_t shown = 0;
    for (; shown < std::min(limit, jobs->size()); ++shown) {
      const std::string& snapshot = (*jobs)[shown].second;
      if (out.size() + snapshot.size() + kEnvelopeBytes > kControlLineBytesMax) break;
      if (shown > 0) out += ',';
      out += snapshot;
    }
    out += "],\"next_cursor\":";
    out += shown < jobs->size() ? "\"" + (*jobs)[shown - 1].first.text() + "\"" : "null";
    reply.result(out + "}");
  });
}

void Methods::cancel(JsonView params, Reply reply) {
  Fields in(params);
  const JobId id = read_id(in);
  const std::string owner = read_owner(in);
  const std::string by = in.string("by", "", kOwnerBytesMax);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.cancel(id, owner, by, answer_job(std::move(reply)));
}

void Methods::retry(JsonView params, Reply reply) {
  Fields in(params);
  const JobId id = read_id(in);
  const std::string owner = read_owner(in);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.retry(id, owner, answer_job(std::move(reply)));
}

void Methods::log(JsonView params, Reply reply) {
  Fields in(params);
  const JobId id = read_id(in);
  const std::string owner = read_owner(in);
  const int64_t offset = in.integer("offset", 0, -(int64_t{1} << 40), int64_t{1} << 40);
  const int64_t limit = in.integer("limit", 65'536, 1, 262'144);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.log(id, owner, [reply, offset, limit](const Result<Engine::LogPlace>& place) mutable {
    if (!place) return reply.error(place.error());
    const auto piece = read_log(place->path, offset, limit, place->complete, kControlLineBytesMax - kEnvelopeBytes);
    if (!piece) return reply.error(piece.error());
    std::string out = "{\"data\":" + piece->json;
    out += ",\"offset\":" + std::to_string(piece->offset) + ",\"next_offset\":" + std::to_string(piece->next_offset);
    out += ",\"size\":" + std::to_string(piece->size) + ",\"dropped\":" + std::to_string(place->dropped);
    out += ",\"eof\":";
    out += place->complete && piece->next_offset == piece->size ? "true}" : "false}";
    reply.result(out);
  });
}

void Methods::result(JsonView params, Reply reply) {
  Fields in(params);
  const JobId id = read_id(in);
  const std::string owner = read_owner(in);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  engine_.result(id, owner, [reply](const Result<std::string>& json) mutable {
    if (json)
      reply.result("{\"result\":" + *json + "}");
    else
      reply.error(json.error());
  });
}

void Methods::queues(JsonView params, Reply reply) {
  Fields in(params);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  Json list = Json::array();
  for (const auto& queue : engine_.queues()) {
    Json one = Json::object();
    one.set("name", queue.name).set("concurrency", queue.concurrency).set("paused", queue.paused);
    one.set("scheduled", queue.scheduled).set("queued", queue.queued).set("running", queue.running).set("retrying", queue.retrying);
    list.push(std::move(one));
  }
  Json out = Json::object();
  out.set("queues", std::move(list));
  reply.result(out.dump());
}

void Methods::ping(JsonView params, Reply reply) {
  Fields in(params);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  Json out = Json::object();
  out.set("starts_held", engine_.starts_held()).set("starts_put_off", engine_.totals().starts_put_off);
  reply.result(out.dump());
}

void Methods::stats(JsonView params, Reply reply) {
  Fields in(params);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  store_.count([this, reply](const Result<std::array<int64_t, 8>>& counts) mutable {
    if (!counts) return reply.error(counts.error());
    using enum JobState;
    const auto& engine = engine_.totals();
    const auto lane = publisher_.stats();
    const auto store = store_.stats();
    const auto control = server_->stats();
    Json out = Json::object();
    out.set("version", JOBCAST_VERSION).set("pid", int64_t{getpid()}).set("boot", publisher_.revisions().boot());
    out.set("epoch", hex16(publisher_.epoch())).set("uptime_ms", (loop_.now().mono_ns - started_ns_) / 1'000'000);
    out.set("jobs", counts_of(*counts, {scheduled, queued, running, retrying, completed, failed, cancelled}));
    Json totals = Json::object();
    totals.set("submitted", engine.submitted).set("completed", engine.completed).set("failed", engine.failed);
    totals.set("cancelled", engine.cancelled).set("retried", engine.retried).set("worker_lost", engine.worker_lost);
    out.set("totals", std::move(totals));
    Json starts = Json::object();
    starts.set("held", engine_.starts_held()).set("put_off", engine.starts_put_off);
    out.set("starts", std::move(starts));
    Json progress = Json::object();
    progress.set("reports", engine_.progress_reports()).set("published", engine.progress_published);
    out.set("progress", std::move(progress));
    Json region = Json::object();
    region.set("records", lane.records).set("bytes", lane.bytes).set("doorbells", lane.doorbells);
    region.set("readers", lane.readers).set("slots_used", lane.slots_used);
    out.set("lane", std::move(region));
    Json disk = Json::object();
    disk.set("commits", store.commits).set("rows", store.rows).set("queue", uint64_t{store_.queue_length()});
    out.set("store", std::move(disk));
    Json socket = Json::object();
    socket.set("connections", uint64_t{control.connections}).set("requests", control.requests).set("errors", control.errors);
    socket.set("refused", control.refused).set("stalled", control.stalled);
    out.set("control", std::move(socket));
    reply.result(out.dump());
  });
}

void Methods::attach(JsonView params, Reply reply) {
  Fields in(params);
  const bool membarrier = in.boolean("membarrier", false);
  if (auto read = in.finish(); !read) return reply.error(read.error());
  auto grant = publisher_.add_reader(membarrier);
  if (!grant) return reply.error(grant.error());
  Json out = Json::object();
  out.set("layout_version", int64_t{JOBCAST_LAYOUT_VERSION})
      .set("epoch", hex16(publisher_.epoch()))
      .set("boot", publisher_.revisions().boot())
      .set("rev", publisher_.revisions().published())
      .set("readers_max", config_.readers_max);
  std::vector<Fd> descriptors;
  descriptors.push_back(std::move(grant->region));
  descriptors.push_back(std::move(grant->block));
  descriptors.push_back(std::move(grant->doorbell));
  const auto attached = reply.attach(
      out.dump(), std::move(descriptors), [this, reader = grant->reader] { publisher_.remove_reader(reader); }, config_.readers_max);
  if (attached) return;
  publisher_.remove_reader(grant->reader);
  reply.error(attached.error());
}

}  // namespace jobcast::engine
