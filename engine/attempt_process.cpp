// The steps of one attempt, in the order in which they happen.
#include "engine/attempt_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/log.h"
#include "engine/attempt_outcome.h"
#include "engine/orphans.h"
#include "engine/proc.h"
#include "engine/program.h"
#include "jobcast/layout.h"

namespace jobcast::engine {
namespace {

constexpr int64_t kAcknowledgePollMs = 10;  // the doorbell may be asleep inside a progress interval
constexpr int kReapTries = 1000;            // of a millisecond

Error failed(const char* what) { return {Errc::internal, std::string(what) + ": " + std::strerror(errno), ""}; }

// A memfd of that size for good, holding `text`; with `fixed` nobody can change that either.
Fd sealed_file(const char* name, size_t bytes, std::string_view text, bool fixed) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return {};
  while (!text.empty()) {
    const ssize_t written = ::pwrite(fd.get(), text.data(), text.size(), static_cast<off_t>(bytes - text.size()));
    if (written <= 0) return {};
    text.remove_prefix(static_cast<size_t>(written));
  }
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (fixed ? F_SEAL_WRITE : 0);
  if (::fcntl(fd.get(), F_ADD_SEALS, seals) != 0) return {};
  return fd;
}

// Has the process ended? It stays a zombie: its number, which is also its group's and session's, is not given away yet.
bool is_zombie(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

}  // namespace

AttemptProcess::AttemptProcess(const Surroundings& around, const KindConfig& kind, WorkerLatch latch)
    : around_(around),
      kind_(kind),
      latch_(std::move(latch)),
      stdout_(around.loop),
      stderr_(around.loop),
      ladder_(kind.cancel_ms, kind.grace_ms) {}

Result<std::unique_ptr<AttemptProcess>> AttemptProcess::prepare(const Surroundings& around, const Job& job, const KindConfig& kind) {
  auto latch = WorkerLatch::create();
  if (!latch) return latch.error();
  std::unique_ptr<AttemptProcess> process(new AttemptProcess(around, kind, std::move(*latch)));
  if (auto spawned = process->spawn(job); !spawned) return spawned.error();
  return process;
}

Result<void> AttemptProcess::spawn(const Job& job) {
  auto argv = program_argv(kind_, job.args_json);
  if (!argv) return argv.error();
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Fd args = sealed_file("jobcast-args", job.args_json.size(), job.args_json, true);
  result_ = sealed_file("jobcast-result", JOBCAST_RESULT_BYTES_MAX, "", false);
  Fd out, err;
  if (!nothing || !args || !result_ || !stdout_.make(out) || !stderr_.make(err)) return failed("cannot prepare the descriptors of a job");
  const auto ends = latch_.take_child_ends();

  cgroup_ = Cgroup::create(around_.cgroup_parent, Orphans::cgroup_name(job.id, job.fence));
  if (!cgroup_ && !around_.cgroup_parent.empty() && is_lack(errno)) return failed("cannot make the control group of a job");
  SpawnPlan plan;
  plan.argv = std::move(*argv);
  plan.environment = program_environment(kind_, job);
  plan.working_dir = kind_.working_dir;
  plan.descriptors = {nothing.get(), out.get(), err.get(), args.get(), result_.get(), ends.latch.get(), ends.doorbell.get()};
  plan.limits = program_limits(kind_);
  plan.cgroup = cgroup_.fd();
  plan.use_clone3 = around_.use_pidfds;
  auto spawned = spawn_at_gate(plan);
  if (!spawned) {
    cgroup_.remove();
    return spawned.error();
  }
  process_ = std::move(*spawned);
  if (!around_.use_pidfds) process_.pidfd.reset();
  if (cgroup_ && !process_.in_cgroup && !cgroup_.add(process_.pid)) cgroup_.remove();
  if (!around_.cgroup_parent.empty()) oom_kills_before_ = oom_kills(cgroup_ ? cgroup_.path() : around_.cgroup_parent);

  const auto stat = read_proc_stat(process_.pid);
  if (!stat) return {Errc::internal, "cannot read /proc/" + std::to_string(process_.pid) + "/stat: is /proc mounted?"};
  attempt_ = {job.id, job.fence, process_.pid, stat->start_ticks, boot_id(), cgroup_ ? cgroup_.path() : ""};
  return {};
}

AttemptProcess::~AttemptProcess() {
  around_.loop.cancel(rung_timer_);
  around_.loop.cancel(timeout_timer_);
  if (process_.pid <= 0 || reaped_) return;
  if (process_.pidfd && (released_ || abandoned_) && !ended_) around_.loop.unwatch(process_.pidfd.get());
  kill_all();
  siginfo_t info{};
  for (int i = 0; i < kReapTries; ++i) {
    if (::waitid(P_PID, static_cast<id_t>(process_.pid), &info, WEXITED | WNOHANG) != 0 || info.si_pid == process_.pid) break;
    ::poll(nullptr, 0, 1);
  }
  for (int i = 0; i < kReapTries && !cgroup_.remove(); ++i) ::poll(nullptr, 0, 1);
}

void AttemptProcess::release() {
  if (released_ || abandoned_) return;
  const int64_t now_ns = around_.loop.now().mono_ns;
  released_ = true;
  log_.open(around_.logs_dir + "/" + attempt_.job.text() + ".log", kind_.log_bytes_max, kind_.log_bytes_per_second_max, now_ns);
  make_feed();
  stdout_.start([this](std::string_view bytes) { log_.write(bytes, around_.loop.now().mono_ns); });
  stderr_.start([this](std::string_view bytes) { on_stderr(bytes); });
  watch_exit();
  open_gate(process_.gate);
  if (feed_) feed_->start();
  if (kind_.timeout_ms > 0)
    timeout_timer_ = around_.loop.after_ms(kind_.timeout_ms, [this] {
      timeout_timer_ = 0;
      if (ladder_.time_out(jobcast::now().mono_ms())) act_on_rung();
    });
  if (ladder_.rung() != CancelLadder::Rung::running) act_on_rung();  // cancelled at the gate
}

bool AttemptProcess::abandon() {
  if (released_ || abandoned_) return false;
  abandoned_ = true;
  watch_exit();
  process_.gate.reset();
  kill_all();
  return true;
}

void AttemptProcess::watch_exit() {
  if (process_.pidfd) around_.loop.watch(process_.pidfd.get(), EPOLLIN, [this](uint32_t) { poll_exit(); });
}

void AttemptProcess::poll_exit() {
  if (ended_ || (!released_ && !abandoned_) || !is_zombie(process_.pid)) return;
  ended_ = true;
  if (process_.pidfd) around_.loop.unwatch(process_.pidfd.get());
  around_.loop.cancel(rung_timer_);
  around_.loop.cancel(timeout_timer_);
  kill_all();  // grandchildren do not outlive their job
  around_.on_end(process_.pid);
}

void AttemptProcess::kill_all() {
  cgroup_.kill();
  ::kill(-process_.pid, SIGKILL);  // nobody there before the child's setsid(), so itself too:
  send_signal(process_.pidfd, process_.pid, SIGKILL);
}

void AttemptProcess::make_feed() {
  const auto publish = [this](const Progress& progress) { around_.observer.on_progress(attempt_.job, attempt_.fence, progress); };
  switch (kind_.progress) {
    case ProgressSource::none: break;
    case ProgressSource::worker: feed_ = std::make_unique<LatchFeed>(around_.loop, around_.progress_interval_ms, latch_, publish); break;
    case ProgressSource::pv: {
      auto feed = std::make_unique<PercentFeed>(around_.loop, around_.progress_interval_ms, publish);
      percent_feed_ = feed.get();
      feed_ = std::move(feed);
      break;
    }
  }
}

void AttemptProcess::on_stderr(std::string_view bytes) {
  log_.write(bytes, around_.loop.now().mono_ns);
  stderr_lines_.feed(bytes, [this](std::string_view line) { on_stderr_line(line); });
}

void AttemptProcess::on_stderr_line(std::string_view line) {
  if (percent_feed_ == nullptr || !percent_feed_->line(line)) last_line_ = line;
}

void AttemptProcess::cancel() {
  const bool hears = kind_.progress == ProgressSource::worker;
  if (ladder_.cancel(jobcast::now().mono_ms(), hears) && released_) act_on_rung();
}

void AttemptProcess::act_on_rung() {
  switch (ladder_.rung()) {
    case CancelLadder::Rung::running: break;
    case CancelLadder::Rung::asked: latch_.request_cancel(); break;
    case CancelLadder::Rung::acknowledged: around_.observer.on_cancel_acknowledged(attempt_.job, attempt_.fence); break;
    case CancelLadder::Rung::terminating:
      // There is no group before the child's setsid().
      if (::kill(-process_.pid, SIGTERM) != 0) send_signal(process_.pidfd, process_.pid, SIGTERM);
      ::kill(-process_.pid, SIGCONT);  // one that is stopped could not hear TERM
      break;
    case CancelLadder::Rung::killing: kill_all(); break;
  }
  wait_for_rung();
}

void AttemptProcess::wait_for_rung() {
  around_.loop.cancel(rung_timer_);
  const auto due = ladder_.due_ms();
  if (!due) return;
  int64_t wait = std::max<int64_t>(*due - jobcast::now().mono_ms(), 1);
  if (ladder_.rung() == CancelLadder::Rung::asked) wait = std::min(wait, kAcknowledgePollMs);
  rung_timer_ = around_.loop.after_ms(wait, [this] {
    const int64_t now = jobcast::now().mono_ms();
    if ((latch_.cancel_acknowledged() && ladder_.acknowledge(now)) || ladder_.tick(now))
      act_on_rung();
    else
      wait_for_rung();
  });
}

void AttemptProcess::finish() {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(process_.pid), &info, WEXITED | WNOHANG);
  reaped_ = true;
  if (abandoned_) return;
  stdout_.drain_and_close();
  stderr_.drain_and_close();
  log_.close();
  stderr_lines_.finish([this](std::string_view line) { on_stderr_line(line); });
  if (feed_) feed_->finish();
  if (latch_.cancel_acknowledged() && ladder_.acknowledge(jobcast::now().mono_ms()))  // and ended before it was seen
    around_.observer.on_cancel_acknowledged(attempt_.job, attempt_.fence);

