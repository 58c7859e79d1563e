// See record.h. Any thread.
#include "ipc/record.h"

#include <bit>
#include <cstring>

#include "base/invariant.h"
#include "ipc/shared_words.h"

namespace jobcast {

static_assert(kOwnerBytesMax == JOBCAST_OWNER_BYTES_MAX && kSnapshotBytesMax == JOBCAST_SNAPSHOT_BYTES_MAX && kNoSlot == JOBCAST_NO_SLOT);
static_assert(offsetof(jobcast_record, bytes) == 0 && offsetof(jobcast_record, type) == 4 && offsetof(jobcast_record, state) == 5 &&
              offsetof(jobcast_record, flags) == 6 && offsetof(jobcast_record, owner_bytes) == 7 &&
              offsetof(jobcast_record, snapshot_bytes) == 8 && offsetof(jobcast_record, slot) == 12 &&
              offsetof(jobcast_record, rev_low) == 16 && offsetof(jobcast_record, rev_high) == 20 &&
              offsetof(jobcast_record, job_id) == 24);
static_assert(static_cast<int>(JobState::scheduled) == JOBCAST_SCHEDULED && static_cast<int>(JobState::cancelled) == JOBCAST_CANCELLED);

Record to_record(const Event& event, uint32_t slot) {
  invariant(event.owner.size() <= kOwnerBytesMax && event.snapshot.size() <= kSnapshotBytesMax);
  const auto owner_bytes = static_cast<uint32_t>(event.owner.size());
  const auto snapshot_bytes = static_cast<uint32_t>(event.snapshot.size());
  Record record{{}, event.owner, event.snapshot};
  auto& head = record.head;
  head[0] = JOBCAST_RECORD_HEADER_BYTES + jobcast_fill(owner_bytes) + jobcast_fill(snapshot_bytes);
  head[1] = std::bit_cast<uint32_t>(std::array<uint8_t, 4>{JOBCAST_RECORD_EVENT, static_cast<uint8_t>(event.state),
                                                           static_cast<uint8_t>(event.list_changed ? JOBCAST_RECORD_LIST_CHANGED : 0),
                                                           static_cast<uint8_t>(owner_bytes)});
  head[2] = snapshot_bytes;
  head[3] = slot;
  head[4] = static_cast<uint32_t>(event.rev);
  head[5] = static_cast<uint32_t>(event.rev >> 32);
  memcpy(&head[6], event.job.bytes.data(), event.job.bytes.size());
  return record;
}

namespace {

// The filling is zero, so that it says nothing of what stood there before. Returns where the next field begins.
unsigned char* store_text(unsigned char* to, std::string_view text) {
  const auto bytes = static_cast<uint32_t>(text.size());
  const uint32_t whole = bytes & ~7u;
  copy_in(to, text.data(), whole);
  if (whole != bytes) {
    char last[8] = {};
    memcpy(last, text.data() + whole, bytes - whole);
    copy_in(to + whole, last, sizeof last);
  }
  return to + jobcast_fill(bytes);
}

}  // namespace

void store_record(unsigned char* to, const Record& record) {
  auto* words = reinterpret_cast<uint32_t*>(to);
  for (size_t i = 0; i < record.head.size(); ++i) store_relaxed(words[i], record.head[i]);
  store_text(store_text(to + JOBCAST_RECORD_HEADER_BYTES, record.owner), record.snapshot);
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
    case JobState::scheduled: return "scheduled";
    case JobState::queued: return "queued";
    case JobState::running: return "running";
    case JobState::retrying: return "retrying";
    case JobState::completed: return "completed";
    case JobState::failed: return "failed";
    case JobState::cancelled: return "cancelled";
  }
  return "unknown";
}

}  // namespace jobcast
