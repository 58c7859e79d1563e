// Addresses and counts, from accept to close.
#include "lws-plugin/connections.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

namespace jobcast::plugin {
namespace {

constexpr std::array<uint8_t, 16> kExempt{};
constexpr rlim_t kDescriptorsKept = 64;  // for the engine, files being served, logs
constexpr rlim_t kDescriptorsOfEngine = 16;
constexpr uint32_t kLeavingMax = 8;  // connections over the limit, until lws has closed those that make room for them

}  // namespace

Connections::Connections(Limits limits) : limits_(limits) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur <= 2 * kDescriptorsKept) return;
  const rlim_t usable = std::min<rlim_t>(files.rlim_cur, INT_MAX) - kDescriptorsKept;
  limits_.all_max = static_cast<uint32_t>(std::min<rlim_t>(limits_.all_max, usable));
  fd_end_ = static_cast<int>(usable - kDescriptorsOfEngine);
}

Connections::~Connections() = default;

std::unordered_map<lws*, Connections::Entry>& Connections::entries() {
  static std::unordered_map<lws*, Entry> all;
  return all;
}

// IPv6 as it is, IPv4 mapped; zeros for those that are not counted by address.
Connections::Address Connections::address_of(int fd) {
  sockaddr_storage peer{};
  socklen_t length = sizeof peer;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0) return kExempt;
  Address address{};
  if (peer.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr;
    memcpy(address.data(), &in6, address.size());
    if (IN6_IS_ADDR_LOOPBACK(&in6)) return kExempt;
  } else if (peer.ss_family == AF_INET) {
    address[10] = address[11] = 0xff;
    memcpy(address.data() + 12, &reinterpret_cast<const sockaddr_in&>(peer).sin_addr, 4);
  } else {
    return kExempt;
  }
  if (address[10] == 0xff && address[11] == 0xff && address[12] == 127) return kExempt;
  return address;
}

bool Connections::admit(int fd) {
  const auto refuse = [this] {
    ++stats_.refused;
    return false;
  };
  // lws 4.5 aborts on a descriptor that is beyond its own table, which jobcast-host keeps 64 short of the limit.
  const Address address = address_of(fd);
  if (const auto found = table_->per_address.find(address);
      address != kExempt && found != table_->per_address.end() && found->second >= limits_.per_address_max)
    return refuse();
  const bool full = table_->all - table_->leaving >= limits_.all_max || fd >= fd_end_;
  return !full || (fd_end_ > fd - static_cast<int>(kLeavingMax) && evict()) ? true : refuse();
}

bool Connections::evict() {
  if (table_->idle.empty() || table_->leaving >= kLeavingMax) return false;
  lws* const oldest = table_->idle.front();
  keep(oldest);
  entries().at(oldest).leaving = true;
  ++table_->leaving;
  ++stats_.evicted;
  lws_set_timeout(oldest, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
  return true;
}

void Connections::touch(lws* wsi) {
  const auto found = entries().find(wsi);
  if (found == entries().end() || found->second.leaving) return;
  keep(wsi);
  auto& idle = found->second.table->idle;
  found->second.in_idle = idle.insert(idle.end(), wsi);
  found->second.idle = true;
}

void Connections::keep(lws* wsi) {
  const auto found = entries().find(wsi);
  if (found != entries().end() && std::exchange(found->second.idle, false)) found->second.table->idle.erase(found->second.in_idle);
}

void Connections::opened(lws* wsi) {
  const Address address = address_of(lws_get_socket_fd(wsi));
  if (!entries().emplace(wsi, Entry{.table = table_, .address = address, .in_idle = {}}).second) return;
  ++table_->all;
  touch(wsi);
  if (address != kExempt) ++table_->per_address[address];
}

void Connections::closed(lws* wsi) {
  const auto entry = entries().find(wsi);
  if (entry == entries().end()) return;
  Table& table = *entry->second.table;
  keep(wsi);
  --table.all;
  table.leaving -= entry->second.leaving;
  if (const auto found = table.per_address.find(entry->second.address); found != table.per_address.end() && --found->second == 0)
    table.per_address.erase(found);
  entries().erase(entry);
}

bool Connections::clean(lws* wsi) {
  const auto entry = entries().find(wsi);
  return entry != entries().end() && entry->second.clean;
}

void Connections::set_clean(lws* wsi, bool clean) {
  if (const auto entry = entries().find(wsi); entry != entries().end()) entry->second.clean = clean;
}

const Connections::Stats& Connections::stats() const {
  stats_.open = table_->all;
  return stats_;
}

void Connections::begin_request(lws* wsi) {
  touch(wsi);
  if (const auto entry = entries().find(wsi); entry != entries().end()) entry->second.alone = std::exchange(entry->second.clean, false);
}

bool Connections::alone(lws* wsi) {
  const auto entry = entries().find(wsi);
  return entry != entries().end() && entry->second.alone;
}

}  // namespace jobcast::plugin
