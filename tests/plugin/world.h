// A hub with everything around it made up: a clock that is moved by hand, an engine that answers when told to, clients whose frames are
// read back strictly. One test's thread.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lws-plugin/hub.h"
#include "tests/cmocka.h"

namespace jobcast::plugin {

struct Heard {
  std::string event, data, id;  // id: JSON text, or the SSE id
};

inline JobId job(unsigned number) {
  JobId id;
  id.bytes = {1, 0x92, 0xf0, 0xc1, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return id;
}

inline std::string snapshot(const JobId& id, uint64_t rev, JobState state, const std::string& owner) {
  static const char* const kNames[] = {"", "scheduled", "queued", "running", "retrying", "completed", "failed", "cancelled"};
  return "{\"job_id\":\"" + id.text() + "\",\"rev\":" + std::to_string(rev) + ",\"state\":\"" + kNames[static_cast<size_t>(state)] +
         "\",\"owner\":\"" + owner + "\"}";
}

// Every frame of `bytes`; fails the test on anything that a strict client would refuse.
inline std::vector<Heard> decode_ws(const std::string& bytes) {
  std::vector<Heard> heard;
  for (size_t at = 0; at < bytes.size();) {
    const auto byte = [&](size_t offset) {
      assert_true(at + offset < bytes.size());
      return static_cast<uint8_t>(bytes[at + offset]);
    };
    assert_int_equal(byte(0), 0x81);  // fin, text, no extension bits
    uint64_t length = byte(1);        // no mask bit
    size_t header = 2;
    if (length == 126) {
      length = static_cast<uint64_t>(byte(2)) << 8 | byte(3);
      header = 4;
      assert_true(length >= 126);
    } else if (length == 127) {
      length = 0;
      for (size_t i = 2; i < 10; ++i) length = length << 8 | byte(i);
      header = 10;
      assert_true(length > 0xffff);
    }
    assert_true(at + header + length <= bytes.size());
    const auto parsed = Json::parse(bytes.substr(at + header, length));
    assert_true(parsed.ok());
    const JsonView whole = parsed->view();
    const std::string text = bytes.substr(at + header, length);
    const size_t data_at = text.find("\"data\":") + 7;
    const JsonView id = whole.get("id");
    const size_t tail = id.exists() ? text.rfind(",\"id\":") : text.size() - 1;
    heard.push_back({std::string(*whole.get("event").string()), text.substr(data_at, tail - data_at), id.dump()});
    at += header + length;
  }
  return heard;
}

inline std::vector<Heard> decode_sse(const std::string& bytes) {
  std::vector<Heard> heard;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = bytes.find("\n\n", at);
    assert_true(end != std::string::npos);
    Heard one;
    for (size_t line = at; line < end;) {
      const size_t stop = std::min(bytes.find('\n', line), end);
      const std::string text = bytes.substr(line, stop - line);
      if (text.rfind("id: ", 0) == 0) one.id = text.substr(4);
      if (text.rfind("event: ", 0) == 0) one.event = text.substr(7);
      if (text.rfind("data: ", 0) == 0) one.data = text.substr(6);
      line = stop + 1;
    }
    heard.push_back(one);
    at = end + 2;
  }
  return heard;
}

inline uint64_t rev_of(const Heard& heard) {
  const auto parsed = Json::parse(heard.data);
  assert_true(parsed.ok());
  return static_cast<uint64_t>(parsed->view().get("rev").integer().value_or(0));
}

inline std::string member(const Heard& heard, const char* key) {
  const auto parsed = Json::parse(heard.data);
  assert_true(parsed.ok());
  return std::string(parsed->view().get(key).string().value_or(parsed->view().get(key).dump()));
}

struct World;

struct Client : Transport {
  explicit Client(World& w) : world(w) {}
  World& world;
  Session* session = nullptr;
  Framing framing = Framing::ws;
  int asked = 0;  // request_writable() calls since the last read
  std::optional<CloseReason> closed;
  bool breaks = false;  // an invariant, whenever it is told of something

  void request_writable() override {
    invariant(!breaks);
    assert_int_equal(asked, 0);  // once until the next collect()
    ++asked;
  }
  void close_session(CloseReason reason) override {
    assert_false(closed.has_value());
    closed = reason;
  }
  void say(const std::string& event, const std::string& data = "", const std::string& id = "");
  // All that is there, as a transport would: only when it was asked to, in writes of `bytes_max`.
  std::vector<Heard> read(size_t bytes_max = 64 << 10);
  Heard read_one();
  std::vector<std::string> events(size_t bytes_max = 64 << 10) {
    std::vector<std::string> names;
    for (const Heard& heard : read(bytes_max)) names.push_back(heard.event);
    return names;
  }
  void login(const std::string& user, const std::string& extra = "");
  void disconnect();
};

struct World : Backend {
  Time clock{1'000'000'000'000, 1'700'000'000'000};
  HubLimits limits;
  int64_t wake_ms = INT64_MAX;
  std::map<std::string, Identity> tokens;
  struct Call {
    std::string params;
    Reply reply;
  };
  std::vector<Call> submits, cancels;
  bool has_turns = false;
  uint64_t last_turn = 0;
  std::map<uint64_t, std::function<void(bool last, const Time& now)>> turns;
  std::vector<JobId> fetches;
  std::vector<std::string> fetch_users;
  std::vector<std::unique_ptr<Client>> clients;
  std::unique_ptr<Hub> hub = std::make_unique<Hub>(limits, *this);

  ~World() override {
    hub.reset();
    submits.clear();
    cancels.clear();
  }

