// Bytes with up to four descriptors over a Unix stream socket. Any thread; never blocks longer than the socket itself does.
// The descriptors travel with the first byte of the call that sent them.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast {

constexpr size_t kFdsMax = 4;

struct Received {
  size_t bytes = 0;
  std::array<Fd, kFdsMax> fds;  // close-on-exec
  size_t fd_count = 0;
};

// How many bytes went, perhaps not all; the descriptors go with them once at least one did. At least one byte and at most kFdsMax
// descriptors, which stay the caller's. Errors: retry (the socket is full), closed, internal.
[[nodiscard]] Result<size_t> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds = {});

// What is there. Errors: retry (nothing yet), closed (end of file), corrupt (more descriptors than kFdsMax: none is kept), internal.
[[nodiscard]] Result<Received> receive_with_fds(int socket, std::span<char> buffer);

}  // namespace jobcast
