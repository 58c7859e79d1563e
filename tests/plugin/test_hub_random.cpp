// The promises of docs/protocol.md under any order of events: thousands of random plays of clients, engine and time, each step checked.
#include <algorithm>
#include <random>
#include <set>

#include "tests/plugin/world.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

constexpr unsigned kJobs = 12;
const char* const kUsers[] = {"alice", "bob"};
std::string owner_of(unsigned number) { return kUsers[number % 2]; }

struct Poll : Waiter {
  void job_changed() override {}
};

// What one client was promised and has got.
struct Watch {
  Client* client = nullptr;
  std::string user;
  std::map<std::string, uint64_t> last;              // job → rev of the newest update or end
  std::set<std::pair<std::string, uint64_t>> ended;  // ends told
  std::map<unsigned, uint64_t> subscribed;           // and the rev that it said it had
  std::map<unsigned, uint64_t> owed;                 // job → rev of an end that its user's room must bring
  bool stream = false, list_unknown = false;
};

struct Play {
  Play(World& world, unsigned seed) : w(world), random(seed) {}
  World& w;
  std::mt19937 random;
  uint64_t rev = 0;
  std::map<unsigned, std::pair<uint64_t, JobState>> truth;  // as the engine has it
  std::vector<Watch> watches;
  std::vector<std::unique_ptr<Poll>> polls;

  unsigned pick(unsigned below) { return static_cast<unsigned>(random() % below); }
  bool chance(unsigned percent) { return pick(100) < percent; }

  void read(Watch& watch, bool all) {
    const size_t room = all ? 64 << 10 : 1 + pick(600);
    if (!watch.client->asked) return;
    std::string out;
    do {
      out.clear();
      watch.client->asked = 0;
      if (watch.client->session->collect(out, room, w.clock)) watch.client->asked = 1;
      for (const Heard& heard : watch.stream ? decode_sse(out) : decode_ws(out)) hear(watch, heard);
    } while (all && watch.client->asked);
  }

  void hear(Watch& watch, const Heard& heard) {
    if (heard.event == "job_update" || heard.event == "job_completed") {
      const std::string id = member(heard, "job_id");
      assert_true(rev_of(heard) > watch.last[id]);  // revs only grow, and no end comes twice
      watch.last[id] = rev_of(heard);
      assert_true(member(heard, "owner") == watch.user);
      const std::string state = member(heard, "state");
      assert_true((heard.event == "job_completed") == (state == "completed" || state == "failed" || state == "cancelled"));
      for (auto owed = watch.owed.begin(); owed != watch.owed.end();)
        owed = job(owed->first).text() == id && owed->second <= rev_of(heard) ? watch.owed.erase(owed) : std::next(owed);
    } else if (heard.event == "job_list_update") {
      const auto data = Json::parse(heard.data);
      watch.list_unknown = watch.list_unknown || data->view().get("job").is_null();
    } else if (heard.event == "subscribed") {
      const auto data = Json::parse(heard.data);
      if (data->view().get("job").exists()) assert_true(rev_of(heard) == watch.last[member(heard, "job_id")]);
    } else if (heard.event == "unsubscribed") {
      watch.last.erase(member(heard, "job_id"));
    } else {
      assert_true(heard.event != "error");
    }
  }

  void connect() {
    if (watches.size() >= 8) return;
    Watch watch;
    watch.user = kUsers[pick(2)];
    if (chance(30)) {
      watch.stream = true;
      watch.client = &w.stream(watch.user);
      watch.client->session->follow_user(0);
    } else {
      watch.client = &w.connect();
      watch.client->say("authenticate", "{\"token\":\"" + w.token(watch.user) + "\"}");
    }
    watches.push_back(watch);
  }

  void change(unsigned number) {
    auto& [known, state] = truth[number];
    known = ++rev;
    state = chance(30) ? (chance(50) ? JobState::completed : JobState::failed) : chance(30) ? JobState::queued : JobState::running;
  }

  void publish(unsigned number) {
    const auto [known, state] = truth[number];
    const bool news = !w.hub->find(job(number)) || w.hub->find(job(number))->rev < known;
    w.publish(number, known, state, owner_of(number), 1);
    if (!news) return;
    for (Watch& watch : watches) {
      if (watch.user != owner_of(number)) continue;
      watch.owed.erase(number);
      if (watch.stream || is_terminal(state)) watch.owed[number] = known;
    }
  }