  void limit(HubLimits wanted) {
    limits = wanted;
    hub = std::make_unique<Hub>(limits, *this);
  }

  Result<Identity> verify(std::string_view token, std::string_view, const Time&) override {
    const auto found = tokens.find(std::string(token));
    if (found == tokens.end()) return {Errc::unauthorized, "the token is not good", "token_invalid"};
    if (found->second.user == "busy") return {Errc::retry, "too many tokens at once: try again"};
    return found->second;
  }
  uint64_t wait_turn(size_t, const Time&, std::function<void(bool last, const Time& now)> turn) override {
    if (!has_turns) return 0;
    turns[++last_turn] = std::move(turn);
    return last_turn;
  }
  void forget_turn(uint64_t turn) override { turns.erase(turn); }
  void submit(std::string_view, std::string params, Reply reply) override { submits.push_back({std::move(params), std::move(reply)}); }
  void cancel(std::string_view, std::string params, Reply reply) override { cancels.push_back({std::move(params), std::move(reply)}); }
  void fetch(std::string_view user, const JobId& id) override {
    fetches.push_back(id);
    fetch_users.emplace_back(user);
  }
  void wake_at(int64_t mono_ms) override { wake_ms = mono_ms; }

  // Lets time pass as a loop does: stops at every time that was asked for.
  void pass(int64_t ms) {
    const int64_t end = clock.mono_ms() + ms;
    while (wake_ms <= end) {
      step(std::max<int64_t>(wake_ms - clock.mono_ms(), 0));
      hub->tick(clock);
    }
    step(end - clock.mono_ms());
  }
  void step(int64_t ms) {
    clock.mono_ns += ms * 1'000'000;
    clock.unix_ms += ms;
  }

  std::string token(const std::string& user, int64_t seconds = 3600, bool submit = true, bool any = false) {
    Identity who;
    who.user = user;
    who.expires_unix_s = clock.unix_ms / 1000 + seconds;
    who.ends_mono_ms = clock.mono_ms() + seconds * 1000;
    who.may_submit = who.may_cancel = submit;
    who.may_read_any = any;
    const std::string name = user + "-" + std::to_string(tokens.size());
    tokens[name] = who;
    return name;
  }

  Client& connect() {
    clients.push_back(std::make_unique<Client>(*this));
    clients.back()->session = &hub->open(*clients.back(), clock);
    return *clients.back();
  }
  Client& user(const std::string& name) {  // connected, authenticated and read
    Client& client = connect();
    client.login(name);
    return client;
  }
  Client& stream(const std::string& name, int64_t seconds = 3600) {
    clients.push_back(std::make_unique<Client>(*this));
    clients.back()->framing = Framing::sse;
    auto opened = hub->open_stream(*clients.back(), tokens[token(name, seconds)], clock);
    assert_true(opened.ok());
    clients.back()->session = *opened;
    return *clients.back();
  }

  void publish(unsigned number, uint64_t rev, JobState state = JobState::running, const std::string& owner = "alice", int list = -1) {
    const std::string text = snapshot(job(number), rev, state, owner);
    hub->publish({job(number), rev, state, list < 0 ? state != JobState::running : list != 0, owner, text}, clock);
  }
  void found(unsigned number, uint64_t rev, JobState state = JobState::running, const std::string& owner = "alice") {
    const std::string text = snapshot(job(number), rev, state, owner);
    hub->fetched(job(number), Event{job(number), rev, state, false, owner, text}, clock);
  }
  void not_found(unsigned number) { hub->fetched(job(number), {Errc::not_found, "the engine's own words for it"}, clock); }
};

inline void Client::say(const std::string& event, const std::string& data, const std::string& id) {
  session->on_message(
      "{\"event\":\"" + event + "\"" + (data.empty() ? "" : ",\"data\":" + data) + (id.empty() ? "" : ",\"id\":" + id) + "}", world.clock);
}

inline std::vector<Heard> Client::read(size_t bytes_max) {
  std::vector<Heard> heard;
  if (asked == 0 && !closed) return heard;
  for (bool more = true; more;) {
    std::string out = "kept";  // what the caller had there stays
    asked = 0;
    more = session->collect(out, bytes_max, world.clock);
    assert_int_equal(out.compare(0, 4, "kept"), 0);
    out.erase(0, 4);
    assert_true(!more || !out.empty());
    const auto part = framing == Framing::ws ? decode_ws(out) : decode_sse(out);
    assert_true(out.size() <= bytes_max || part.size() == 1);
    heard.insert(heard.end(), part.begin(), part.end());
  }
  return heard;
}

inline Heard Client::read_one() {
  const auto heard = read();
  assert_int_equal(heard.size(), 1);
  return heard.front();
}

inline void Client::login(const std::string& user, const std::string& extra) {
  say("authenticate", "{\"token\":\"" + world.token(user) + "\"" + extra + "}");
  read();
  assert_true(session->authenticated());
}

inline void Client::disconnect() {
  world.hub->close(*session);
  session = nullptr;
}

inline int make_world(void** state) {
  *state = new World;
  return 0;
}
inline int end_world(void** state) {
  delete static_cast<World*>(*state);
  return 0;
}
inline World& world_of(void** state) { return *static_cast<World*>(*state); }

inline std::string job_data(unsigned number, const std::string& extra = "") {
  return "{\"job_id\":\"" + job(number).text() + "\"" + extra + "}";
}

}  // namespace jobcast::plugin

#define TEST(name) cmocka_unit_test_setup_teardown(name, jobcast::plugin::make_world, jobcast::plugin::end_world)
