// Who is connected: counts network connections of a vhost and of each address, so that limits are met before descriptors run out;
// and remembers of each whether something may be pipelined on it.
// Registered by wsi and process-wide, because lws may move a connection to another vhost of the same port. Service thread only.
#pragma once

#include <libwebsockets.h>

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <unordered_map>

#include "lws-plugin/metrics.h"

namespace jobcast::plugin {

class Connections {
 public:
  struct Limits {
    uint32_t all_max = 10'000;
    uint32_t per_address_max = 512;  // loopback and Unix sockets are exempt
  };
  explicit Connections(Limits limits);
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // An accepted descriptor that has no wsi yet. False: refuse it. Where all places are taken, the connection that has been idle for longest
  // is closed for it: connections that do nothing keep nobody out, from whatever address they come.
  [[nodiscard]] bool admit(int fd);
  void opened(lws* wsi);
  static void closed(lws* wsi);  // any wsi; one that was never opened() is ignored

  // Nothing of this connection can be pipelined just now: it is new, or its last transaction is known to have left nothing behind.
  [[nodiscard]] static bool known(lws* wsi) { return entries().contains(wsi); }
  [[nodiscard]] static bool clean(lws* wsi);
  static void set_clean(lws* wsi, bool clean);
  // A request begins. Afterwards alone() tells whether it began on a clean connection, so that only its own bytes can be about.
  static void begin_request(lws* wsi);
  // The connection just did something: of those that may be closed for others, it is now the last.
  static void touch(lws* wsi);
  // It serves somebody who has shown a token and has bounds of their own: it is not closed for others, until the next touch().
  static void keep(lws* wsi);
  [[nodiscard]] static bool alone(lws* wsi);

  struct Stats : Metrics {
    Gauge open{*this, "jobcast_connections", "Network connections of this vhost."};
    Counter refused{*this, "jobcast_connections_refused", "Connections closed at once for a limit."};
    Counter evicted{*this, "jobcast_connections_evicted", "Idle connections closed to make room for new ones."};
  };
  [[nodiscard]] const Stats& stats() const;

 private:
  using Address = std::array<uint8_t, 16>;
  struct Table {
    uint32_t all = 0, leaving = 0;  // leaving: of all, those that evict() has closed and lws not yet
    std::list<lws*> idle;           // those that may be closed for others, by when they last did something
    std::map<Address, uint32_t> per_address;
  };
  struct Entry {
    std::shared_ptr<Table> table;
    Address address;
    std::list<lws*>::iterator in_idle;
    bool idle = false, leaving = false;
    bool clean = true, alone = false;
  };
  [[nodiscard]] bool evict();
  static Address address_of(int fd);
  static std::unordered_map<lws*, Entry>& entries();

  Limits limits_;
  int fd_end_ = INT32_MAX;  // the first descriptor that no connection may have
  std::shared_ptr<Table> table_ = std::make_shared<Table>();
  mutable Stats stats_;  // stats() brings the gauge up to date
};

}  // namespace jobcast::plugin
