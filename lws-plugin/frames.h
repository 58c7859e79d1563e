// Events as bytes on a wire: whole ws frames to be sent raw, and SSE blocks. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace jobcast::plugin {

// How a session's frames look on its wire.
enum class Framing : uint8_t {
  ws,   // whole unmasked text frames of {"event","data","id"?}, header included, ready to be sent as they are
  sse,  // id:, event:, data: lines and an empty one
};

// The header of a final, unmasked frame: 2, 4 or 10 bytes (RFC 6455 §5.2). `opcode`: 1 text, 8 close, 9 ping, 10 pong.
void append_ws_header(std::string& out, uint64_t payload_bytes, uint8_t opcode = 1);

// `data` is JSON text without newlines, `id` the request's id as JSON text or "" (ws only), `rev` the SSE id or 0 for none.
void append_event(std::string& out, Framing framing, std::string_view event, std::string_view data, std::string_view id = {},
                  uint64_t rev = 0);

// Of the first of frames that append_event() wrote, its bytes. `frames` is not empty.
[[nodiscard]] size_t first_frame_bytes(Framing framing, std::string_view frames);

}  // namespace jobcast::plugin
