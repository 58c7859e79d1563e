// The hub's own records: topics (jobs), owners (users' rooms) and the subscriptions between topics and sessions. Service thread only.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id.h"
#include "lws-plugin/list.h"
#include "lws-plugin/snapshot.h"

namespace jobcast::plugin {

class Session;
class Waiter;
struct Owner;
struct Topic;

// One session's interest in one job.
struct Subscription {
  enum class Mark : uint8_t {
    none,   // nothing to send
    dirty,  // in the session's dirty list
    held,   // there is something, but not before `due_ms`: in the session's held list
  };
  Topic* topic = nullptr;
  Session* session = nullptr;
  Link<Subscription> of_session, marked;
  uint64_t sent_rev = 0;                                 // sent, or seen by the client before
  int64_t due_ms = std::numeric_limits<int64_t>::min();  // the next update not before; the first one at once
  uint32_t index = 0;                                    // in topic->subscriptions
  uint32_t min_interval_ms = 0;
  Mark mark = Mark::none;
  bool room_only = false;  // nobody asked for it: it carries one terminal snapshot to a member of the owner's room, then ends
};

struct Topic {
  explicit Topic(const JobId& id) : job(id) {}
  const JobId job;
  SnapshotRef latest;      // null: somebody waits for it, nothing is known yet
  Owner* owner = nullptr;  // null as long as `latest` is
  std::vector<Subscription*> subscriptions;
  std::vector<Waiter*> waiters;
  Link<Topic> of_owner, idle;
  // Where its newest change stands among all changes, for streams that follow a user. `seq` counts arrivals and is exact within this
  // process. `order` is the highest rev that had arrived by then: what a Last-Event-ID can be compared with even when revs of different
  // jobs arrive out of order. 0: not announced by the lane (only fetched), so in no owner's list.
  uint64_t seq = 0, order = 0;
  uint64_t resync = 0;                                                    // the last resync that showed it
  enum class Idle : uint8_t { no, active, terminal } idle_as = Idle::no;  // in one of the hub's lists of what nobody follows
  bool arriving = false;                                                  // during a resync: waits to be put in order

  // Whether its newest change came after the one that is numbered `seen_rev`.
  [[nodiscard]] bool arrived_after(uint64_t seen_rev) const { return order > seen_rev || (order == seen_rev && latest->rev != seen_rev); }
  [[nodiscard]] bool followed() const { return !subscriptions.empty() || !waiters.empty(); }
};

// A user: as the owner of jobs and as the room user_{name}.
struct Owner {
  explicit Owner(std::string user) : name(std::move(user)) {}
  const std::string name;
  std::vector<Session*> sessions;                       // all authenticated ones
  std::unordered_map<const Topic*, uint32_t> followed;  // by how many of their subscriptions
  List<Topic, &Topic::of_owner> topics;                 // announced ones, by arrival
  size_t topics_count = 0;                              // all topics that name this owner
  SnapshotRef list_latest;                              // the newest change that changed the list
};

}  // namespace jobcast::plugin
