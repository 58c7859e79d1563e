// Headers and lines around JSON that is not touched.
#include "lws-plugin/frames.h"

#include <charconv>

namespace jobcast::plugin {
namespace {

constexpr std::string_view kEvent = "{\"event\":\"", kData = "\",\"data\":", kId = ",\"id\":";

void append_number(std::string& out, uint64_t value) {
  char text[20];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

}  // namespace

void append_ws_header(std::string& out, uint64_t payload_bytes, uint8_t opcode) {
  out += static_cast<char>(0x80 | opcode);
  int length_bytes = 0;
  if (payload_bytes < 126) {
    out += static_cast<char>(payload_bytes);
  } else if (payload_bytes <= 0xffff) {
    out += static_cast<char>(126);
    length_bytes = 2;
  } else {
    out += static_cast<char>(127);
    length_bytes = 8;
  }
  while (length_bytes-- > 0) out += static_cast<char>(payload_bytes >> (8 * length_bytes));
}

void append_event(std::string& out, Framing framing, std::string_view event, std::string_view data, std::string_view id, uint64_t rev) {
  if (framing == Framing::ws) {
    const size_t payload = kEvent.size() + event.size() + kData.size() + data.size() + 1 + (id.empty() ? 0 : kId.size() + id.size());
    out.reserve(out.size() + payload + 10);
    append_ws_header(out, payload);
    ((out += kEvent) += event) += kData;
    out += data;
    if (!id.empty()) (out += kId) += id;
    out += '}';
    return;
  }
  if (rev > 0) {
    out += "id: ";
    append_number(out, rev);
    out += '\n';
  }
  (((out += "event: ") += event) += "\ndata: ") += data;
  out += "\n\n";
}

size_t first_frame_bytes(Framing framing, std::string_view frames) {
  if (framing == Framing::sse) return frames.find("\n\n") + 2;
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(frames[at]); };
  uint64_t length = byte(1);
  const size_t header = length == 127 ? 10 : length == 126 ? 4 : 2;
  if (header > 2) {
    length = 0;
    for (size_t i = 2; i < header; ++i) length = length << 8 | byte(i);
  }
  return header + length;
}

}  // namespace jobcast::plugin
