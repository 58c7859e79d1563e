// The child's side of the gate, which may call nothing that is not async-signal-safe.
#include "engine/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "engine/proc.h"

namespace jobcast::engine {
namespace {

constexpr int kBusyTries = 40;
constexpr long kBusyPauseNs = 50'000'000;

enum class Stage : int { engine_gone = 1, descriptors, limits, working_dir, privileges, exec };

struct Fault {
  Stage stage;
  int error;
};

// Everything that the child needs, laid out before it exists: between fork and exec it may not allocate.
struct ChildPlan {
  char* const* argv;
  char* const* environment;
  const char* working_dir;
  const int* descriptors;
  int descriptor_count;
  const SpawnPlan::Limit* limits;
  size_t limit_count;
  int gate;
  pid_t engine;
};

// The child shares the engine's locks, as they stood at the fork, and none of its other threads: it makes bare system calls only.
template <class... Arguments>
long call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...);
}

[[noreturn]] void give_up(int gate, Stage stage) {
  const Fault fault{stage, errno};
  (void)call(SYS_write, gate, &fault, sizeof fault);
  for (;;) (void)call(SYS_exit_group, 127);
}

void reset_signals() {
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    uint64_t mask;
  } const defaults{nullptr, 0, nullptr, 0};  // the kernel's own struct sigaction: SIG_DFL
  for (int signal = 1; signal <= 64; ++signal) (void)call(SYS_rt_sigaction, signal, &defaults, nullptr, sizeof(uint64_t));
}

// Moves what the program gets to 0, 1, 2, … and the gate behind it, and closes the rest.
int place_descriptors(const ChildPlan& plan) {
  const int above = plan.descriptor_count + 1;  // out of the way of every target; no higher, for the limit may be low
  int moved[16];
  for (int i = 0; i <= plan.descriptor_count; ++i) {
    const int from = i < plan.descriptor_count ? plan.descriptors[i] : plan.gate;
    moved[i] = static_cast<int>(call(SYS_fcntl, from, F_DUPFD, above));
    if (moved[i] < 0) give_up(plan.gate, Stage::descriptors);
  }
  const int gate = plan.descriptor_count;
  for (int i = 0; i <= gate; ++i)
    if (call(SYS_dup3, moved[i], i, i == gate ? O_CLOEXEC : 0) < 0) give_up(moved[gate], Stage::descriptors);
  if (call(SYS_close_range, gate + 1, ~0U, 0) == 0) return gate;
  rlimit64 open_files{};  // before Linux 5.9
  (void)call(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &open_files);
  for (rlim64_t fd = static_cast<rlim64_t>(gate) + 1; fd < open_files.rlim_cur; ++fd) (void)call(SYS_close, fd);
  return gate;
}

[[noreturn]] void be_child(const ChildPlan& plan) {
  (void)call(SYS_setsid);
  (void)call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  const int gate = place_descriptors(plan);
  if (call(SYS_getppid) != plan.engine) give_up(gate, Stage::engine_gone);  // it died before the death signal was set
  reset_signals();
  for (size_t i = 0; i < plan.limit_count; ++i) {
    const rlimit64 limit{plan.limits[i].value, plan.limits[i].value};
    if (call(SYS_prlimit64, 0, plan.limits[i].resource, &limit, nullptr) != 0) give_up(gate, Stage::limits);
  }
  if (call(SYS_chdir, plan.working_dir) != 0) give_up(gate, Stage::working_dir);
  if (call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up(gate, Stage::privileges);

  char opened = 0;
  long got = 0;
  do got = call(SYS_read, gate, &opened, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1)
    for (;;) (void)call(SYS_exit_group, 127);  // end of file: the engine is gone, or thought better of it

  const uint64_t none = 0;
  (void)call(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none);
  for (int tries = 0;; ++tries) {
    (void)call(SYS_execve, plan.argv[0], plan.argv, plan.environment);
    // Somebody is writing the program's file, as an upgrade does: it is whole in a moment.
    if (errno != ETXTBSY || tries == kBusyTries) give_up(gate, Stage::exec);
    const timespec pause{0, kBusyPauseNs};
    (void)call(SYS_nanosleep, &pause, nullptr);
  }
}

struct Forked {
  pid_t pid = -1;
  int pidfd = -1;
  bool in_cgroup = false;
};

Forked fork_into(int cgroup, bool use_clone3) {
  Forked forked;
  if (use_clone3) {
    clone_args args{};
    args.flags = CLONE_PIDFD;
    args.pidfd = reinterpret_cast<uint64_t>(&forked.pidfd);
    args.exit_signal = SIGCHLD;
    if (cgroup >= 0) {
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = static_cast<uint64_t>(cgroup);
      forked.pid = static_cast<pid_t>(call(SYS_clone3, &args, sizeof args));
      forked.in_cgroup = true;
      if (forked.pid >= 0) return forked;
      args.flags = CLONE_PIDFD;  // not allowed to: born outside, moved in before the gate opens
      args.cgroup = 0;
      forked.in_cgroup = false;
    }
    forked.pid = static_cast<pid_t>(call(SYS_clone3, &args, sizeof args));
    if (forked.pid >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL)) return forked;
  }
  forked.pid = ::fork();
  return forked;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

}  // namespace

