// Connects, attaches, drains and calls, inside another's loop.
#include "lws-plugin/engine_link.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/id.h"
#include "base/json_slice.h"
#include "base/log.h"
#include "base/text.h"
#include "ipc/fd_channel.h"
#include "ipc/membarrier.h"
#include "lws-plugin/contained.h"

namespace jobcast::plugin {
namespace {

constexpr int64_t kBackoffFirstUs = 10'000;
constexpr int64_t kBackoffMaxUs = 400'000;
constexpr int kDrainsATurn = 16;  // of 16 records each; then other sockets have their turn
constexpr size_t kPiecesAtOnce = 32;
constexpr size_t kEnvelopeBytes = 128;  // of a request's line around its params
constexpr int64_t kHeardLatelyMs = 250;
constexpr auto kLarge = std::to_array<std::string_view>({"job.list", "job.log", "job.result"});
constexpr size_t kReadBytes = 64 << 10;

constexpr std::string_view kRepeat = "repeat it with the same Idempotency-Key";

// Certain: the engine does not have the request, and will not get it.
Error not_carried_out(std::string_view why) {
  return {Errc::retry, std::string(why) + ": the request was not carried out; " + std::string(kRepeat)};
}
Error unanswered(std::string_view why) {
  return {Errc::closed, std::string(why) + ": the request may have been carried out; " + std::string(kRepeat)};
}
Error gone() { return not_carried_out("the job engine is away"); }

}  // namespace

EngineLink::EngineLink(lws_context* context, lws_vhost* vhost, std::string socket_path, Limits limits, Listener& listener)
    : context_(context),
      vhost_(vhost),
      path_(std::move(socket_path)),
      limits_(limits),
      listener_(listener),
      queue_(limits.queue),
      reconnect_([this] {
        if (!contained("connect", [this] { connect(); })) reconnect_later();
      }),
      deadline_([this] { look_at_deadlines(); }),
      again_([this] { drain(); }),
      refuse_([this] {
        auto refused = std::exchange(refused_, {});
        for (const auto& [id, error] : refused) settle(id, error);
      }),
      ask_([this] {
        if (control_.wsi) lws_callback_on_writable(control_.wsi);
      }) {
  control_.control = true;
  control_.link = doorbell_.link = this;
}

EngineLink::~EngineLink() {
  drop(control_);
  drop(doorbell_);
}

void EngineLink::start() { reconnect_.after_us(context_, 0); }

const EngineLink::Stats& EngineLink::stats() const {
  stats_.attached = attached();
  stats_.waiting = waiting_.size();
  stats_.waiting_bytes = queue_.bytes_waiting();
  if (reader_) count_reader();
  return stats_;
}

void EngineLink::count_reader() const {
  const RegionReader::Stats now = reader_->stats();
  stats_.records += now.records - counted_.records;
  stats_.laps += now.laps - counted_.laps;
  counted_ = now;
}

// ---- the connection

void EngineLink::connect() {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path_.data(), std::min(path_.size(), sizeof address.sun_path - 1));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (backoff_us_ == 0) log::notice("engine_away", {{"socket", path_}, {"why", strerror(errno)}});
    return reconnect_later();
  }
  if (!adopt(std::move(socket), control_)) return reconnect_later();
  ++stats_.connects;
  attach();
}

void EngineLink::reconnect_later() {
  backoff_us_ = backoff_us_ == 0 ? kBackoffFirstUs : std::min(backoff_us_ * 2, kBackoffMaxUs);
  uint32_t random = 0;
  random_bytes(&random, sizeof random);
  reconnect_.after_us(context_, backoff_us_ / 2 + random % backoff_us_);  // ± half: many servers do not come at once
}

