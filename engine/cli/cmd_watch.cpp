// watch: live jobs through shared memory, as bars, lines or JSON.
#include <poll.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "engine/cli/bar.h"
#include "engine/cli/job_view.h"
#include "engine/cli/lane_link.h"
#include "engine/cli/output.h"
#include "engine/cli/painter.h"
#include "engine/cli/signals.h"
#include "engine/cli/watch.h"

namespace jobcast::cli {
namespace {

constexpr int64_t kFrameMs = 50;          // news is drawn at most so often
constexpr int64_t kTickMs = 250;          // countdowns and roaming bars move without news
constexpr int64_t kPlainLineMs = 10'000;  // in a file, a line of mere progress every so often, and every tenth of the way

struct Watched {
  JobId id;
  std::optional<JobView> view{};
  int64_t seen_ms = 0;  // mono_ms of the snapshot's arrival
  bool ended = false;   // and its end is printed
  struct {              // what the last plain line said
    JobState state = JobState::scheduled;
    std::string phase;
    int tenth = 0;
    int64_t at_ms = 0;
  } said{};
};

class Watch {
 public:
  Watch(const Invocation& invocation, const std::vector<JobId>& ids, int64_t patience_ms)
      : invocation_(invocation),
        look_(look_at_stdout()),
        style_(invocation.json() ? Style::json
               : look_.terminal  ? Style::bars
                                 : Style::lines),
        reconnection_(patience_ms),
        link_(socket_path(invocation), ids, [this](const JobId& job, std::string_view snapshot) { take(job, snapshot); }) {
    for (const JobId& id : ids) jobs_.push_back({.id = id});
  }

  Exit run() {
    if (auto opened = link_.open(); !opened) return complain(invocation_, opened.error());
    Signals signals{SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    for (;;) {
      if (auto pumped = pump(); !pumped) return fail(pumped.error());
      if (fault_) return fail(*fault_);
      show();
      if (all_over()) break;
      wait(signals.fd());
      while (const auto signal = signals.next())
        if (!handle(*signal)) return leave(exit_of_signal(*signal));
    }
    painter_.finish();
    Exit exit = Exit::ok;
    for (const Watched& job : jobs_) exit = worse(exit, exit_of(job.view->state));
    return exit;
  }

 private:
  enum class Style { bars, lines, json };

  void take(const JobId& id, std::string_view snapshot) {
    auto view = read_job(snapshot);
    if (!view) {
      fault_ = view.error();
      return;
    }
    if (style_ == Style::json) print(std::string(snapshot) + "\n");
    const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Watched& each) { return each.id == id; });
    job->view = std::move(*view);
    job->seen_ms = now().mono_ms();
    if (!is_terminal(job->view->state)) job->ended = false;  // somebody retried it
  }

  [[nodiscard]] bool all_over() const {
    return std::all_of(jobs_.begin(), jobs_.end(), [](const Watched& job) { return job.view && is_terminal(job.view->state); });
  }

  // Takes what came; notices the engine's end, and tries to reach it again when that is due. Errors: it stays away, or a job is gone.
  Result<void> pump() {
    more_ = false;
    if (!away_) {
      const auto drained = link_.drain();
      more_ = drained == LaneLink::Drained::more;
      if (drained != LaneLink::Drained::gone || all_over()) return {};
      away_ = true;
      reconnection_.lost(now().mono_ms());
      say("the engine is gone; trying to reach it again");
    }
    const int64_t mono_ms = now().mono_ms();
    if (mono_ms < reconnection_.due_ms()) return {};
    if (auto opened = link_.open(); !opened) {
      if (opened.error().code == Errc::not_found || reconnection_.over(mono_ms)) return opened.error();
      reconnection_.failed(mono_ms);
      return {};
    }
    away_ = false;
    say("the engine is back");
    return pump();
  }

  void wait(int signal_fd) {
    const int64_t mono_ms = now().mono_ms();
    int64_t until = away_ ? reconnection_.due_ms() : INT64_MAX;
    if (more_) until = mono_ms;
    if (style_ == Style::bars) until = std::min(until, held_back_ ? frame_ms_ + kFrameMs : mono_ms + kTickMs);
    pollfd fds[] = {{signal_fd, POLLIN, 0}, {link_.doorbell(), POLLIN, 0}, {link_.control(), POLLIN, 0}};
    (void)poll(fds, 3, until == INT64_MAX ? -1 : static_cast<int>(std::max<int64_t>(0, until - mono_ms)));
  }

  // False: leave.
  bool handle(int signal) {
    if (signal != SIGWINCH && signal != SIGTSTP) return false;
    if (signal == SIGTSTP) {
      painter_.clear();
      raise(SIGSTOP);  // goes on here when the shell brings it back
    }
    look_ = look_at_stdout();
    painter_.resized(look_.columns);
    frame_ms_ = 0;
    return true;
  }

  [[nodiscard]] Moment moment(const Watched& job) const {
    const Time time = now();
    return {.unix_ms = time.unix_ms, .seen_ms = time.unix_ms - (time.mono_ms() - job.seen_ms), .stale = away_};
  }
  // Padded, so that the bars of several jobs stand below each other.
  [[nodiscard]] std::string label(const Watched& job) const {
    const auto plain = [&](const Watched& each) { return label_of(*each.view, jobs_.size() > 1, look_.utf8); };
    std::string out = plain(job);
    if (style_ != Style::bars) return out;
    int columns = 0;
    for (const Watched& each : jobs_)
      if (each.view) columns = std::max(columns, width_of(plain(each)));
    return out + std::string(static_cast<size_t>(columns - width_of(out)), ' ');
  }

