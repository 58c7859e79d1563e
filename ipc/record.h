// An Event as the bytes of a record, for the ring and the state table alike: written here, read by jobcast/ring.h. Any thread.
#pragma once

#include <array>
#include <string_view>

#include "ipc/region.h"
#include "jobcast/ring.h"

namespace jobcast {

// One record about to be written, to the slot and to the ring: its header, and where its texts lie.
struct Record {
  std::array<uint32_t, JOBCAST_RECORD_HEADER_BYTES / 4> head;  // struct jobcast_record, moved as the words it was made of
  [[nodiscard]] uint32_t bytes() const { return head[0]; }
  std::string_view owner, snapshot;
};

// Asserts the limits of owner and snapshot: they are the publisher's own. The texts are borrowed from `event`.
[[nodiscard]] Record to_record(const Event& event, uint32_t slot);
// To shared memory, aligned to 8, in relaxed words. The caller's fences order them.
void store_record(unsigned char* to, const Record& record);

[[nodiscard]] Event to_event(const jobcast_event& decoded);

}  // namespace jobcast
