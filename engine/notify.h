// Tells a service manager how the daemon is: systemd's notify protocol (sd_notify(3)), without its library. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace jobcast::engine {

// Sends `state` ("READY=1") to the socket that $NOTIFY_SOCKET names; nothing where there is none or nobody listens.
void notify_manager(std::string_view state);

// How long the manager waits for a WATCHDOG=1 before it ends this process ($WATCHDOG_USEC); nullopt where it does not wait for one.
[[nodiscard]] std::optional<int64_t> watchdog_ms();

}  // namespace jobcast::engine
