// What readers have seen of the running attempts' progress, where a kill -9 of the engine does not reach it: a small file beside the
// control socket, which is in memory (tmpfs) on an ordinary machine. The store has progress only once a second; with this a lost
// attempt ends with the progress that was shown last, not with less. Loop thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/handle.h"
#include "engine/job.h"

namespace jobcast::engine {

class ProgressJournal {
 public:
  // Reads what an earlier engine left. A file that cannot be used costs its service alone, and a warning.
  explicit ProgressJournal(const std::string& path);

  void put(const Job& job);      // of a running attempt; one small write into the page cache
  void drop(const JobId& id);    // the attempt's end is committed
  void restore(Job& job) const;  // what an earlier engine put for this very attempt, the whole of it
  void drop_all_but(const std::unordered_map<JobId, uint64_t>& fences);

 private:
  struct Record {  // in the file; never across two of its pages, so that a kill leaves the whole of it or nothing
    JobId job;
    uint64_t magic = 0, fence = 0, done = 0, total = 0;
    double percent = 0;
    uint64_t known = 0;  // bits: done, total, percent
    std::array<char, 128> phase{};
    std::array<char, 320> message{};
  };
  static_assert(sizeof(Record) == 512);

  Fd fd_;
  std::unordered_map<JobId, size_t> places_;  // in the file, counted in records
  std::unordered_map<JobId, Record> left_;    // by an earlier engine
  std::vector<size_t> free_;
  size_t end_ = 0;
};

}  // namespace jobcast::engine
