// The hub's own records: topics (jobs), owners (users' rooms) and the subscriptions between them and sessions. Service thread only.
#pragma once

namespace jobcast::plugin {

struct Owner;
struct Subscription;
struct Topic;

}  // namespace jobcast::plugin
