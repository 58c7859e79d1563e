// See control_client.h.
#include "ipc/control_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/json_slice.h"
#include "ipc/fd_channel.h"
#include "ipc/membarrier.h"

namespace jobcast {

Result<ControlClient> ControlClient::connect(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.empty() || socket_path.size() >= sizeof address.sun_path)
    return {Errc::invalid, "the engine's socket path must have 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes"};
  memcpy(address.sun_path, socket_path.data(), socket_path.size());
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A program that was started with closed standard descriptors must not print into this socket.
  if (socket && socket.get() <= STDERR_FILENO) socket = Fd(::fcntl(socket.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  if (!socket) return {Errc::internal, std::string("socket: ") + strerror(errno)};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const Errc code = errno == ENOENT         ? Errc::not_found
                      : errno == EACCES       ? Errc::unauthorized
                      : errno == ECONNREFUSED ? Errc::closed
                                              : Errc::internal;
    return {code, "no engine at " + socket_path + ": " + strerror(errno)};
  }
  return ControlClient(std::move(socket));
}

Result<void> ControlClient::wait(short events, int64_t deadline_ns) const {
  for (;;) {
    const int64_t left_ms = (deadline_ns - now().mono_ns + 999'999) / 1'000'000;
    if (left_ms <= 0) return {Errc::retry, "the engine did not answer in time"};
    pollfd ready{socket_.get(), events, 0};
    const int found = poll(&ready, 1, static_cast<int>(left_ms));
    if (found > 0) return {};
    if (found < 0 && errno != EINTR) return {Errc::internal, std::string("poll: ") + strerror(errno)};
  }
}

Result<ControlClient::Answer> ControlClient::exchange(std::string_view method, const Json& params, int timeout_ms) {
  const int64_t deadline_ns = now().mono_ns + int64_t{timeout_ms} * 1'000'000;
  const std::string line = request_line(++last_id_, method, params);
  fds_.clear();
  for (std::string_view rest = line; !rest.empty();) {
    if (auto ready = wait(POLLOUT, deadline_ns); !ready) return ready.error();
    const ssize_t sent = send(socket_.get(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
      rest.remove_prefix(static_cast<size_t>(sent));
    else if (errno == EPIPE)
      break;  // what it said before it closed, such as a refusal, is still to be read
    else if (errno != EAGAIN && errno != EINTR)
      return {Errc::closed, "the engine closed the connection"};
  }
  std::string chunk(16 * 1024, '\0');
  for (;;) {
    auto next = lines_.next();
    if (!next) return Error{Errc::corrupt, next.error().detail, {}};
    if (*next) {
      auto response = parse_response(**next);
      if (!response) return response.error();
      if (response->id != last_id_ && response->id != -1) continue;  // of a call that gave up waiting
      if (response->error) return *response->error;
      return Answer{std::string(**next), std::move(response->document)};
    }
    if (auto ready = wait(POLLIN, deadline_ns); !ready)
      return ready.error().code == Errc::retry ? Error{Errc::closed, ready.error().detail + ": it may have been done"} : ready.error();
    auto received = receive_with_fds(socket_.get(), chunk);
    if (!received) return received.error();
    for (size_t i = 0; i < received->fd_count; ++i) fds_.push_back(std::move(received->fds[i]));
    lines_.append({chunk.data(), received->bytes});
  }
}

Result<Json> ControlClient::call(std::string_view method, const Json& params, int timeout_ms) {
  auto answer = exchange(method, params, timeout_ms);
  if (!answer) return answer.error();
  return std::move(answer->document);
}

Result<std::string> ControlClient::call_raw(std::string_view method, const Json& params, int timeout_ms) {
  auto answer = exchange(method, params, timeout_ms);
  if (!answer) return answer.error();
  const auto result = json_member(answer->line, "result");
  if (!result) return {Errc::corrupt, "the engine answered without a result"};
  return std::string(*result);
}

Result<ControlClient::Attached> ControlClient::attach(int timeout_ms) {
  Json params = Json::object();
  params.set("membarrier", membarrier_offered());
  auto answer = call("attach", params, timeout_ms);
  if (!answer) return answer.error();
  if (fds_.size() != 3) return {Errc::corrupt, "attach answered without its three descriptors"};
  const auto rev = static_cast<uint64_t>(answer->view().get("result").get("rev").integer().value_or(0));
  Attached attached{std::move(fds_[0]), std::move(fds_[1]), std::move(fds_[2]), rev};
  fds_.clear();
  return attached;
}

}  // namespace jobcast
