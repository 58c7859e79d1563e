// The messages of the control socket: JSON-RPC 2.0, one object a line. Reading and writing of each stand here for both sides.
// docs/control-protocol.md is normative. Not thread-safe per object.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace jobcast {

constexpr size_t kControlLineBytesMax = 1 << 20;

// Cuts a byte stream into lines and never holds more than one line and one read.
class LineBuffer {
 public:
  explicit LineBuffer(size_t line_bytes_max = kControlLineBytesMax) : line_bytes_max_(line_bytes_max) {}

  void append(std::string_view bytes);
  // The next whole line without its newline, valid until the next call; nullopt: not there yet. Errors: full (a line without end; give up
  // the connection).
  [[nodiscard]] Result<std::optional<std::string_view>> next();

 private:
  size_t line_bytes_max_;
  std::string bytes_;
  size_t start_ = 0;     // of the line that comes next
  size_t searched_ = 0;  // no newline before this
};

// What JSON-RPC itself finds fault with.
enum class RpcFault : int { parse = -32700, request = -32600, method = -32601 };
[[nodiscard]] int rpc_code(Errc code);

struct Request {
  std::string method;
  std::string id;  // as JSON text, to be repeated; empty: a notification, never answered
  Json document;   // keeps params() alive
  // An object; where the request has none, a view that does not exist.
  [[nodiscard]] JsonView params() const { return document.view().get("params"); }
};

// One line as a request, or the line that refuses it.
struct ParsedRequest {
  std::optional<Request> request;
  std::string refusal;  // to be sent, newline included; empty when there is a request
  bool close = false;   // the peer does not speak this: close after the refusal
};
[[nodiscard]] ParsedRequest parse_request(std::string_view line);

// Each gives a whole line, newline included. `id` and `result_json` are JSON text.
[[nodiscard]] std::string request_line(int64_t id, std::string_view method, const Json& params);
[[nodiscard]] std::string result_line(std::string_view id, std::string_view result_json);
[[nodiscard]] std::string error_line(std::string_view id, const Error& error);
[[nodiscard]] std::string fault_line(std::string_view id, RpcFault fault, std::string_view message);

struct Response {
  int64_t id = 0;              // -1: the refusal of a line that had none
  std::optional<Error> error;  // as the other side meant it
  Json document;               // keeps result() alive
  [[nodiscard]] JsonView result() const { return document.view().get("result"); }
};
// Errors: corrupt (no answer of ours).
[[nodiscard]] Result<Response> parse_response(std::string_view line);

}  // namespace jobcast
