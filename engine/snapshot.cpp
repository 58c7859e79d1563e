// Writes the members in their order, straight into one string.
#include "engine/snapshot.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/text.h"

namespace jobcast::engine {
namespace {

constexpr size_t kPhaseCostMax = 96, kMessageCostMax = 384, kErrorCostMax = 768, kByCostMax = 256;  // bytes as JSON, without quotes

size_t cost(std::string_view character) {
  const char c = character.front();
  if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') return 2;
  return static_cast<unsigned char>(c) < 0x20 ? 6 : character.size();
}

// The start of `value` that costs at most `cost_max` as JSON, "…" included where something was cut.
std::string clip(std::string_view value, size_t cost_max) {
  constexpr std::string_view kCut = "…";
  size_t spent = 0, fits = 0;
  for (size_t i = 0; i < value.size();) {
    const std::string_view character = value.substr(i, std::max<size_t>(utf8_length(value, i), 1));
    spent += cost(character);
    if (spent > cost_max) return std::string(value.substr(0, fits)).append(kCut);
    i += character.size();
    if (spent + kCut.size() <= cost_max) fits = i;
  }
  return std::string(value);
}

// Builds the text straight, without a tree of nodes: this runs for every publish.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void open(std::string_view key) {
    start(key);
    out_ += '{';
  }
  void close() { out_ += '}'; }
  void null(std::string_view key) {
    start(key);
    out_ += "null";
  }
  void text(std::string_view key, std::string_view value) {
    start(key);
    append_json_string(out_, value);
  }
  void clipped(std::string_view key, std::string_view value, size_t cost_max) {
    if (value.empty()) return null(key);
    const size_t before = out_.size();
    text(key, value);
    if (out_.size() - before <= cost_max) return;  // the key alone is dearer than what this leaves out
    out_.resize(before);
    text(key, clip(value, cost_max));
  }
  template <class Number>
  void number(std::string_view key, Number value) {
    start(key);
    std::array<char, 32> digits{};
    out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
  }
  void number(std::string_view key, const std::optional<uint64_t>& value) {
    constexpr uint64_t kExactMax = uint64_t{1} << 53;
    if (!value) return null(key);
    if (*value > kExactMax) return text(key, std::to_string(*value));
    number(key, *value);
  }
  template <class Number>
  void number(std::string_view key, const std::optional<Number>& value) {
    if (value)
      number(key, *value);
    else
      null(key);
  }
  // With `decimals` digits behind the point; what has no sensible one is null.
  void decimal(std::string_view key, const std::optional<double>& value, int decimals) {
    if (!value || !(std::fabs(*value) < 1e18)) return null(key);
    start(key);
    std::array<char, 40> digits{};
    out_.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), *value, std::chars_format::fixed, decimals).ptr);
  }
  void time(std::string_view key, const std::optional<int64_t>& unix_ms) {
    if (unix_ms)
      text(key, iso8601(*unix_ms));
    else
      null(key);
  }
  // Valid JSON, in which a line break can only stand between tokens.
  void raw(std::string_view key, std::string_view json) {
    start(key);
    const size_t at = out_.size();
    out_ += json;
    std::replace_if(out_.begin() + static_cast<std::ptrdiff_t>(at), out_.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  }

 private:
  void start(std::string_view key) {
    const bool first = out_.empty() || out_.back() == '{';
    size_t at = out_.size();
    out_.resize(at + key.size() + (first ? 3 : 4));
    if (!first) out_[at++] = ',';
    out_[at] = '"';
    key.copy(&out_[at + 1], key.size());
    out_[at + 1 + key.size()] = '"';
    out_.back() = ':';
  }
  std::string& out_;
};

void write_progress(Writer& to, const Progress& progress) {
  to.open("progress");
  to.number("done", progress.done);
  to.number("total", progress.total);
  to.decimal("percent", progress.percent, 1);
  to.decimal("rate", progress.rate, progress.rate.value_or(0) < 10 ? 4 : 1);
  to.number("eta_ms", progress.eta_ms);
  to.clipped("phase", progress.phase, kPhaseCostMax);
  to.clipped("message", progress.message, kMessageCostMax);
  to.close();
}

void write_cancel(Writer& to, const std::optional<CancelRequest>& cancel) {
  if (!cancel) return to.null("cancel");
  to.open("cancel");
  to.time("requested_at", cancel->requested_ms);
  to.time("acknowledged_at", cancel->acknowledged_ms);
  to.clipped("by", cancel->by, kByCostMax);
  to.close();
}

void write_waiting(Writer& to, const Job& job, const std::optional<Scheduler::Waiting>& waiting) {
  if (!waiting) return to.null("waiting");
  to.open("waiting");
  to.text("why", waiting->why);
  to.number("position", waiting->position);
  const bool timed = job.state == JobState::scheduled || job.state == JobState::retrying;
  to.time("until", timed ? std::optional(job.run_at_ms) : std::nullopt);
  to.close();
}

}  // namespace

std::string encode_snapshot(const Job& job, const std::optional<Scheduler::Waiting>& waiting) {
  const std::string id = job.id.text();
  std::string tail;  // what follows the result: its size decides whether the result fits
  Writer after(tail);
  write_waiting(after, job, waiting);
  after.raw("meta", job.meta_json);

  std::string out;
  out.reserve(1024);
  out += '{';
  Writer to(out);
  to.text("job_id", id);
  to.text("kind", job.kind);
  to.text("state", name(job.state));
  to.number("rev", job.rev);
  to.text("owner", job.owner);
  to.text("queue", job.queue);
  to.number("priority", job.priority);
  to.number("attempt", job.attempt);
  to.number("max_attempts", job.max_attempts);
  to.time("created_at", job.created_ms);
  to.time("started_at", job.started_ms);
  to.time("finished_at", job.finished_ms);
  write_progress(to, job.progress);
  write_cancel(to, job.cancel);
  if (job.reason == Reason::none)
    to.null("reason");
  else
    to.text("reason", name(job.reason));
  to.number("exit_code", job.exit_code);
  to.clipped("error", job.error, kErrorCostMax);
  constexpr std::string_view kResultKey = R"(,"result":,)";
  if (job.result_bytes == 0) {
    to.null("result");
  } else if (!job.result_json.empty() && out.size() + kResultKey.size() + job.result_json.size() + tail.size() + 1 <= kSnapshotBytesMax) {
    to.raw("result", job.result_json);
  } else {
    to.null("result");
    to.text("result_url", "jobs/" + id + "/result");
  }
  (out += ',') += tail;
  out += '}';
  return out;
}

}  // namespace jobcast::engine
