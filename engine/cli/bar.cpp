// What is left out of a line first when the terminal is narrow.
#include "engine/cli/bar.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace jobcast::cli {
namespace {

constexpr int kBarMin = 10, kBarMax = 40, kBarGood = 16;  // good: counts are worth less than that many more columns
constexpr int kPercentColumns = 7;
constexpr int kRemarkColumns = 18;  // of phase and message, kept free

std::string percent_text(double percent) {
  // Cut, not rounded: "100.0%" is said of what is done only.
  const double shown = std::floor(std::clamp(percent, 0.0, 100.0) * 10) / 10;
  std::array<char, 16> text{};
  snprintf(text.data(), text.size(), "%.1f%%", shown);
  return text.data();
}

std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

std::string padded_left(const std::string& text, int columns) {
  const int gap = columns - width_of(text);
  return gap > 0 ? std::string(static_cast<size_t>(gap), ' ') + text : text;
}

std::optional<double> fraction_of(const JobView& job) {
  if (job.percent) return std::clamp(*job.percent / 100, 0.0, 1.0);
  if (job.done && job.total && *job.total > 0) return std::clamp(*job.done / *job.total, 0.0, 1.0);
  return std::nullopt;
}

// A clock's way of writing, always of the same width below ten hours: a countdown must not dance.
std::string countdown(int64_t ms) {
  const int64_t s = (ms + 999) / 1000;
  std::array<char, 32> text{};
  if (s >= 100 * 3600) return std::to_string(s / 86400) + " d";
  if (s >= 3600)
    snprintf(text.data(), text.size(), "%d:%02d:%02d", static_cast<int>(s / 3600), static_cast<int>(s / 60 % 60), static_cast<int>(s % 60));
  else
    snprintf(text.data(), text.size(), "%d:%02d", static_cast<int>(s / 60), static_cast<int>(s % 60));
  return text.data();
}

std::string counts_of(const JobView& job) {
  if (!job.done) return {};
  return amount(*job.done) + (job.total ? "/" + amount(*job.total) : "");
}

std::string remark_of(const JobView& job, bool utf8) {
  const std::string dot = utf8 ? " · " : " - ";
  std::string out;
  const auto add = [&](const std::string& part) {
    if (!part.empty()) out += (out.empty() ? "" : dot) + part;
  };
  if (job.cancelling) add("cancelling");
  if (job.attempt > 1) add("attempt " + std::to_string(job.attempt));
  add(printable(job.phase, utf8));
  add(printable(job.message, utf8));
  return out;
}

const char* sign_of(JobState state, bool utf8) {
  switch (state) {
    case JobState::completed: return utf8 ? "✓" : "*";
    case JobState::failed: return utf8 ? "✗" : "!";
    case JobState::cancelled: return utf8 ? "■" : "x";
    case JobState::scheduled:
    case JobState::queued:
    case JobState::retrying: return utf8 ? "◌" : "-";
    case JobState::running: return utf8 ? "▸" : ">";
  }
  return "";
}

Tint tint_of(JobState state) {
  switch (state) {
    case JobState::completed: return Tint::good;
    case JobState::failed: return Tint::bad;
    case JobState::cancelled:
    case JobState::retrying: return Tint::warn;
    case JobState::scheduled:
    case JobState::queued: return Tint::dim;
    case JobState::running: return Tint::live;
  }
  return Tint::none;
}

// "name  [bar]  52.3%  400/s  ETA  0:09  2.6k/5.0k  flop": what does not fit goes, what is worth least first.
std::string running_line(const JobView& job, const std::string& label, const Look& look, const Moment& at) {
  const int columns = look.columns - 1;  // the last column is left alone: some terminals wrap as soon as it is filled
  const auto fraction = fraction_of(job);
  const std::string percent = fraction ? percent_text(*fraction * 100) : "";
  if (columns < kBarMin + kPercentColumns) return cut(fraction ? percent : std::string(name(job.state)), columns, look.utf8);

  const int64_t age = std::max<int64_t>(0, at.unix_ms - at.seen_ms);
  const std::string left = job.eta_ms ? countdown(std::max<int64_t>(0, *job.eta_ms - age)) : "-:--";
  const std::string counts = counts_of(job);
  const std::string remark = remark_of(job, look.utf8);
  // Each of one width, whatever the numbers: nothing dances.
  const std::string sign = sign_of(job.state, look.utf8);
  const std::string label_part = sign + " " + label + "  ";
  const std::string percent_part = fraction ? padded_left(percent, kPercentColumns) : "";
  const std::string rate_part = " " + padded_left(job.rate ? amount(*job.rate) + "/s" : "-/s", 7);
  const std::string eta_part = at.stale ? "  engine away" : "  ETA " + padded_left(left, 5);
  const std::string counts_part = counts.empty() ? "" : "  " + padded_left(counts, job.total ? 2 * width_of(amount(*job.total)) + 1 : 5);

  int room = columns - kBarMin;
  const auto fits = [&](const std::string& part, int reserve) {
    const bool shown = width_of(part) + reserve <= room;
    if (shown) room -= width_of(part);
    return shown;
  };
  const bool with_percent = fits(percent_part, 0), with_eta = fits(eta_part, 0), with_label = fits(label_part, 0),
             with_rate = fits(rate_part, 0);
  const bool with_counts = fits(counts_part, kRemarkColumns + kBarGood);
  // The phase has its columns even while there is none, so that the bar keeps its size when one comes.
  const int wide = std::clamp(kBarMin + room - kRemarkColumns, kBarMin, kBarMax);
  room -= wide - kBarMin;

  const Look bar_look{
      .terminal = look.terminal, .colour = look.colour && !at.stale, .utf8 = look.utf8, .columns = look.columns, .rows = look.rows};
  std::string out = with_label ? tinted(sign, tint_of(job.state), look) + label_part.substr(sign.size()) : "";
  out += fraction ? bar(*fraction, wide, bar_look) : roaming_bar(at.unix_ms / 250, wide, bar_look);
  if (with_percent) out += percent_part;
  if (with_rate) out += rate_part;
  if (with_eta) out += tinted(eta_part, at.stale ? Tint::warn : Tint::none, look);
  if (with_counts) out += tinted(counts_part, Tint::dim, look);
  if (!remark.empty() && room >= 6) out += "  " + tinted(cut(remark, room - 2, look.utf8), job.cancelling ? Tint::warn : Tint::dim, look);
  return out;
}

}  // namespace