bool EngineLink::adopt(Fd fd, Port& port) {
  lws_adopt_desc_t info{};
  info.vh = vhost_;
  info.type = LWS_ADOPT_RAW_FILE_DESC;
  info.fd.filefd = fd.get();
  info.vh_prot_name = "jobcast";
  info.opaque = &port;
  port.wsi = lws_adopt_descriptor_vhost_via_info(&info);
  (void)fd.release();  // lws closes it, also when it refuses
  if (!port.wsi) log::error("adopt_failed", {{"what", port.control ? "control" : "doorbell"}});
  return port.wsi != nullptr;
}

void EngineLink::drop(Port& port) {
  lws* wsi = std::exchange(port.wsi, nullptr);
  if (!wsi) return;
  lws_set_opaque_user_data(wsi, nullptr);
  lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

int EngineLink::fd_of(const Port& port) const { return lws_get_socket_fd(port.wsi); }

void EngineLink::lost(const char* why) {
  if (!control_.wsi && !reader_) return;
  if (reader_) {
    // What the engine published before it died is still there.
    (void)contained("last_drain", [this] {
      while (reader_->drain([this](const Event& event) { listener_.on_event(event); }) == RegionReader::Drained::more) {
      }
    });
    count_reader();
    counted_ = {};
  }
  log::notice("engine_lost", {{"socket", path_}, {"why", why}});
  again_.cancel();
  ask_.cancel();
  drop(control_);
  drop(doorbell_);
  const bool told = reader_.has_value();
  reader_.reset();
  lines_ = LineBuffer();
  for (Fd& fd : granted_) fd.reset();
  granted_count_ = 0;
  attach_id_ = 0;
  if (told) {
    backoff_us_ = 0;
    (void)contained("lost", [this] { listener_.on_lost(); });
  }
  reconnect_later();
  fail_all();
}

void EngineLink::attach() {
  attach_id_ = call(CallQueue::kServer, "attach", membarrier_offered() ? R"({"membarrier":true})" : "{}",
                    [this](const Result<std::string_view>& result) {
                      attach_id_ = 0;
                      if (!result) {
                        log::error("attach_refused", {{"socket", path_}, {"why", result.error().detail}});
                        return lost("attach refused");
                      }
                      Result<void> done{Errc::internal, "something broke while the lane was read"};
                      (void)contained("attach", [&] { done = attached_with(*result); });
                      if (done) return;
                      log::error("attach_failed", {{"socket", path_}, {"why", done.error().detail}});
                      lost("attach failed");
                    });
}

Result<void> EngineLink::attached_with(std::string_view result) {
  if (granted_count_ != 3) return {Errc::corrupt, "attach answered without its three descriptors"};
  granted_count_ = 0;
  auto reader = RegionReader::open(std::move(granted_[0]), std::move(granted_[1]), std::move(granted_[2]));
  if (!reader) return reader.error();
  reader_.emplace(std::move(*reader));
  if (!adopt(Fd(reader_->release_doorbell()), doorbell_)) return {Errc::internal, "the loop takes no more descriptors"};
  backoff_us_ = 0;
  log::notice("engine_attached", {{"socket", path_}, {"epoch", json_member_string(result, "epoch").value_or("")}});
  const std::string epoch(json_member_string(result, "epoch").value_or(""));
  const uint64_t rev = static_cast<uint64_t>(json_member_integer(result, "rev").value_or(0));
  const uint64_t boot = static_cast<uint64_t>(json_member_integer(result, "boot").value_or(0));
  // Each start of an engine counts a boot more than the one before. One that does not goes on from an older copy.
  const bool another_life = epoch != epoch_ && boot > 0 && boot <= boot_;
  if (another_life) log::warning("engine_of_another_life", {{"socket", path_}, {"boot", boot}, {"boot_before", boot_}});
  epoch_ = epoch;
  boot_ = std::max(boot, rev >> 32);
  listener_.on_engine(rev, another_life);
  resync();
  listener_.on_attached();
  drain();
  return {};
}

// ---- lws's callbacks

int EngineLink::on_readable(lws* wsi) {
  auto* port = static_cast<Port*>(lws_get_opaque_user_data(wsi));
  if (!port || port->wsi != wsi) return -1;
  EngineLink& link = *port->link;
  if (!port->control) {
    ++link.stats_.wakeups;
    if (!link.reader_ || !link.reader_->clear_doorbell()) {
      link.lost("end of file on the doorbell");
      return -1;
    }
    link.drain();
    return 0;
  }
  if (auto done = link.read_control(); !done) {
    link.lost(done.error().detail.c_str());
    return -1;
  }
  return 0;
}

int EngineLink::on_writable(lws* wsi) {
  auto* port = static_cast<Port*>(lws_get_opaque_user_data(wsi));
  if (!port || port->wsi != wsi || !port->control) return 0;
  if (auto done = port->link->write_control(); !done) {
    port->link->lost(done.error().detail.c_str());
    return -1;
  }
  return 0;
}

void EngineLink::on_closed(lws* wsi) {
  auto* port = static_cast<Port*>(lws_get_opaque_user_data(wsi));
  if (!port || port->wsi != wsi) return;
  lws_set_opaque_user_data(wsi, nullptr);
  port->wsi = nullptr;
  port->link->lost(port->control ? "the loop closed the control socket" : "the loop closed the doorbell");
}

// ---- calls

Result<void> EngineLink::read_control() {
  std::array<char, kReadBytes> chunk;
  auto received = receive_with_fds(fd_of(control_), chunk);
  if (!received) {
    if (received.error().code == Errc::retry) return {};
    return received.error();
  }
  for (size_t i = 0; i < received->fd_count && granted_count_ < granted_.size(); ++i)
    granted_[granted_count_++] = std::move(received->fds[i]);
  lines_.append({chunk.data(), received->bytes});
  while (control_.wsi) {
    auto line = lines_.next();
    if (!line) return line.error();
    if (!*line) return {};
    on_line(std::string(**line));  // a copy: what is done with it may drop the buffer
  }
  return {Errc::closed, "the connection was given up"};
}

void EngineLink::on_line(std::string_view line) {
  const auto id = json_member_integer(line, "id");
  if (!id) {
    log::warning("engine_answer_without_id");
    return;
  }
  heard_ms_ = now().mono_ms();
  queue_.answered(static_cast<CallId>(*id));
  if (queue_.has_more() && control_.wsi) lws_callback_on_writable(control_.wsi);
  if (const auto result = json_member(line, "result")) return settle(static_cast<CallId>(*id), *result);
  auto response = parse_response(line);
  Error error = !response ? response.error() : response->error.value_or(Error{Errc::corrupt, "the engine's answer has no result", {}});
  error.detail = without_paths(error.detail);  // the engine names its files; clients are not to know them
  settle(static_cast<CallId>(*id), error);
}

// lws 4.1 takes POLLOUT away after this callback, whatever the callback asked for: so what the socket does not take now is asked for by
// a timer, outside of it.
Result<void> EngineLink::write_control() {
  std::array<iovec, kPiecesAtOnce> parts;
  while (const size_t count = queue_.gather(parts)) {
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t sent = sendmsg(fd_of(control_), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      queue_.wrote(static_cast<size_t>(sent));
    } else if (errno == EAGAIN) {
      ask_.after_us(context_, 0);
      return {};
    } else if (errno != EINTR) {
      return {Errc::closed, strerror(errno)};
    }
  }
  return {};
}

bool EngineLink::fits(std::string_view params_json) { return params_json.size() + kEnvelopeBytes <= kControlLineBytesMax; }

bool EngineLink::heard_lately() const { return attached() && now().mono_ms() - heard_ms_ < kHeardLatelyMs; }

EngineLink::CallId EngineLink::call(std::string_view user, std::string_view method, std::string_view params_json, Done done,
                                    int64_t timeout_ms) {
  const CallId id = ++last_id_;
  ++stats_.calls;
  const auto refuse = [&](Error error) {
    waiting_[id].done = std::move(done);
    refused_.emplace(id, std::move(error));
    refuse_.after_us(context_, 0);
    return id;
  };
  if (!control_.wsi) return refuse(gone());
  if (!fits(params_json)) return refuse({Errc::invalid, "the request is longer than a line of the engine's control socket", {}});
  std::string line = R"({"jsonrpc":"2.0","id":)" + std::to_string(id);
  line.append(R"(,"method":")").append(method).append(R"(","params":)").append(params_json).append("}\n");
  const bool large = std::ranges::find(kLarge, method) != kLarge.end();
  if (auto added = queue_.add(id, user, large, std::move(line)); !added) {
    ++stats_.calls_refused;
    return refuse(added.error());
  }
  const int64_t deadline_ms = now().mono_ms() + (timeout_ms ? timeout_ms : limits_.timeout_ms);
  waiting_[id] = {std::move(done), deadline_ms};
  due_.emplace(deadline_ms, id);
  if (due_.begin()->second == id) schedule_deadline();
  lws_callback_on_writable(control_.wsi);
  return id;
}

void EngineLink::forget(CallId call) {
  const auto found = waiting_.find(call);
  if (found == waiting_.end()) return;
  due_.erase({found->second.deadline_ms, call});
  waiting_.erase(found);
  (void)queue_.take_back(call);
}

void EngineLink::settle(CallId id, const Result<std::string_view>& result) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const Done done = std::move(found->second.done);
  due_.erase({found->second.deadline_ms, id});
  waiting_.erase(found);
  if (!result) {
    ++stats_.calls_failed;
    stats_.calls_unanswered += result.error().code == Errc::closed;
  }
  (void)contained("engine_answer", [&] { done(result); });  // one caller's trouble, which must not end the link
}

