// Members of a snapshot, absent ones as a dash.
#include "engine/cli/job_view.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/json.h"

namespace jobcast::cli {
namespace {

constexpr int64_t kSpanMsMax = INT64_C(1000) * 366 * 86'400'000;  // a thousand years

std::string text_of(JsonView value) { return std::string(value.string().value_or("")); }

std::optional<int64_t> time_of(JsonView value) {
  const auto text = value.string();
  return text ? parse_time(*text) : std::nullopt;
}

// Numbers that may pass 2^53 travel as strings.
std::optional<double> number_of(JsonView value) {
  if (const auto text = value.string()) {
    char* end = nullptr;
    const std::string copy(*text);
    const double read = std::strtod(copy.c_str(), &end);
    return !copy.empty() && *end == '\0' ? std::optional(read) : std::nullopt;
  }
  return value.number();
}

}  // namespace

std::optional<JobState> parse_state(std::string_view text) {
  for (const JobState state : {JobState::scheduled, JobState::queued, JobState::running, JobState::retrying, JobState::completed,
                               JobState::failed, JobState::cancelled})
    if (text == name(state)) return state;
  return std::nullopt;
}

Result<JobView> read_job(std::string_view snapshot) {
  const auto parsed = Json::parse(snapshot);
  if (!parsed) return {Errc::corrupt, "the engine sent a snapshot that is no JSON: " + parsed.error().detail};
  const JsonView in = parsed->view();
  const auto id = JobId::parse(in.get("job_id").string().value_or(""));
  const auto state = parse_state(in.get("state").string().value_or(""));
  if (!id || !state) return {Errc::corrupt, "the engine sent a snapshot without job_id or state"};
  const JsonView progress = in.get("progress");
  const JsonView waiting = in.get("waiting");
  JobView out;
  out.id = *id;
  out.state = *state;
  out.kind = text_of(in.get("kind"));
  out.owner = text_of(in.get("owner"));
  out.queue = text_of(in.get("queue"));
  out.rev = static_cast<uint64_t>(in.get("rev").integer().value_or(0));
  out.priority = in.get("priority").integer().value_or(0);
  out.attempt = in.get("attempt").integer().value_or(0);
  out.max_attempts = in.get("max_attempts").integer().value_or(1);
  out.created_ms = time_of(in.get("created_at"));
  out.started_ms = time_of(in.get("started_at"));
  out.finished_ms = time_of(in.get("finished_at"));
  out.done = number_of(progress.get("done"));
  out.total = number_of(progress.get("total"));
  out.percent = progress.get("percent").number();
  out.rate = progress.get("rate").number();
  out.eta_ms = progress.get("eta_ms").integer();
  out.phase = text_of(progress.get("phase"));
  out.message = text_of(progress.get("message"));
  out.cancelling = in.get("cancel").is_object() && !is_terminal(*state);
  out.reason = text_of(in.get("reason"));
  out.error = text_of(in.get("error"));
  out.exit_code = in.get("exit_code").integer();
  out.waiting = text_of(waiting.get("why"));
  out.position = waiting.get("position").integer();
  if (const JsonView result = in.get("result"); result.exists() && !result.is_null()) out.result = result.dump();
  out.result_url = text_of(in.get("result_url"));
  if (const JsonView meta = in.get("meta"); meta.size() > 0) out.meta = meta.dump();
  return out;
}

std::optional<int64_t> parse_time(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  const std::string copy(text);
  if (sscanf(copy.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6 || used != 19)
    return std::nullopt;
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  text.remove_prefix(19);
  int64_t ms = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    int64_t unit = 100;
    if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), unit /= 10)
      ms += unit * (text.front() - '0');
  }
  int64_t offset_minutes = 0;
  if (text != "Z" && text != "z") {
    if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
    int hours = 0, minutes = 0;
    const auto number = [&](size_t at, int& out) {
      return std::from_chars(text.data() + at, text.data() + at + 2, out).ptr == text.data() + at + 2;
    };
    if (!number(1, hours) || !number(4, minutes) || hours > 23 || minutes > 59) return std::nullopt;
    offset_minutes = (text[0] == '+' ? 1 : -1) * (hours * 60 + minutes);
  }
  tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  const time_t seconds = timegm(&parts);
  if (parts.tm_mday != day) return std::nullopt;  // the 31st of a month that has none
  return int64_t{seconds} * 1000 + ms - offset_minutes * 60'000;
}

std::optional<int64_t> parse_span(std::string_view text) {
  int64_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const int64_t unit_ms = unit.empty() || unit == "s" ? 1000
                          : unit == "m"               ? 60'000
                          : unit == "h"               ? 3'600'000
                          : unit == "d"               ? 86'400'000
                                                      : 0;
  if (fault != std::errc() || count < 0 || unit_ms == 0 || count > kSpanMsMax / unit_ms) return std::nullopt;
  return count * unit_ms;
}

}  // namespace jobcast::cli