Result<Spawned> spawn_at_gate(const SpawnPlan& plan) {
  const auto failed = [](const char* what) -> Error { return {Errc::internal, std::string(what) + ": " + std::strerror(errno), ""}; };
  if (plan.descriptors.size() > 15 || plan.argv.empty()) return {Errc::internal, "a program needs an argv and at most 15 descriptors"};
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return failed("socketpair");
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);

  const auto argv = pointers(plan.argv);
  const auto environment = pointers(plan.environment);
  auto limits = plan.limits;
  for (auto& limit : limits) {
    rlimit64 own{};
    if (::syscall(SYS_prlimit64, 0, limit.resource, nullptr, &own) == 0) limit.value = std::min<rlim_t>(limit.value, own.rlim_max);
  }
  const ChildPlan child{argv.data(),
                        environment.data(),
                        plan.working_dir.c_str(),
                        plan.descriptors.data(),
                        static_cast<int>(plan.descriptors.size()),
                        limits.data(),
                        limits.size(),
                        theirs.get(),
                        ::getpid()};

  sigset_t all, before;  // no handler of the engine's may run in the child
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const Forked forked = fork_into(plan.cgroup, plan.use_clone3);
  if (forked.pid == 0) be_child(child);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  if (forked.pid < 0) return failed("cannot fork");

  Spawned spawned;
  spawned.pid = forked.pid;
  spawned.pidfd = forked.pidfd >= 0 ? Fd(forked.pidfd) : open_pidfd(forked.pid);
  spawned.gate = std::move(ours);
  spawned.in_cgroup = forked.in_cgroup;
  return spawned;
}

void open_gate(const Fd& gate) {
  const char go = 1;
  (void)::send(gate.get(), &go, 1, MSG_NOSIGNAL | MSG_DONTWAIT);  // a child that is gone already is seen by its exit
}

bool is_lack(int error) {
  switch (error) {
    case EAGAIN:  // no process to spare: RLIMIT_NPROC, pids.max, kernel.pid_max
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case ENOBUFS:
    case EBUSY: return true;
    default: return false;
  }
}

std::optional<SpawnFault> spawn_fault(const Fd& gate) {
  Fault fault{};
  if (::recv(gate.get(), &fault, sizeof fault, MSG_DONTWAIT) != static_cast<ssize_t>(sizeof fault)) return std::nullopt;
  const std::string why = std::string(": ") + std::strerror(fault.error) + " (errno " + std::to_string(fault.error) + ")";
  const bool lack = is_lack(fault.error);
  switch (fault.stage) {
    case Stage::engine_gone: return SpawnFault{"the engine ended before the program began", false};
    case Stage::descriptors: return SpawnFault{"cannot pass descriptors to the program" + why, lack};
    case Stage::limits: return SpawnFault{"cannot set the resource limits of the program" + why, lack};
    case Stage::working_dir: return SpawnFault{"cannot enter the kind's working_dir" + why, lack};
    case Stage::privileges: return SpawnFault{"cannot drop the privileges of the program" + why, lack};
    case Stage::exec: return SpawnFault{"cannot execute the kind's program" + why, lack};
  }
  return SpawnFault{"cannot start the program" + why, lack};
}

}  // namespace jobcast::engine
