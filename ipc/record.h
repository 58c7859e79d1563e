// An Event as the bytes of a record, for the ring and the state table alike: written here, read by jobcast/ring.h. Any thread.
#pragma once

#include <array>
#include <cstring>
#include <string_view>

#include "ipc/region.h"
#include "jobcast/ring.h"

namespace jobcast {

// One record about to be written: its header, and where its texts lie.
struct Record {
  std::array<uint64_t, JOBCAST_RECORD_HEADER_BYTES / 8> head;  // struct jobcast_record, moved in the words it was made of
  uint32_t bytes;                                              // of all of it
  std::string_view owner, snapshot;
};

// Asserts the limits of owner and snapshot: they are the publisher's own. The texts are borrowed from `event`.
[[nodiscard]] Record to_record(const Event& event, uint32_t slot);
// To shared memory, aligned to 8, in relaxed words. The caller's fences order them.
void store_record(unsigned char* to, const Record& record);

// Its views lead to where those of `decoded` do. Filled in place: an Event that is moved in one piece right after waits for its parts.
inline void to_event(const jobcast_event& decoded, Event& event) {
  memcpy(event.job.bytes.data(), decoded.job_id, sizeof decoded.job_id);
  event.rev = decoded.rev;
  event.state = static_cast<JobState>(decoded.state);
  event.list_changed = decoded.list_changed != 0;
  event.owner = {decoded.owner, decoded.owner_bytes};
  event.snapshot = {decoded.snapshot, decoded.snapshot_bytes};
}

}  // namespace jobcast
