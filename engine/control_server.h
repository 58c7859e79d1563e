// The control socket: connections, lines, answers and their limits. What a request means is the handler's business (methods.h).
// Loop thread.
//
// A peer cannot make the engine hold more than a line and a read of its input, nor more than its requests in flight may answer: above
// that the engine stops reading from it, and carries nothing further out, whether the peer is still there or has hung up. Where all peers
// together have too much in flight or unsent, a peer that has something of both waits for its own. One that takes no answer for kStallMs
// is closed.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/handle.h"
#include "base/result.h"
#include "engine/loop.h"
#include "engine/peers.h"
#include "ipc/control.h"

namespace jobcast::engine {

class ControlServer;

// Where the answer to one request goes. To be used exactly once; the connection may be gone by then.
class Reply {
 public:
  void result(std::string_view json);
  void error(const Error& error);
  void fault(RpcFault fault, std::string_view message);
  // The descriptors travel with the first byte of the answer; `on_close` is called when the connection ends. Errors: invalid (this
  // connection has an attachment already), full (the peer's share of `attached_max`), closed.
  [[nodiscard]] Result<void> attach(std::string_view json, std::vector<Fd> descriptors, std::function<void()> on_close,
                                    size_t attached_max);

 private:
  friend class ControlServer;
  Reply(ControlServer& server, uint64_t connection, std::string id, unsigned cost)
      : server_(&server), connection_(connection), id_(std::move(id)), cost_(cost) {}
  ControlServer* server_;
  uint64_t connection_;
  std::string id_;  // empty: a notification, never answered
  unsigned cost_;
};

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // How much of a connection's kCostMax the method takes until it is answered; its answer is at most `cost` × kBytesPerCost.
  [[nodiscard]] virtual unsigned cost(std::string_view method) const = 0;
  virtual void call(const Request& request, Reply reply) = 0;
};

class ControlServer {
 public:
  // `listener` as from listen_on(). The handler is called until this is destroyed.
  ControlServer(Loop& loop, Fd listener, Peers peers, size_t connections_max, ControlHandler& handler);
  ~ControlServer();

  void stop_accepting();
  // After the events of a turn: sends what the turn answered, and goes on with connections whose share of the turn was used up.
  void end_turn();

  struct Stats {
    uint64_t requests = 0, errors = 0, refused = 0, stalled = 0;
    size_t connections = 0;
  };
  [[nodiscard]] Stats stats() const;

  static constexpr unsigned kCostMax = 128;
  static constexpr size_t kBytesPerCost = 128 << 10;
  static constexpr size_t kOutPauseBytes = 1 << 20;  // unsent answers above which nothing more is read
  static constexpr unsigned kCostTotalMax = 512;     // of all peers; each may always have one request in flight
  static constexpr size_t kOutTotalBytes = 32 << 20;
  static constexpr unsigned kRequestsPerTurn = 16;
  static constexpr int64_t kStallMs = 10'000;

 private:
  friend class Reply;
  struct Connection {
    uint64_t id = 0;
    Fd socket;
    Peers::Who who;
    LineBuffer lines;
    std::string out;  // answers; `sent` bytes of them are gone
    size_t sent = 0;
    std::deque<std::pair<size_t, std::vector<Fd>>> descriptors;  // that go with the byte of `out` there
    unsigned cost = 0;                                           // of the requests in flight
    uint32_t events = 0;                                         // that the loop watches for
    bool backlog = false;                                        // whole lines may wait in `lines`
    bool end_of_input = false;
    bool gone = false;     // hung up: what it asked for is carried out, the answers have nobody to go to
    bool closing = false;  // after what is to be sent
    bool dirty = false;
    uint64_t stall_timer = 0;
    std::function<void()> on_close;  // set: has an attachment
  };

  // Why a further connection, or with `attached` a further attachment, of this peer is refused: one process may have half of
  // `count_max`, and one user three quarters.
  [[nodiscard]] Result<void> within_share(const Peers::Who& who, size_t count_max, bool attached) const;
  void accept_all();
  void refuse(int socket, const Error& error);
  void on_events(Connection& connection, uint32_t events);
  bool read(Connection& connection);
  void pump(Connection& connection);
  [[nodiscard]] bool stopped(const Connection& connection) const;
  void take_line(Connection& connection, std::string_view line);
  void answer(uint64_t connection, unsigned cost, std::string_view line, std::vector<Fd> descriptors = {});
  void append(Connection& connection, std::string_view line);
  void flush(Connection& connection);
  void drop_out(Connection& connection);
  void settle(Connection& connection);
  void set_stall_timer(Connection& connection, bool on);
  void close(Connection& connection);
  Connection* find(uint64_t id);

  Loop& loop_;
  Fd listener_;
  Peers peers_;
  size_t connections_max_;
  ControlHandler& handler_;
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_id_ = 1;
  unsigned cost_total_ = 0;  // of all connections
  size_t out_total_ = 0;
  std::vector<uint64_t> dirty_;  // to be flushed or pumped at the end of the turn
  Stats stats_;
};

}  // namespace jobcast::engine