  Ending ending;
  ending.spawn_fault = spawn_fault(process_.gate);
  if (ending.spawn_fault)  // the job's owner is told without the paths
    log::warning(
        "spawn_failed",
        {{"job", attempt_.job.text()}, {"program", kind_.argv[0]}, {"working_dir", kind_.working_dir}, {"why", ending.spawn_fault->text}});
  (info.si_code == CLD_EXITED ? ending.exit_code : ending.signal) = info.si_status;
  ending.rung = ladder_.rung();
  ending.asked_because = ladder_.reason();
  ending.out_of_memory = oom_killed_;
  ending.last_line = last_line_;
  if (info.si_code == CLD_EXITED && info.si_status == 0) ending.result = read_result();
  around_.observer.on_finished(attempt_.job, attempt_.fence, outcome_of(ending, kind_));
}

bool AttemptProcess::remove_cgroup() {
  if (oom_kills_before_) {
    const auto now = oom_kills(cgroup_ ? cgroup_.path() : around_.cgroup_parent);
    oom_killed_ = oom_killed_ || (now && *now > *oom_kills_before_);
  }
  if (cgroup_.remove()) return true;
  cgroup_.kill();
  return false;
}

std::string AttemptProcess::read_result() const {
  std::string text;
  for (char part[4096]; text.size() < JOBCAST_RESULT_BYTES_MAX;) {  // most results are small, and the rest of the memory is empty
    const ssize_t got = ::pread(result_.get(), part, sizeof part, static_cast<off_t>(text.size()));
    const size_t length = got > 0 ? ::strnlen(part, static_cast<size_t>(got)) : 0;
    text.append(part, length);
    if (length < sizeof part) break;
  }
  return text;
}

}  // namespace jobcast::engine
