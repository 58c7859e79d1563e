// Lines in, answers out, and who must wait when either is too much.
#include "engine/control_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/invariant.h"
#include "base/log.h"
#include "ipc/fd_channel.h"

namespace jobcast::engine {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr unsigned kAcceptsMax = 16;      // a turn
constexpr int64_t kAcceptAgainMs = 1000;  // when descriptors have run out

}  // namespace

void Reply::result(std::string_view json) { server_->answer(connection_, cost_, id_.empty() ? std::string() : result_line(id_, json)); }

void Reply::error(const Error& error) {
  ++server_->stats_.errors;
  server_->answer(connection_, cost_, id_.empty() ? std::string() : error_line(id_, error));
}

void Reply::fault(RpcFault fault, std::string_view message) {
  ++server_->stats_.errors;
  server_->answer(connection_, cost_, id_.empty() ? std::string() : fault_line(id_, fault, message));
}

Result<void> Reply::attach(std::string_view json, std::vector<Fd> descriptors, std::function<void()> on_close, size_t attached_max) {
  auto* connection = server_->find(connection_);
  if (!connection || id_.empty()) return {Errc::closed, "nobody takes the descriptors"};
  if (connection->on_close) return {Errc::invalid, "this connection is attached already: one attachment a connection"};
  if (auto within = server_->within_share(connection->who, attached_max, true); !within) return within;
  connection->on_close = std::move(on_close);
  server_->answer(connection_, cost_, result_line(id_, json), std::move(descriptors));
  return {};
}

ControlServer::ControlServer(Loop& loop, Fd listener, Peers peers, size_t connections_max, ControlHandler& handler)
    : loop_(loop), listener_(std::move(listener)), peers_(std::move(peers)), connections_max_(connections_max), handler_(handler) {
  loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) { accept_all(); });
}

ControlServer::~ControlServer() {
  stop_accepting();
  while (!connections_.empty()) {
    Connection& connection = *connections_.begin()->second;
    flush(connection);
    if (find(connection.id)) close(connection);
  }
}

void ControlServer::stop_accepting() {
  if (!listener_) return;
  loop_.unwatch(listener_.get());
  listener_.reset();
}

ControlServer::Stats ControlServer::stats() const {
  Stats stats = stats_;
  stats.connections = connections_.size();
  return stats;
}