  void resync() {
    w.hub->begin_resync();
    std::vector<unsigned> shown;
    for (const auto& [number, what] : truth)
      if (!is_terminal(what.second) || chance(70)) shown.push_back(number);
    std::shuffle(shown.begin(), shown.end(), random);
    for (const unsigned number : shown) publish(number);
    for (const JobId& missing : w.hub->end_resync(shown.size() == truth.size(), w.clock))
      for (unsigned number = 0; number < kJobs; ++number)
        if (job(number) == missing) answer(number);
  }

  void answer(unsigned number) {
    const auto known = truth.find(number);
    if (known == truth.end())
      w.not_found(number);
    else
      w.found(number, known->second.first, known->second.second, owner_of(number));
  }

  void step() {
    switch (pick(12)) {
      case 0: return connect();
      case 1:
      case 2:
      case 3: {
        const unsigned number = pick(kJobs);
        change(number);
        if (chance(95)) publish(number);  // else the lane was lapped
        return;
      }
      case 4:
        if (!watches.empty()) {
          Watch& watch = watches[pick(static_cast<unsigned>(watches.size()))];
          const unsigned number = pick(kJobs);
          if (watch.stream || owner_of(number) != watch.user || !truth.count(number)) return;
          const uint64_t seen = chance(50) ? watch.last[job(number).text()] : 0;
          watch.client->say("subscribe_job",
                            job_data(number, ",\"rev\":" + std::to_string(seen) + (chance(30) ? ",\"min_interval_ms\":50" : "")));
          watch.subscribed[number] = std::max(seen, watch.subscribed[number]);
        }
        return;
      case 5:
        if (!watches.empty()) {
          Watch& watch = watches[pick(static_cast<unsigned>(watches.size()))];
          if (watch.stream || watch.subscribed.empty()) return;
          const unsigned number = watch.subscribed.begin()->first;
          for (const JobId& waiting : std::exchange(w.fetches, {}))
            for (unsigned n = 0; n < kJobs; ++n)
              if (job(n) == waiting) answer(n);
          watch.client->say("unsubscribe_job", job_data(number));
          watch.subscribed.erase(number);
          watch.owed.erase(number);
        }
        return;
      case 6:
      case 7:
        if (!watches.empty()) read(watches[pick(static_cast<unsigned>(watches.size()))], chance(30));
        return;
      case 8: w.pass(pick(100)); return;
      case 9:
        for (const JobId& waiting : std::exchange(w.fetches, {}))
          for (unsigned n = 0; n < kJobs; ++n)
            if (job(n) == waiting) answer(n);
        return;
      case 10:
        if (chance(20) && !watches.empty()) {
          const unsigned which = pick(static_cast<unsigned>(watches.size()));
          watches[which].client->disconnect();
          watches.erase(watches.begin() + which);
        }
        if (chance(10)) resync();
        if (chance(10)) w.hub->set_stale(chance(50));
        return;
      default: {
        polls.push_back(std::make_unique<Poll>());
        const unsigned number = pick(kJobs);
        (void)w.hub->wait(*polls.back(), job(number), truth.count(number) ? truth[number].first : 0);
        if (polls.size() > 5) polls.erase(polls.begin());
      }
    }
  }

  void end() {
    for (const JobId& waiting : std::exchange(w.fetches, {}))
      for (unsigned n = 0; n < kJobs; ++n)
        if (job(n) == waiting) answer(n);
    resync();
    w.pass(200);
    size_t subscriptions = 0;
    for (Watch& watch : watches) {
      read(watch, true);
      assert_int_equal(watch.client->asked, 0);
      subscriptions += watch.subscribed.size();
      for (const auto& [number, seen] : watch.subscribed)
        assert_int_equal(std::max(seen, watch.last[job(number).text()]), truth[number].first);
      if (!watch.list_unknown)
        for (const auto& [number, owed] : watch.owed) assert_true(watch.last[job(number).text()] >= owed);
    }
    assert_int_equal(w.hub->stats().subscriptions, subscriptions);
    polls.clear();
    assert_int_equal(w.hub->stats().waiters, 0);
    for (Watch& watch : watches) watch.client->disconnect();
    assert_int_equal(w.hub->stats().sessions, 0);
    assert_int_equal(w.hub->stats().subscriptions, 0);
    assert_int_equal(w.wake_ms, INT64_MAX);
  }
};

void what_is_promised_holds_under_any_order_of_events(void**) {
  for (unsigned seed = 1; seed <= 400; ++seed) {
    World w;
    HubLimits limits;
    limits.topics_max = seed % 3 ? 4096 : 6;
    limits.min_interval_ms = seed % 4 ? 0 : 20;
    limits.messages_per_second_max = 0;
    w.limit(limits);
    Play play(w, seed);
    for (int i = 0; i < 400; ++i) play.step();
    play.end();
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(what_is_promised_holds_under_any_order_of_events)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
