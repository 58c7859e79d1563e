// See control.h.
#include "ipc/control.h"

#include <array>

namespace jobcast {
namespace {

struct CodeName {
  Errc code;
  int number;
};
constexpr std::array<CodeName, 8> kCodes = {{
    {Errc::invalid, -32602},
    {Errc::unauthorized, -32001},
    {Errc::not_found, -32004},
    {Errc::full, -32005},
    {Errc::retry, -32006},
    {Errc::closed, -32007},
    {Errc::corrupt, -32008},
    {Errc::internal, -32603},
}};

ParsedRequest refuse(std::string_view id, RpcFault fault, std::string_view message) {
  return {std::nullopt, fault_line(id, fault, message), fault == RpcFault::parse};
}

std::string error_text(std::string_view id, int code, std::string_view message, const Json* data) {
  Json error = Json::object();
  error.set("code", code).set("message", message);
  if (data) error.set_raw("data", data->dump());
  Json line = Json::object();
  line.set("jsonrpc", "2.0").set_raw("id", id.empty() ? "null" : id).set("error", std::move(error));
  return line.dump() + '\n';
}

}  // namespace

void LineBuffer::append(std::string_view bytes) {
  // What was handed out is dropped only here, so that the views stay valid until then.
  if (start_ > 0) {
    bytes_.erase(0, start_);
    searched_ -= start_;
    start_ = 0;
  }
  bytes_.append(bytes);
}

Result<std::optional<std::string_view>> LineBuffer::next() {
  const size_t end = bytes_.find('\n', searched_);
  const size_t length = (end == std::string::npos ? bytes_.size() : end) - start_;
  if (length > line_bytes_max_)
    return {Errc::full, "a line of the control socket has at most " + std::to_string(line_bytes_max_) + " bytes"};
  if (end == std::string::npos) {
    searched_ = bytes_.size();
    return std::optional<std::string_view>();
  }
  const std::string_view line(bytes_.data() + start_, length);
  start_ = searched_ = end + 1;
  return std::optional(line);
}

int rpc_code(Errc code) {
  for (const auto& entry : kCodes)
    if (entry.code == code) return entry.number;
  return rpc_code(Errc::internal);
}

ParsedRequest parse_request(std::string_view line) {
  auto parsed = Json::parse(line, {.bytes_max = kControlLineBytesMax});
  if (!parsed) return refuse("", RpcFault::parse, parsed.error().detail);
  const JsonView top = parsed->view();
  if (top.is_array()) return refuse("", RpcFault::request, "batches are not supported: send one object a line");
  const JsonView id = top.get("id");
  if (id.exists() && !id.integer() && !id.string() && !id.is_null())
    return refuse("", RpcFault::request, "id must be a whole number, a string or null");
  const std::string id_text = id.dump();
  if (top.get("jsonrpc").string() != "2.0") return refuse(id_text, RpcFault::request, "jsonrpc must be \"2.0\"");
  const auto method = top.get("method").string();
  if (!method) return refuse(id_text, RpcFault::request, "method must be a string");
  const JsonView params = top.get("params");
  if (params.exists() && !params.is_object()) return refuse(id_text, RpcFault::request, "params must be an object");
  Request request{std::string(*method), id_text, {}};
  request.document = std::move(*parsed);
  return {std::move(request), {}, false};
}

std::string request_line(int64_t id, std::string_view method, const Json& params) {
  Json line = Json::object();
  line.set("jsonrpc", "2.0").set("id", id).set("method", method);
  if (params.view().exists()) line.set_raw("params", params.dump());
  return line.dump() + '\n';
}

std::string result_line(std::string_view id, std::string_view result_json) {
  std::string line;
  line.reserve(id.size() + result_json.size() + 40);
  line.append(R"({"jsonrpc":"2.0","id":)").append(id).append(R"(,"result":)").append(result_json).append("}\n");
  return line;
}

std::string error_line(std::string_view id, const Error& error) {
  Json data = Json::object();
  data.set("code", name(error.code));
  if (!error.field.empty()) data.set("field", error.field);
  return error_text(id, rpc_code(error.code), error.detail, &data);
}

std::string fault_line(std::string_view id, RpcFault fault, std::string_view message) {
  return error_text(id, static_cast<int>(fault), message, nullptr);
}

Result<Response> parse_response(std::string_view line) {
  auto parsed = Json::parse(line, {.bytes_max = kControlLineBytesMax});
  const Error not_ours{Errc::corrupt, "the control socket answered with something that is no JSON-RPC answer", {}};
  if (!parsed) return not_ours;
  const JsonView top = parsed->view();
  const JsonView id = top.get("id"), error = top.get("error");
  const auto number = id.integer();
  if (top.get("jsonrpc").string() != "2.0" || (!number && !id.is_null()) || error.exists() == top.get("result").exists()) return not_ours;
  Response response;
  response.id = number.value_or(-1);
  if (error.exists()) {
    const auto code = error.get("code").integer();
    const auto message = error.get("message").string();
    if (!code || !message) return not_ours;
    Error meant{Errc::internal, std::string(*message), std::string(error.get("data").get("field").string().value_or(""))};
    if (*code == static_cast<int>(RpcFault::method) || *code == static_cast<int>(RpcFault::request) ||
        *code == static_cast<int>(RpcFault::parse))
      meant.code = Errc::invalid;
    for (const auto& entry : kCodes)
      if (entry.number == *code) meant.code = entry.code;
    response.error = std::move(meant);
  }
  response.document = std::move(*parsed);
  return response;
}

}  // namespace jobcast