ControlServer::Connection* ControlServer::find(uint64_t id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

void ControlServer::refuse(int socket, const Error& error) {
  ++stats_.refused;
  const std::string line = error_line("null", error);
  (void)::send(socket, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

Result<void> ControlServer::within_share(const Peers::Who& who, size_t count_max, bool attached) const {
  const size_t process_max = std::max<size_t>(count_max / 2, 1), user_max = count_max - count_max / 4;
  size_t of_process = 0, of_user = 0;
  for (const auto& [id, other] : connections_) {
    if (other->who.uid != who.uid || (attached && !other->on_close)) continue;
    ++of_user;
    of_process += other->who.pid == who.pid;
  }
  const std::string what = attached ? " attachments to the shared memory already" : " control connections already";
  if (of_process >= process_max) return {Errc::full, "this process has " + std::to_string(of_process) + what + ": close one"};
  if (of_user >= user_max) return {Errc::full, "this user's processes have " + std::to_string(of_user) + what + ": close one"};
  return {};
}

void ControlServer::accept_all() {
  for (unsigned accepted = 0; accepted < kAcceptsMax; ++accepted) {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
          errno == ENOMEM) {  // the listener stays readable: look away for a while
        log::error("accept_failed", {{"errno", errno}});
        loop_.change(listener_.get(), 0);
        loop_.after_ms(kAcceptAgainMs, [this] {
          if (listener_) loop_.change(listener_.get(), EPOLLIN);
        });
      }
      return;
    }
    const auto who = peers_.let_in(socket.get());
    if (!who) {
      refuse(socket.get(), {Errc::unauthorized, "this user may not use the engine's control socket: see control.users and control.groups"});
      continue;
    }
    if (connections_.size() >= connections_max_) {
      refuse(socket.get(), {Errc::full, "all " + std::to_string(connections_max_) + " control connections are taken"});
      continue;
    }
    if (auto within = within_share(*who, connections_max_, false); !within) {
      refuse(socket.get(), within.error());
      continue;
    }
    auto connection = std::make_unique<Connection>();
    connection->id = next_id_++;
    connection->who = *who;
    connection->socket = std::move(socket);
    connection->events = EPOLLIN;
    loop_.watch(connection->socket.get(), EPOLLIN, [this, id = connection->id](uint32_t events) {
      if (Connection* alive = find(id)) on_events(*alive, events);
    });
    connections_[connection->id] = std::move(connection);
  }
}

void ControlServer::on_events(Connection& connection, uint32_t events) {
  const uint64_t id = connection.id;
  if (events & (EPOLLHUP | EPOLLERR)) {
    loop_.unwatch(connection.socket.get());  // it would be told of for ever
    connection.gone = true;
    drop_out(connection);
    return settle(connection);
  }
  if (events & EPOLLOUT) flush(connection);
  if (!find(id) || !(events & EPOLLIN)) return;
  if (!read(connection)) connection.end_of_input = true;
  pump(connection);
  if (find(id)) settle(connection);
}

// False: end of input.
bool ControlServer::read(Connection& connection) {
  std::array<char, kReadBytes> buffer;  // NOLINT: recv fills what is read of it
  const ssize_t got = ::recv(connection.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return !connection.closing && !connection.gone;
  if (got <= 0) return false;
  connection.lines.append({buffer.data(), static_cast<size_t>(got)});
  connection.backlog = true;
  return true;
}

// Until one of its answers is there, or was taken.
bool ControlServer::stopped(const Connection& connection) const {
  const size_t unsent = connection.out.size() - connection.sent;
  return connection.cost >= kCostMax || unsent > kOutPauseBytes || (connection.cost > 0 && cost_total_ >= kCostTotalMax) ||
         (unsent > 0 && out_total_ >= kOutTotalBytes);
}

// Carries out whole lines that were read, until the connection's share is used up.
void ControlServer::pump(Connection& connection) {
  for (unsigned taken = 0; connection.backlog && !connection.closing && taken < kRequestsPerTurn && !stopped(connection); ++taken) {
    const auto line = connection.lines.next();
    if (!line) {
      ++stats_.errors;
      append(connection, error_line("null", line.error()));
      connection.closing = true;
    } else if (!*line) {
      connection.backlog = false;
    } else {
      take_line(connection, **line);
    }
  }
}

void ControlServer::take_line(Connection& connection, std::string_view line) {
  if (line.empty()) return;
  ++stats_.requests;
  const ParsedRequest parsed = parse_request(line);
  if (!parsed.request) {
    ++stats_.errors;
    append(connection, parsed.refusal);
    connection.closing |= parsed.close;
    return;
  }
  const unsigned cost = handler_.cost(parsed.request->method);
  if (connection.gone && cost > 1) return;  // a large answer, which nobody would take
  connection.cost += cost;
  cost_total_ += cost;
  handler_.call(*parsed.request, Reply(*this, connection.id, parsed.request->id, cost));
}

void ControlServer::answer(uint64_t id, unsigned cost, std::string_view line, std::vector<Fd> descriptors) {
  Connection* connection = find(id);
  if (!connection) return;
  invariant(connection->cost >= cost);
  connection->cost -= cost;
  cost_total_ -= cost;
  if (!descriptors.empty()) connection->descriptors.emplace_back(connection->out.size(), std::move(descriptors));
  append(*connection, line);
}

void ControlServer::append(Connection& connection, std::string_view line) {
  if (!connection.gone) {
    connection.out.append(line);
    out_total_ += line.size();
  }
  if (!std::exchange(connection.dirty, true)) dirty_.push_back(connection.id);
}

void ControlServer::end_turn() {
  for (const uint64_t id : std::exchange(dirty_, {})) {
    Connection* connection = find(id);
    if (!connection) continue;
    connection->dirty = false;
    flush(*connection);
    if (!find(id)) continue;
    pump(*connection);
    settle(*connection);
  }
  if (!dirty_.empty()) loop_.after_ms(0, [] {});  // the rest in the next turn, which must not wait for an event
}

void ControlServer::flush(Connection& connection) {
  while (connection.sent < connection.out.size()) {
    // Descriptors go with the first byte of a call, so each set begins a call of its own.
    size_t end = connection.out.size();
    std::vector<int> numbers;
    auto next = connection.descriptors.begin();
    if (next != connection.descriptors.end() && next->first == connection.sent) {
      for (const Fd& fd : next->second) numbers.push_back(fd.get());
      ++next;
    }
    if (next != connection.descriptors.end()) end = next->first;
    const auto sent =
        send_with_fds(connection.socket.get(), std::string_view(connection.out).substr(connection.sent, end - connection.sent), numbers);
    if (!sent) {
      if (sent.error().code != Errc::retry) return close(connection);
      break;
    }
    if (!numbers.empty()) connection.descriptors.pop_front();
    connection.sent += *sent;
    out_total_ -= *sent;
    set_stall_timer(connection, false);
  }
  if (connection.sent == connection.out.size() || connection.sent > kOutPauseBytes) {
    connection.out.erase(0, connection.sent);
    for (auto& [offset, fds] : connection.descriptors) offset -= connection.sent;
    connection.sent = 0;
    if (connection.out.empty() && connection.out.capacity() > kReadBytes) connection.out.shrink_to_fit();
  }
  settle(connection);
}

void ControlServer::drop_out(Connection& connection) {
  out_total_ -= connection.out.size() - connection.sent;
  connection.out = {};
  connection.sent = 0;
  connection.descriptors.clear();
}

// What the loop should watch for now; the end of a connection that has nothing left to do.
void ControlServer::settle(Connection& connection) {
  // Nobody tells of what somebody who is gone has left behind.
  if (connection.gone && !connection.backlog && !connection.end_of_input && !read(connection)) connection.end_of_input = true;
  const bool unsent = !connection.out.empty();
  if ((connection.closing || (connection.end_of_input && connection.cost == 0 && !connection.backlog)) && !unsent) return close(connection);
  const bool paused = connection.backlog || connection.end_of_input || connection.closing;
  const uint32_t events = (paused ? 0U : static_cast<uint32_t>(EPOLLIN)) | (unsent ? static_cast<uint32_t>(EPOLLOUT) : 0U);
  if (events != connection.events && !connection.gone) loop_.change(connection.socket.get(), connection.events = events);
  set_stall_timer(connection, unsent);
  if (connection.backlog && !stopped(connection) && !std::exchange(connection.dirty, true)) dirty_.push_back(connection.id);
}

void ControlServer::set_stall_timer(Connection& connection, bool on) {
  if (on == (connection.stall_timer != 0)) return;
  loop_.cancel(std::exchange(connection.stall_timer, 0));
  if (!on) return;
  connection.stall_timer = loop_.after_ms(kStallMs, [this, id = connection.id] {
    Connection* stalled = find(id);
    if (!stalled) return;
    stalled->stall_timer = 0;
    ++stats_.stalled;
    log::warning("control_peer_stalled", {{"unsent", stalled->out.size() - stalled->sent}});
    close(*stalled);
  });
}

void ControlServer::close(Connection& connection) {
  if (!connection.gone) loop_.unwatch(connection.socket.get());
  loop_.cancel(connection.stall_timer);
  drop_out(connection);
  cost_total_ -= connection.cost;
  const auto on_close = std::move(connection.on_close);
  connections_.erase(connection.id);
  if (on_close) on_close();
}

}  // namespace jobcast::engine