std::string label_of(const JobView& job, bool with_id, bool utf8) {
  const std::string kind = printable(job.kind, utf8);
  return with_id ? kind + " " + job.id.text().substr(28) : kind;
}

std::string bar(double fraction, int columns, const Look& look) {
  fraction = std::clamp(std::isfinite(fraction) ? fraction : 0.0, 0.0, 1.0);
  if (!look.utf8) {
    const int inner = std::max(0, columns - 2);
    const int full = static_cast<int>(fraction * inner);
    return "[" + tinted(repeated("#", full), Tint::live, look) + repeated("-", inner - full) + "]";
  }
  constexpr std::array<std::string_view, 8> kEighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int inner = std::max(0, columns - 2);
  const int eighths = static_cast<int>(fraction * inner * 8);
  const std::string_view part = kEighths.at(static_cast<size_t>(eighths % 8));
  const int full = eighths / 8;
  return tinted("▕", Tint::dim, look) + tinted(repeated("█", full) + std::string(part), Tint::live, look) +
         repeated(" ", inner - full - (part.empty() ? 0 : 1)) + tinted("▏", Tint::dim, look);
}

std::string roaming_bar(int64_t tick, int columns, const Look& look) {
  const int inner = std::max(0, columns - 2);
  const int mark = std::min(3, inner);
  const int path = std::max(1, inner - mark);
  const int step = static_cast<int>(tick % (2 * path));
  const int at = step < path ? step : 2 * path - step;
  const std::string middle = tinted(repeated(look.utf8 ? "█" : "#", mark), Tint::live, look);
  return tinted(look.utf8 ? "▕" : "[", look.utf8 ? Tint::dim : Tint::none, look) + repeated(look.utf8 ? " " : "-", at) + middle +
         repeated(look.utf8 ? " " : "-", inner - mark - at) + tinted(look.utf8 ? "▏" : "]", look.utf8 ? Tint::dim : Tint::none, look);
}

std::string state_text(const JobView& job, int64_t unix_ms) {
  std::string out = name(job.state);
  if (is_terminal(job.state)) {
    if (job.started_ms && job.finished_ms)
      out += (job.state == JobState::completed ? " in " : " after ") + duration(*job.finished_ms - *job.started_ms);
    if (job.state == JobState::completed) return out;
    std::string why;
    if (job.reason == "exit" && job.exit_code)
      why = "exit code " + std::to_string(*job.exit_code);
    else if (job.reason == "signal" && job.exit_code)
      why = "signal " + std::to_string(*job.exit_code - 128);
    else if (job.reason != "user")
      why = job.reason;
    if (!why.empty()) out += ": " + why;
    if (!job.error.empty()) out += ": " + job.error;
    return out;
  }
  if (job.state == JobState::running) {
    if (job.started_ms) out += " for " + duration(unix_ms - *job.started_ms);
    return out;
  }
  if (job.state == JobState::retrying) out += " after attempt " + std::to_string(job.attempt) + " of " + std::to_string(job.max_attempts);
  if (job.position) out += ", place " + std::to_string(*job.position);
  if (job.waiting == "queue_full")
    out += ", waiting for a place in queue " + job.queue;
  else if (job.waiting == "owner_limit")
    out += ", the limit of " + job.owner + " is reached";
  else if (job.waiting == "paused")
    out += ", queue " + job.queue + " is paused";
  else if (job.waiting == "no_resources")
    out += ", waiting for the machine to have room";
  else if (job.waiting == "dependency")
    out += ", waiting for another job";
  else if (!job.waiting.empty() && job.waiting != "run_at" && job.waiting != "backoff")
    out += ", " + job.waiting;
  if (!job.error.empty()) out += ": " + job.error;
  return out;
}

std::string bar_line(const JobView& job, const std::string& label, const Look& look, const Moment& at) {
  if (look.columns < 4) return {};
  if (job.state == JobState::running) return running_line(job, label, look, at);
  const std::string sign = sign_of(job.state, look.utf8);
  const int room = look.columns - 1 - width_of(sign) - 1;
  std::string text = label + "  " + printable(state_text(job, at.unix_ms), look.utf8);
  if (at.stale) text += look.utf8 ? " · engine away" : " - engine away";
  return tinted(sign, tint_of(job.state), look) + " " + cut(text, room, look.utf8);
}

std::string plain_line(const JobView& job, const std::string& label, const Look& look, const Moment& at) {
  std::string out = label + " ";
  if (job.state != JobState::running) return out + printable(state_text(job, at.unix_ms), look.utf8);
  out += name(job.state);
  const auto fraction = fraction_of(job);
  if (fraction) out += " " + percent_text(*fraction * 100);
  if (job.done) out += " " + counts_of(job);
  if (job.rate) out += " " + amount(*job.rate) + "/s";
  if (job.eta_ms) out += " ETA " + duration(*job.eta_ms);
  if (const std::string remark = remark_of(job, look.utf8); !remark.empty()) out += " " + remark;
  return out;
}

}  // namespace jobcast::cli
