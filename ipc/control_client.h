// A blocking client of the control socket, for commands and tests: one request at a time. Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/handle.h"
#include "base/json.h"
#include "base/result.h"
#include "ipc/control.h"

namespace jobcast {

class ControlClient {
 public:
  // Errors: not_found (no such socket: no engine runs there), unauthorized (its mode), closed (nobody listens), invalid (path too long).
  [[nodiscard]] static Result<ControlClient> connect(const std::string& socket_path);

  // The whole answer, {"jsonrpc","id","result"}; get its "result". Errors: those of the method as the engine meant them; retry (the engine
  // did not take the request in `timeout_ms`, and does not carry it out), closed (no answer in `timeout_ms`, or none will come: the request
  // may be carried out), corrupt. After these three, connect anew.
  [[nodiscard]] Result<Json> call(std::string_view method, const Json& params, int timeout_ms = 10'000);
  // The same, but the result alone and as the very bytes that came: snapshots are passed on unchanged.
  [[nodiscard]] Result<std::string> call_raw(std::string_view method, const Json& params, int timeout_ms = 10'000);

  // What RegionReader::open() takes. The attachment ends with this connection: keep it.
  struct Attached {
    Fd region, block, doorbell;
    uint64_t rev = 0;  // the highest that was published by then: one above it is of another life of the state directory
  };
  [[nodiscard]] Result<Attached> attach(int timeout_ms = 10'000);

  // Readable at end of file when the engine is gone.
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  explicit ControlClient(Fd socket) : socket_(std::move(socket)) {}
  struct Answer {
    std::string line;
    Json document;
  };
  [[nodiscard]] Result<Answer> exchange(std::string_view method, const Json& params, int timeout_ms);
  [[nodiscard]] Result<void> wait(short events, int64_t deadline_ns) const;

  Fd socket_;
  LineBuffer lines_;
  int64_t last_id_ = 0;
  std::vector<Fd> fds_;  // that came with the answer being read
};

}  // namespace jobcast
