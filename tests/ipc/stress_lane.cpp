// One writer and three readers on one mapping, for ThreadSanitizer: every word they share is an atomic, and no record is torn or out of
// order. With JOBCAST_PLAIN_COPY the writer moves a payload by memcpy: the control, in which TSan must find the race.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/invariant.h"
#include "ipc/lane.h"
#include "ipc/state_table.h"
#include "tests/ipc/proof.h"

using namespace jobcast;
using namespace jobcast::test;

namespace {

constexpr uint32_t kRingBytes = 65536, kSlots = 16, kJobs = 12;

bool is_proven(const jobcast_event& decoded) {
  Event event;
  to_event(decoded, event);
  return proven(event);
}

void read(const unsigned char* map, size_t bytes, const std::atomic<bool>& stop, uint64_t& records, uint64_t& laps) {
  jobcast_lane lane;
  invariant(jobcast_lane_open(&lane, map, bytes) == JOBCAST_OK);
  std::vector<uint64_t> buffer(4096);
  jobcast_event decoded;
  uint64_t last = 0;
  bool stopping = false;
  for (;;) {
    uint32_t filled = 0;
    switch (jobcast_lane_read(&lane, buffer.data(), 32768, 16, &filled)) {
      case JOBCAST_LANE_EMPTY:
        if (stopping) return;
        stopping = stop;
        std::this_thread::yield();
        break;
      case JOBCAST_LANE_RECORD:
        for (uint32_t at = 0; at < filled;) {
          const uint32_t step = jobcast_record_decode(reinterpret_cast<const char*>(buffer.data()) + at, filled - at, kSlots, &decoded);
          invariant(step > 0 && is_proven(decoded));
          invariant(decoded.rev > last);
          last = decoded.rev;
          at += step;
          ++records;
        }
        break;
      case JOBCAST_LANE_LAPPED: {
        ++laps;
        jobcast_lane_resync(&lane);
        for (uint32_t slot = 0; slot < kSlots; ++slot) {
          const auto status = jobcast_slot_read(&lane, slot, buffer.data(), &decoded);
          invariant(status != JOBCAST_LANE_CORRUPT);
          invariant(status == JOBCAST_LANE_EMPTY || is_proven(decoded));
        }
        break;
      }
      case JOBCAST_LANE_CORRUPT: invariant(false); break;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t count = argc > 1 ? strtoull(argv[1], nullptr, 10) : 60'000;
  uint32_t copies_offset = 0, ring_offset = 0;
  const uint32_t bytes = jobcast_region_bytes(kRingBytes, kSlots, &copies_offset, &ring_offset);
  const std::unique_ptr<unsigned char, decltype(&free)> map(static_cast<unsigned char*>(aligned_alloc(4096, bytes)), free);
  memset(map.get(), 0, bytes);
  auto& region = *reinterpret_cast<jobcast_region*>(map.get());
  region.magic = JOBCAST_REGION_MAGIC;
  region.layout_version = JOBCAST_LAYOUT_VERSION;
  region.region_bytes = bytes;
  region.table_offset = JOBCAST_PAGE_BYTES;
  region.slots = kSlots;
  region.copies_offset = copies_offset;
  region.ring_offset = ring_offset;
  region.ring_bytes = kRingBytes;
  LaneWriter lane(region, map.get() + ring_offset, (uint64_t{1} << 32) - 2000);
  StateTableWriter table(reinterpret_cast<uint32_t*>(map.get() + JOBCAST_PAGE_BYTES), map.get() + copies_offset, kSlots);

  std::atomic<bool> stop = false;
  uint64_t records[3] = {}, laps[3] = {};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) readers.emplace_back([&, i] { read(map.get(), bytes, stop, records[i], laps[i]); });
  for (uint64_t rev = 1; rev <= count; ++rev) {
    const JobId id = job(static_cast<uint32_t>(rev / 2 % kJobs));
    const std::string snapshot = proof(id, rev, proof_bytes(rev));
    const uint32_t slot = table.slot_for(id, false);
    const Record record =
        to_record({.job = id, .rev = rev, .state = JobState::running, .list_changed = false, .owner = "alice", .snapshot = snapshot}, slot);
#ifdef JOBCAST_PLAIN_COPY
    memcpy(map.get() + copies_offset + size_t{slot} * 2 * JOBCAST_RECORD_BYTES_MAX, record.snapshot.data(), record.snapshot.size());
#endif
    const bool later = !table.write(slot, record);
    const unsigned char* image = lane.append(record);
    if (later) table.put(slot, image);
    if (rev % 3 == 0) {
      table.commit();
      lane.commit();
      table.end_batch();
    }
    if (rev % 64 == 0) std::this_thread::yield();
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  for (int i = 0; i < 3; ++i)
    printf("reader=%d records=%llu laps=%llu\n", i, static_cast<unsigned long long>(records[i]), static_cast<unsigned long long>(laps[i]));
  return records[0] > 0 ? 0 : 1;
}