// The connection is lost. What was sent in part the engine drops.
void EngineLink::fail_all() {
  // Only those of now: a callback may call again.
  std::vector<std::pair<CallId, bool>> calls;
  for (const auto& [id, call] : waiting_)
    if (call.deadline_ms != 0) calls.emplace_back(id, queue_.sent(id));
  queue_.clear();
  for (const auto& [id, sent] : calls) settle(id, sent ? unanswered("the job engine went away before it answered") : gone());
}

void EngineLink::schedule_deadline() {
  if (due_.empty()) return deadline_.cancel();
  deadline_.after_us(context_, (due_.begin()->first - now().mono_ms()) * 1000);
}

void EngineLink::look_at_deadlines() {
  const int64_t now_ms = now().mono_ms();
  std::vector<CallId> late;
  for (const auto& [deadline_ms, id] : due_) {
    if (deadline_ms > now_ms) break;
    late.push_back(id);
  }
  for (const CallId id : late)
    settle(id, queue_.take_back(id) ? not_carried_out("the job engine did not take the request in time")
                                    : unanswered("the job engine did not answer in time"));
  schedule_deadline();
}

// ---- the lane

void EngineLink::drain() {
  if (!contained("lane", [this] { drain_some(); })) lost("reading the lane failed");
}

void EngineLink::drain_some() {
  for (int i = 0; i < kDrainsATurn && reader_; ++i) {
    switch (reader_->drain([this](const Event& event) { listener_.on_event(event); })) {
      case RegionReader::Drained::more: continue;
      case RegionReader::Drained::empty:
        if (reader_->arm()) return;
        continue;
      case RegionReader::Drained::lapped: resync(); continue;
      case RegionReader::Drained::corrupt: return lost("the lane's bytes are corrupt");
    }
  }
  if (reader_) again_.after_us(context_, 0);
}

void EngineLink::resync() {
  listener_.on_resync_begin();
  reader_->resync([this](const Event& event) { listener_.on_event(event); }, [this](const JobId& job) { listener_.on_unchanged(job); });
  listener_.on_resync_end(!reader_->table_is_full());
}

}  // namespace jobcast::plugin
