// Whose turn it is, and how much of each user is under way.
#include "lws-plugin/call_queue.h"

#include <algorithm>
#include <iterator>

#include "base/invariant.h"

namespace jobcast::plugin {
namespace {

// What one user may have underway. Enough for the engine's group commits, and little enough to stand before somebody else's request.
constexpr uint32_t kUnderwayPerUser = 16;
constexpr size_t kBytesUnderwayPerUser = 128 << 10;
// The engine stops reading from a connection at 128 (docs/control-protocol.md): what is held back is held here, where users take turns.
constexpr uint32_t kCostMax = 112;
constexpr uint32_t kLargeCost = 8;
constexpr size_t kWireBytes = 64 << 10;  // picked ahead of the socket

uint32_t cost_of(bool large) { return large ? kLargeCost : 1; }

}  // namespace

Result<void> CallQueue::add(CallId id, std::string_view user_name, bool large, std::string line) {
  const bool of_user = user_name != kServer;
  const auto found = users_.find(std::string(user_name));
  if (of_user && found != users_.end()) {
    const User& user = *found->second;
    if (user.calls >= limits_.calls_per_user_max || user.bytes + line.size() > std::max(limits_.bytes_per_user_max, line.size()))
      return {Errc::full, "this user has " + std::to_string(user.calls) + " requests that wait for the job engine: wait for their answers"};
  }
  if (of_user && (counted_ >= limits_.calls_max || bytes_ + line.size() > limits_.bytes_max))
    return {Errc::full, "too many requests wait for the job engine: try again later"};
  auto& slot = found == users_.end() ? users_[std::string(user_name)] : found->second;
  if (!slot) slot = std::make_unique<User>();
  User& user = *slot;
  user.name = user_name;
  ++user.calls;
  counted_ += of_user;
  user.bytes += line.size();
  bytes_ += line.size();
  calls_.emplace(id, Known{&user, line.size(), Stage::waiting, large});
  user.waiting.push_back({id, std::move(line)});
  enqueue(user);
  return {};
}

bool CallQueue::may_send(const User& user) const {
  if (user.waiting.empty()) return false;
  const Known& next = calls_.at(user.waiting.front().id);
  return user.underway < kUnderwayPerUser && !(next.large && user.large_underway > 0) &&
         (user.bytes_underway == 0 || user.bytes_underway + next.bytes <= kBytesUnderwayPerUser);
}

bool CallQueue::room() const { return cost_ < kCostMax; }

void CallQueue::enqueue(User& user) {
  if (user.in_turn || !may_send(user)) return;
  user.in_turn = true;
  turns_.push_back(&user);
}

// The turn of the next user, with one call of it. False: nobody may send.
bool CallQueue::pick() {
  if (turns_.empty() || !room()) return false;
  User& user = *turns_.front();
  turns_.pop_front();
  user.in_turn = false;
  if (!may_send(user)) return true;  // what it had was taken back
  Call& call = user.waiting.front();
  Known& known = calls_.at(call.id);
  known.stage = Stage::picked;
  ++user.underway;
  user.large_underway += known.large;
  user.bytes -= known.bytes;
  user.bytes_underway += known.bytes;
  cost_ += cost_of(known.large);
  wire_bytes_ += call.line.size();
  wire_.push_back(std::move(call));
  user.waiting.pop_front();
  enqueue(user);
  return true;
}

size_t CallQueue::gather(std::span<iovec> parts) {
  while (wire_bytes_ < kWireBytes && pick()) {
  }
  const size_t count = std::min(parts.size(), wire_.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t skip = i == 0 ? written_ : 0;
    parts[i] = {wire_[i].line.data() + skip, wire_[i].line.size() - skip};
  }
  return count;
}

void CallQueue::wrote(size_t bytes) {
  written_ += bytes;
  bytes_ -= bytes;
  wire_bytes_ -= bytes;
  while (!wire_.empty() && written_ >= wire_.front().line.size()) {
    written_ -= wire_.front().line.size();
    if (const auto known = calls_.find(wire_.front().id); known != calls_.end()) known->second.stage = Stage::sent;
    wire_.pop_front();
  }
  invariant(written_ == 0 || !wire_.empty());
}

bool CallQueue::take_back(CallId id) {
  const auto known = calls_.find(id);
  if (known == calls_.end()) return true;
  if (known->second.stage == Stage::sent) return false;
  auto& from = known->second.stage == Stage::waiting ? known->second.user->waiting : wire_;
  const auto call = std::ranges::find(from, id, &Call::id);
  if (&from == &wire_) {
    if (call == wire_.begin() && written_ > 0) return false;
    wire_bytes_ -= call->line.size();
  } else {
    known->second.user->bytes -= call->line.size();
  }
  bytes_ -= call->line.size();
  from.erase(call);
  forget(known);
  return true;
}

bool CallQueue::sent(CallId id) const {
  const auto known = calls_.find(id);
  return known != calls_.end() && known->second.stage == Stage::sent;
}

void CallQueue::answered(CallId id) {
  if (const auto known = calls_.find(id); known != calls_.end() && known->second.stage == Stage::sent) forget(known);
}

void CallQueue::forget(std::unordered_map<CallId, Known>::iterator call) {
  const Known known = call->second;
  calls_.erase(call);
  User& user = *known.user;
  if (known.stage != Stage::waiting) {
    --user.underway;
    user.large_underway -= known.large;
    user.bytes_underway -= known.bytes;
    cost_ -= cost_of(known.large);
  }
  --user.calls;
  counted_ -= user.name != kServer;
  if (user.calls > 0) {
    enqueue(user);
  } else {
    std::erase(turns_, &user);
    users_.erase(std::string(user.name));
  }
}

void CallQueue::clear() {
  calls_.clear();
  users_.clear();
  turns_.clear();
  wire_.clear();
  wire_bytes_ = written_ = bytes_ = 0;
  counted_ = cost_ = 0;
}

}  // namespace jobcast::plugin
