// A wake-up between two processes that need not trust each other: a SOCK_SEQPACKET pair that carries single bytes. Any thread.
// An eventfd would let a peer block us by clearing O_NONBLOCK on the shared file; here each call says MSG_DONTWAIT itself, and the
// other side's death is an end of file (docs/decisions/0003-seqpacket-doorbells.md).
#pragma once

#include <utility>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast {

[[nodiscard]] Result<std::pair<Fd, Fd>> doorbell_pair();

// Never blocks; a full socket is a doorbell that rings already, a closed one belongs to somebody dead.
void ring_doorbell(int fd);

// Takes what lies in the socket, a bounded number of bytes at a time. False: the other side is gone.
bool clear_doorbell(int fd);

}  // namespace jobcast
