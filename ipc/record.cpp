// See record.h. Any thread.
#include "ipc/record.h"

#include <cstring>

#include "base/invariant.h"

namespace jobcast {

static_assert(kOwnerBytesMax == JOBCAST_OWNER_BYTES_MAX && kSnapshotBytesMax == JOBCAST_SNAPSHOT_BYTES_MAX && kNoSlot == JOBCAST_NO_SLOT);
static_assert(static_cast<int>(JobState::scheduled) == JOBCAST_SCHEDULED && static_cast<int>(JobState::cancelled) == JOBCAST_CANCELLED);

void encode_record(const Event& event, uint32_t slot, RecordImage& image) {
  invariant(event.owner.size() <= kOwnerBytesMax && event.snapshot.size() <= kSnapshotBytesMax);
  const auto owner_bytes = static_cast<uint32_t>(event.owner.size());
  const auto snapshot_bytes = static_cast<uint32_t>(event.snapshot.size());
  jobcast_record head{};
  head.bytes = static_cast<uint32_t>(sizeof head) + jobcast_fill(owner_bytes) + jobcast_fill(snapshot_bytes);
  head.type = JOBCAST_RECORD_EVENT;
  head.state = static_cast<uint8_t>(event.state);
  head.flags = event.list_changed ? JOBCAST_RECORD_LIST_CHANGED : 0;
  head.owner_bytes = static_cast<uint8_t>(owner_bytes);
  head.snapshot_bytes = snapshot_bytes;
  head.slot = slot;
  head.rev_low = static_cast<uint32_t>(event.rev);
  head.rev_high = static_cast<uint32_t>(event.rev >> 32);
  memcpy(head.job_id, event.job.bytes.data(), sizeof head.job_id);
  memcpy(image.bytes, &head, sizeof head);

  // Each text's last eight bytes are zeroed first, so that its filling says nothing of the event before.
  const auto put = [](unsigned char* to, std::string_view text) {
    if (text.empty()) return;
    memset(to + jobcast_fill(static_cast<uint32_t>(text.size())) - 8, 0, 8);
    memcpy(to, text.data(), text.size());
  };
  put(image.bytes + sizeof head, event.owner);
  put(image.bytes + sizeof head + jobcast_fill(owner_bytes), event.snapshot);
}

Event to_event(const jobcast_event& decoded) {
  Event event;
  memcpy(event.job.bytes.data(), decoded.job_id, sizeof decoded.job_id);
  event.rev = decoded.rev;
  event.state = static_cast<JobState>(decoded.state);
  event.list_changed = decoded.list_changed != 0;
  event.owner = {decoded.owner, decoded.owner_bytes};
  event.snapshot = {decoded.snapshot, decoded.snapshot_bytes};
  return event;
}

const char* name(JobState state) {
  switch (state) {
    case JobState::scheduled:
      return "scheduled";
    case JobState::queued:
      return "queued";
    case JobState::running:
      return "running";
    case JobState::retrying:
      return "retrying";
    case JobState::completed:
      return "completed";
    case JobState::failed:
      return "failed";
    case JobState::cancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace jobcast
