// Which request goes to the engine next. Users take turns, each with a bounded share of what waits and of what is on its way, so that
// whatever one user asks for, another's request goes out within one turn. Pure; owned by the EngineLink; service thread only.
//
// A request is waiting, then picked for the wire, then sent, then answered. Until its first byte is written it can be taken back, and
// then it is certain that the engine never hears of it.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace jobcast::plugin {

class CallQueue {
 public:
  struct Limits {
    uint32_t calls_max = 1024;          // neither answered nor taken back, of all users together
    uint32_t calls_per_user_max = 128;  // of these, of one user
    size_t bytes_max = 32 << 20;        // of requests that are not sent yet
    size_t bytes_per_user_max = 4 << 20;
  };
  using CallId = int64_t;

  // The user of the server's own calls, which the bounds above do not count.
  static constexpr std::string_view kServer = {};

  explicit CallQueue(Limits limits) : limits_(limits) {}

  // `line` is the whole request with its newline; `large`: its answer may be large, so that a user has one such call on its way at a time.
  // Errors: full (a bound above).
  [[nodiscard]] Result<void> add(CallId id, std::string_view user, bool large, std::string line);
  // The bytes to be written now, at most as many pieces as `parts` has; how many there are. They stay valid until the next call.
  [[nodiscard]] size_t gather(std::span<iovec> parts);
  void wrote(size_t bytes);  // of what gather() gave

  // Nobody waits for this call any more. True: nothing of it was written, and nothing will be.
  bool take_back(CallId id);
  // The whole request is with the engine, answered or not.
  [[nodiscard]] bool sent(CallId id) const;
  void answered(CallId id);  // makes room for the user's next
  void clear();              // the connection is lost, and all with it

  // Something may be written now.
  [[nodiscard]] bool has_more() const { return !wire_.empty() || (!turns_.empty() && room()); }
  [[nodiscard]] size_t bytes_waiting() const { return bytes_; }

 private:
  enum class Stage : uint8_t { waiting, picked, sent };
  struct User;
  struct Call {
    CallId id = 0;
    std::string line;
  };
  struct Known {
    User* user = nullptr;
    size_t bytes = 0;
    Stage stage = Stage::waiting;
    bool large = false;
  };
  struct User {
    std::string name;
    std::deque<Call> waiting;
    size_t bytes = 0;           // of what waits
    size_t bytes_underway = 0;  // of what was picked and is not answered
    uint32_t calls = 0, underway = 0, large_underway = 0;
    bool in_turn = false;
  };

  void enqueue(User& user);
  [[nodiscard]] bool may_send(const User& user) const;
  [[nodiscard]] bool room() const;
  [[nodiscard]] bool pick();
  void forget(std::unordered_map<CallId, Known>::iterator call);

  Limits limits_;
  std::unordered_map<std::string, std::unique_ptr<User>> users_;
  std::unordered_map<CallId, Known> calls_;
  std::deque<User*> turns_;  // those who may send something, in the order of their turns
  std::deque<Call> wire_;    // picked; the first may be written in part
  size_t wire_bytes_ = 0, written_ = 0, bytes_ = 0;
  uint32_t counted_ = 0;  // calls of users
  uint32_t cost_ = 0;     // of what is underway, as the engine counts it
};

}  // namespace jobcast::plugin
