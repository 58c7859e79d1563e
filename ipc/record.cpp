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
  Record record{{}, JOBCAST_RECORD_HEADER_BYTES + jobcast_fill(owner_bytes) + jobcast_fill(snapshot_bytes), event.owner, event.snapshot};
  const auto pair = [](uint32_t first, uint32_t second) { return std::bit_cast<uint64_t>(std::array<uint32_t, 2>{first, second}); };
  const auto kinds = std::bit_cast<uint32_t>(std::array<uint8_t, 4>{
      JOBCAST_RECORD_EVENT, static_cast<uint8_t>(event.state), static_cast<uint8_t>(event.list_changed ? JOBCAST_RECORD_LIST_CHANGED : 0),
      static_cast<uint8_t>(owner_bytes)});
  record.head[0] = pair(record.bytes, kinds);
  record.head[1] = pair(snapshot_bytes, slot);
  record.head[2] = pair(static_cast<uint32_t>(event.rev), static_cast<uint32_t>(event.rev >> 32));
  memcpy(&record.head[3], event.job.bytes.data(), event.job.bytes.size());
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
  copy_in(to, reinterpret_cast<const char*>(record.head.data()), sizeof record.head);
  store_text(store_text(to + JOBCAST_RECORD_HEADER_BYTES, record.owner), record.snapshot);
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
