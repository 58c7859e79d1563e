// What the benchmarks share: two pinned processes, medians over rounds, and rows that set each measure beside its floor of the same run.
// With --json one object a line: {"measure","value","unit","floor","ratio","goal","met"}; else a table.
#pragma once

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/invariant.h"
#include "base/json.h"

namespace jobcast::bench {

inline int64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// What this process alone has spent: the cost of a call does not grow because somebody else had the processor.
inline int64_t cpu_ns() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// The n-th processor this process was started on, from 0; processes that cannot have one each share and will be slow.
inline int processor(int n) {
  static const std::vector<int> usable = [] {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
  }();
  return usable[static_cast<size_t>(n) % usable.size()];
}

inline void pin_to(int cpu, pid_t pid = 0) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(pid, sizeof one, &one);
}

inline void pin(int n, pid_t pid = 0) { pin_to(processor(n), pid); }

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

// Zeroed memory that children share.
template <class T>
T& shared() {
  void* data = mmap(nullptr, (sizeof(T) + 4095) / 4096 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  invariant(data != MAP_FAILED);
  return *new (data) T();
}

// A process on the second processor; ended with its owner.
class Peer {
 public:
  explicit Peer(const std::function<void()>& work) : pid_(fork()) {
    invariant(pid_ >= 0);
    if (pid_ != 0) {
      pin(1, pid_);  // from here: the child may not get our processor while we spin on it
      return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    work();
    _exit(0);
  }
  Peer(const Peer&) = delete;
  ~Peer() { end(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
};

// Samples of each measure, one a round.
class Samples {
 public:
  void add(const std::string& name, double value) { values_[name].push_back(value); }
  [[nodiscard]] double median(const std::string& name) {
    auto& values = values_.at(name);
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

enum class Goal { at_most, at_least };

class Table {
 public:
  explicit Table(bool json) : json_(json) {
    if (!json_) printf("%-58s %12s %-8s %12s %8s  %-10s %s\n", "measure", "value", "unit", "floor", "ratio", "goal", "met");
  }
  // The goal is one of the ratio.
  void ratio(const std::string& measure, double value, const char* unit, double floor, Goal kind, double goal) {
    const double is = value / floor;
    row(measure, value, unit, floor, is, kind, goal, kind == Goal::at_most ? is <= goal : is >= goal);
  }
  // The goal is one of the value itself, the floor is for comparison.
  void value(const std::string& measure, double value, const char* unit, double floor, Goal kind, double goal) {
    row(measure, value, unit, floor, floor > 0 ? value / floor : 0, kind, goal, kind == Goal::at_most ? value <= goal : value >= goal);
  }
  // Shown, not judged.
  void show(const std::string& measure, double value, const char* unit) {
    if (json_) {
      Json line = Json::object();
      line.set("measure", measure).set("value", value).set("unit", unit).set("floor", nullptr).set("ratio", nullptr);
      line.set("goal", nullptr).set("met", nullptr);
      printf("%s\n", line.dump().c_str());
    } else {
      printf("%-58s %12.4g %s\n", measure.c_str(), value, unit);
    }
    fflush(stdout);
  }

 private:
  void row(const std::string& measure, double value, const char* unit, double floor, double ratio, Goal kind, double goal, bool met) {
    char text[32];
    snprintf(text, sizeof text, "%s %g", kind == Goal::at_most ? "<=" : ">=", goal);
    if (json_) {
      Json line = Json::object();
      line.set("measure", measure)
          .set("value", value)
          .set("unit", unit)
          .set("floor", floor)
          .set("ratio", ratio)
          .set("goal", text)
          .set("met", met);
      printf("%s\n", line.dump().c_str());
    } else {
      printf("%-58s %12.4g %-8s %12.4g %8.3g  %-10s %s\n", measure.c_str(), value, unit, floor, ratio, text, met ? "yes" : "NO");
    }
    fflush(stdout);
  }
  bool json_;
};

inline bool wants_json(int argc, char** argv) { return argc > 1 && strcmp(argv[1], "--json") == 0; }

}  // namespace jobcast::bench
