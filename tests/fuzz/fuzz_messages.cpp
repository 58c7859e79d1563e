// Any bytes as the messages of a ws client, one a line, with an engine that answers now well and now badly. What comes back is whole frames
// of valid JSON with known events, and no other user's job.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/invariant.h"
#include "base/json.h"
#include "lws-plugin/hub.h"

namespace {

using namespace jobcast;
using namespace jobcast::plugin;

const JobId kMine = JobId::parse("0192f0c1-0000-7000-8000-000000000001").value();
const JobId kTheirs = JobId::parse("0192f0c1-0000-7000-8000-000000000002").value();
constexpr const char* kMineText = R"({"job_id":"0192f0c1-0000-7000-8000-000000000001","rev":1})";

struct Engine : Backend {
  std::vector<JobId> fetches;
  unsigned calls = 0;
  uint64_t wait_turn(size_t, const Time&, std::function<void(bool, const Time&)>) override { return 0; }
  void forget_turn(uint64_t) override {}
  Result<Identity> verify(std::string_view token, std::string_view, const Time& now) override {
    if (token != "alice" && token != "bob") return {Errc::unauthorized, "no", "token_invalid"};
    Identity who;
    who.user = token;
    who.expires_unix_s = now.unix_ms / 1000 + 100;
    who.begin(now);
    who.may_submit = who.may_cancel = true;
    return who;
  }
  void answer(const std::string& params, Reply reply) {
    const auto parsed = Json::parse(params);
    invariant(parsed.ok() && parsed->view().get("owner").string().has_value());
    if (++calls % 3 == 0) reply.failed({Errc::not_found, "the engine's words", "job_id"});
    if (calls % 3 == 1) reply.done(kMineText, true);
  }
  void submit(std::string_view, std::string params, Reply reply) override { answer(params, std::move(reply)); }
  void cancel(std::string_view, std::string params, Reply reply) override { answer(params, std::move(reply)); }
  void fetch(std::string_view, const JobId& job) override { fetches.push_back(job); }
  void wake_at(int64_t) override {}
};

struct Socket : Transport {
  bool closed = false;
  void request_writable() override {}
  void close_session(CloseReason) override {
    invariant(!closed);
    closed = true;
  }
};

void check_frames(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t frame = first_frame_bytes(Framing::ws, bytes);
    invariant(frame <= bytes.size() && static_cast<uint8_t>(bytes[0]) == 0x81);
    const size_t header = frame - 2 < 126 ? 2 : frame - 4 <= 0xffff ? 4 : 10;
    const auto parsed = Json::parse(bytes.substr(header, frame - header));
    invariant(parsed.ok() && parsed->view().get("event").string().has_value() && parsed->view().get("data").is_object());
    const auto event = *parsed->view().get("event").string();
    if (event == "job_update" || event == "job_completed") invariant(parsed->view().get("data").get("owner").string() != "carol");
    bytes.remove_prefix(frame);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Engine engine;
  Socket socket;
  HubLimits limits;
  limits.subscriptions_per_session_max = 2;
  limits.calls_per_session_max = 3;
  Hub hub(limits, engine);
  Time now{1'000'000'000, 1'700'000'000'000};
  const auto publish = [&](const JobId& job, uint64_t rev, const char* owner) {
    const std::string text = "{\"job_id\":\"" + job.text() + "\",\"rev\":" + std::to_string(rev) + ",\"owner\":\"" + owner + "\"}";
    hub.publish({job, rev, rev % 5 ? JobState::running : JobState::completed, rev % 2 == 0, owner, text}, now);
  };
  publish(kMine, 1, "alice");
  publish(kTheirs, 2, "carol");
  Session& session = hub.open(socket, now);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  std::string out;
  for (uint64_t turn = 1; !rest.empty(); ++turn) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    session.on_message(line, now);
    publish(turn % 2 ? kMine : kTheirs, 2 + turn, turn % 2 ? "alice" : "carol");
    if (turn % 4 == 0) {
      for (const JobId& job : std::exchange(engine.fetches, {})) {
        const std::string text = "{\"job_id\":\"" + job.text() + "\",\"owner\":\"bob\"}";
        turn % 8 ? hub.fetched(job, {Errc::retry, "away"}, now)
                 : hub.fetched(job, Event{job, 1, JobState::running, false, "bob", text}, now);
      }
    }
    now.mono_ns += 300'000'000;
    now.unix_ms += 300;
    hub.tick(now);
    out.clear();
    (void)session.collect(out, turn % 3 ? 64 << 10 : 100, now);
    check_frames(out);
  }
  hub.close(session);
  return 0;
}