  void show() {
    switch (style_) {
      case Style::json: fflush(stdout); break;
      case Style::lines: show_lines(); break;
      case Style::bars: show_bars(); break;
    }
  }

  // How a job ended, in full, and its result.
  [[nodiscard]] std::vector<std::string> end_lines(const Watched& job) const {
    Look wide = look_;
    wide.columns = INT_MAX;
    std::vector<std::string> out{style_ == Style::bars ? bar_line(*job.view, label(job), wide, moment(job))
                                                       : plain_line(*job.view, label(job), wide, moment(job))};
    if (!job.view->result.empty()) out.push_back("  " + printable(job.view->result, look_.utf8));
    if (!job.view->result_url.empty()) out.push_back("  the result is large: jobcast show --result " + job.id.text());
    return out;
  }

  void show_bars() {
    const int64_t mono_ms = now().mono_ms();
    held_back_ = mono_ms - frame_ms_ < kFrameMs && !all_over();
    if (held_back_) return;
    frame_ms_ = mono_ms;
    std::vector<std::string> live;
    for (Watched& job : jobs_) {
      if (!job.view || job.ended) continue;
      if (is_terminal(job.view->state)) {
        painter_.settle(end_lines(job));
        job.ended = true;
      } else {
        live.push_back(bar_line(*job.view, label(job), look_, moment(job)));
      }
    }
    // A cursor cannot go back above the screen's top.
    const auto room = static_cast<size_t>(std::max(1, look_.rows - 1));
    if (live.size() > room) {
      const size_t hidden = live.size() - room + 1;
      live.resize(room - 1);
      live.push_back(cut("and " + std::to_string(hidden) + " more", look_.columns - 1, look_.utf8));
    }
    painter_.draw(live);
  }

  void show_lines() {
    for (Watched& job : jobs_) {
      if (!job.view || job.ended) continue;
      const JobView& view = *job.view;
      job.ended = is_terminal(view.state);
      const int64_t mono_ms = now().mono_ms();
      const int tenth = static_cast<int>(view.percent.value_or(0) / 10);
      const bool news = job.said.at_ms == 0 || view.state != job.said.state || view.phase != job.said.phase || tenth != job.said.tenth ||
                        (job.seen_ms > 0 && mono_ms - job.said.at_ms >= kPlainLineMs);
      if (!news) continue;
      job.said = {view.state, view.phase, tenth, mono_ms};
      if (!job.ended)
        print(plain_line(view, label(job), look_, moment(job)) + "\n");
      else
        for (const auto& line : end_lines(job)) print(line + "\n");
    }
    fflush(stdout);
  }

  void say(const std::string& text) {
    if (style_ == Style::bars) painter_.clear();
    frame_ms_ = 0;
    note(text);
  }

  Exit leave(Exit exit) {
    frame_ms_ = 0;
    show();
    if (style_ == Style::bars) painter_.keep();
    const bool one = jobs_.size() == 1;
    note(one ? "the job runs on: jobcast watch " + jobs_[0].id.text() + ", or jobcast cancel" : "the jobs run on");
    return exit;
  }

  Exit fail(const Error& error) {
    if (style_ == Style::bars) painter_.clear();
    return complain(invocation_, error);
  }

  const Invocation& invocation_;
  Look look_;
  Style style_;
  Reconnection reconnection_;
  std::vector<Watched> jobs_;
  LaneLink link_;
  Painter painter_;
  std::optional<Error> fault_;
  bool away_ = false;
  bool more_ = false;
  bool held_back_ = false;  // there is news that waits for the next frame
  int64_t frame_ms_ = 0;    // mono_ms of the last frame
};

Exit run(const Invocation& invocation) {
  std::vector<JobId> jobs;
  for (const std::string& operand : invocation.operands) {
    const auto id = read_job_id(operand);
    if (!id) return complain(invocation, id.error());
    if (std::find(jobs.begin(), jobs.end(), *id) == jobs.end()) jobs.push_back(*id);
  }
  return watch_jobs(invocation, jobs);
}

constexpr Option kOptions[] = {kReconnectOption};
constexpr Example kExamples[] = {
    {"watch 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "a live bar until the job is over; the exit code says how it ended"},
    {"watch --json 0192f0c1-7a3b-7c4d-8e5f-0123456789ab | jq .progress.percent", "every snapshot, one a line"},
};

}  // namespace

Exit watch_jobs(const Invocation& invocation, const std::vector<JobId>& jobs) {
  const auto patience_s = invocation.integer("reconnect", 60, 0, 86'400);
  if (!patience_s) return complain(invocation, patience_s.error());
  return Watch(invocation, jobs, *patience_s * 1000).run();
}

extern const Command watch_command{.name = "watch",
                                   .operands = "JOB [JOB...]",
                                   .operands_min = 1,
                                   .operands_max = 256,
                                   .summary = "watch jobs live until they are over",
                                   .text =
                                       "Shows live bars with rate, estimated time and phase on a terminal, plain lines\n"
                                       "elsewhere, and with --json every snapshot as one line. It reads the engine's shared\n"
                                       "memory and asks nothing while it watches. When the engine restarts it says so on\n"
                                       "standard error and watches on. Ctrl-C ends the watching, not the job. With several\n"
                                       "jobs the exit code is that of the worst end: failed, cancelled, completed.",
                                   .examples = kExamples,
                                   .options = kOptions,
                                   .speaks_to_engine = true,
                                   .run = run};

}  // namespace jobcast::cli
