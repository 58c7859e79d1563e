// What a job's program prints: always drained, so that it never waits for us; kept in a file that is capped in bytes and rate; its stderr
// split into lines for progress and the error text. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/handle.h"
#include "base/result.h"
#include "engine/loop.h"

namespace jobcast::engine {

// The log file of one attempt, capped in bytes and rate. Of what is above the caps the newest is held back in memory: it follows when the
// rate allows it again, and at last when the attempt has ended, so that a log has its head and its tail. What was lost before it is
// counted, and told by a line of its own; the count also stands in a small file beside the log, for later engines.
class CappedLog {
 public:
  ~CappedLog() { close(); }
  // Empties or creates the file. Where that fails, or a write (a full disk, say), it is tried again while the attempt runs and at its end:
  // what could not be held back until then is told as dropped.
  void open(const std::string& path, int64_t bytes_max, int64_t bytes_per_second_max, int64_t now_mono_ns);
  void write(std::string_view bytes, int64_t now_mono_ns);
  void close();  // the attempt has ended: the tail is written
  [[nodiscard]] uint64_t dropped() const { return dropped_; }

  // Of a log that an earlier attempt or engine wrote; 0 where nothing is known.
  [[nodiscard]] static uint64_t dropped_of(const std::string& path);
  static void remove(const std::string& path);     // with the count beside it
  static void mark_lost(const std::string& path);  // says at its end that the engine went down while it was written

 private:
  Result<void> make(int64_t now_mono_ns);
  size_t put(std::string_view bytes);  // how many of them the disk took
  void hold(std::string_view bytes);
  void release();  // writes what is held back, and a line about what was lost before it
  void note_dropped() const;
  Fd file_;
  std::string path_;
  int64_t room_ = 0;                        // bytes that the head may still grow by
  int64_t per_second_ = 0, allowance_ = 0;  // token bucket with one second's worth; below 0 after a release
  int64_t refilled_ns_ = 0, noted_ns_ = 0, made_ns_ = 0;
  size_t held_max_ = 0;
  std::string held_;                // the newest of what was not written
  uint64_t dropped_ = 0, gap_ = 0;  // gap_: lost between the file's end and held_
  bool full_ = false;               // the head has its size: what follows is the tail
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
