// An Event as the bytes of a record, for the ring and the state table alike: written here, read by jobcast/ring.h. Any thread.
#pragma once

#include "ipc/region.h"
#include "jobcast/ring.h"

namespace jobcast {

// One encoded record, ready to be copied in words.
struct RecordImage {
  alignas(8) unsigned char bytes[JOBCAST_RECORD_BYTES_MAX];
  [[nodiscard]] const jobcast_record& head() const { return *reinterpret_cast<const jobcast_record*>(bytes); }
};

// Asserts the limits of owner and snapshot: they are the publisher's own.
void encode_record(const Event& event, uint32_t slot, RecordImage& image);

[[nodiscard]] Event to_event(const jobcast_event& decoded);

}  // namespace jobcast
