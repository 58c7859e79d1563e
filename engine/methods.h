// What each method of the control socket means: its parameters read and checked, the engine asked, the answer written
// (docs/control-protocol.md). Loop thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control_server.h"
#include "engine/engine.h"

namespace jobcast::engine {

class Methods final : public ControlHandler {
 public:
  Methods(Loop& loop, const Config& config, Engine& engine, Store& store, Publisher& publisher);

  // For engine.stats; set once the server exists.
  void set_server(const ControlServer& server) { server_ = &server; }

  [[nodiscard]] unsigned cost(std::string_view method) const override;
  void call(const Request& request, Reply reply) override;

  [[nodiscard]] static std::vector<std::string_view> names();

 private:
  using Call = void (Methods::*)(JsonView params, Reply reply);
  struct Method {
    std::string_view name;
    Call call;
    unsigned cost;
  };
  static const std::vector<Method>& table();

  void submit(JsonView params, Reply reply);
  void get(JsonView params, Reply reply);
  void list(JsonView params, Reply reply);
  void cancel(JsonView params, Reply reply);
  void retry(JsonView params, Reply reply);
  void log(JsonView params, Reply reply);
  void result(JsonView params, Reply reply);
  void queues(JsonView params, Reply reply);
  void stats(JsonView params, Reply reply);
  void ping(JsonView params, Reply reply);
  void attach(JsonView params, Reply reply);

  Loop& loop_;
  const Config& config_;
  Engine& engine_;
  Store& store_;
  Publisher& publisher_;
  const ControlServer* server_ = nullptr;
  int64_t started_ns_;
};

}  // namespace jobcast::engine
