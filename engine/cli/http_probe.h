// The least of HTTP: does a server on this machine answer a GET with 200? Main thread; blocks for `timeout_ms` at most per step.
#pragma once

#include <cstdint>
#include <string>

namespace jobcast::cli {

[[nodiscard]] bool answers_ok(uint16_t port, const std::string& path, int timeout_ms);

}  // namespace jobcast::cli
