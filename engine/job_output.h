// What a job's program prints: always drained, so that it never waits for us; kept in a file that is capped in bytes and rate; its stderr
// split into lines for progress and the error text. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/handle.h"
#include "engine/loop.h"

namespace jobcast::engine {

// The log file of one attempt. What is above the caps is counted and dropped; a gap in the middle is marked by a line of its own.
class CappedLog {
 public:
  // Empties or creates the file. Without one (a full disk, say) everything counts as dropped.
  void open(const std::string& path, int64_t bytes_max, int64_t bytes_per_second_max, int64_t now_mono_ns);
  void write(std::string_view bytes, int64_t now_mono_ns);
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

 private:
  void put(std::string_view bytes);
  Fd file_;
  int64_t room_ = 0;                        // bytes that the file may still grow by
  int64_t per_second_ = 0, allowance_ = 0;  // token bucket with one second's worth
  int64_t refilled_ns_ = 0;
  uint64_t dropped_ = 0, gap_ = 0;  // gap_: dropped since the last byte that was kept
};

// Cuts a stream at CR and LF. A longer line than `kLineBytesMax` is cut there and its rest skipped.
class LineSplitter {
 public:
  static constexpr size_t kLineBytesMax = 1024;
  template <class OnLine>
  void feed(std::string_view bytes, OnLine on_line) {
    while (!bytes.empty()) {
      const size_t end = bytes.find_first_of("\r\n");
      const std::string_view part = bytes.substr(0, end);
      line_.append(part.substr(0, kLineBytesMax - line_.size()));
      if (end == std::string_view::npos) return;
      finish(on_line);
      bytes.remove_prefix(end + 1);
    }
  }
  template <class OnLine>
  void finish(OnLine on_line) {  // empty lines are none
    if (!line_.empty()) on_line(std::string_view(line_));
    line_.clear();
  }

 private:
  std::string line_;
};

// The engine's end of one output pipe: at most 500 looks a second, 128 KiB each, whatever the program does. One that writes more than
// 64 MB a second is slowed down; the engine is not.
class OutputPipe {
 public:
  using Take = std::function<void(std::string_view)>;
  explicit OutputPipe(Loop& loop) : loop_(loop) {}
  ~OutputPipe() { close(); }
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  [[nodiscard]] bool make(Fd& child_end);  // false: errno says why
  void start(Take take);
  void drain_and_close();  // what is in the pipe now; does not wait for whoever still holds its other end

 private:
  void close();
  void on_readable();
  enum class Read { full, part, nothing, ended };
  Read read_once();

  Loop& loop_;
  Fd fd_;
  Loop::TimerId resume_ = 0;
  Take take_;
};

}  // namespace jobcast::engine
