// Any bytes in the region, while a reader is at work: it returns, stays inside the map, and hands out only events within their limits.
// The input is a program: each step writes some words somewhere in a small region, moves the positions, or puts a record at the tail; after
// each the reader drains, resyncs and arms. The map ends where the region does, so that ASan sees one byte too far.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/invariant.h"
#include "ipc/lane.h"
#include "ipc/state_table.h"

using namespace jobcast;

namespace {

constexpr uint32_t kRingBytes = 65536, kSlots = 16;

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  [[nodiscard]] bool empty() const { return at_ == end_; }
  uint32_t take(unsigned bytes) {
    uint32_t value = 0;
    for (; bytes > 0 && !empty(); --bytes) value = value << 8 | *at_++;
    return value;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

struct Map {
  uint32_t copies_offset = 0, ring_offset = 0;
  uint32_t bytes = jobcast_region_bytes(kRingBytes, kSlots, &copies_offset, &ring_offset);
  std::unique_ptr<unsigned char, decltype(&free)> data{static_cast<unsigned char*>(aligned_alloc(4096, bytes)), free};
  std::vector<unsigned char> pristine;

  Map() {
    memset(data.get(), 0, bytes);
    auto& head = region();
    head.magic = JOBCAST_REGION_MAGIC;
    head.layout_version = JOBCAST_LAYOUT_VERSION;
    head.region_bytes = bytes;
    head.table_offset = JOBCAST_PAGE_BYTES;
    head.slots = kSlots;
    head.copies_offset = copies_offset;
    head.ring_offset = ring_offset;
    head.ring_bytes = kRingBytes;
    LaneWriter lane(head, data.get() + ring_offset, (uint64_t{1} << 32) - 100);
    StateTableWriter table(reinterpret_cast<uint32_t*>(data.get() + JOBCAST_PAGE_BYTES), data.get() + copies_offset, kSlots);
    for (uint8_t i = 1; i <= 40; ++i) {
      Event event;
      event.job.bytes[15] = i % 8;
      event.rev = i;
      event.owner = "alice";
      event.snapshot = "{\"state\":\"running\",\"progress\":{\"done\":1200,\"total\":5000}}";
      const uint32_t slot = table.slot_for(event.job, false);
      const Record record = to_record(event, slot);
      (void)table.write(slot, record);
      (void)lane.append(record);
      table.commit();
      lane.commit();
      table.end_batch();
    }
    pristine.assign(data.get(), data.get() + bytes);
  }
  void restore() { memcpy(data.get(), pristine.data(), bytes); }
  [[nodiscard]] jobcast_region& region() const { return *reinterpret_cast<jobcast_region*>(data.get()); }
  [[nodiscard]] uint32_t* words() const { return reinterpret_cast<uint32_t*>(data.get()); }
};

void check(const jobcast_event& event) {
  invariant(event.owner_bytes <= JOBCAST_OWNER_BYTES_MAX && event.snapshot_bytes <= JOBCAST_SNAPSHOT_BYTES_MAX);
  invariant(event.state >= JOBCAST_SCHEDULED && event.state <= JOBCAST_CANCELLED);
  invariant(event.slot < kSlots || event.slot == JOBCAST_NO_SLOT);
  volatile char last = 0;
  if (event.owner_bytes) last = event.owner[event.owner_bytes - 1];
  if (event.snapshot_bytes) last = event.snapshot[event.snapshot_bytes - 1];
  (void)last;
}

void use(jobcast_lane& lane, jobcast_reader_block& block) {
  static std::vector<uint64_t> buffer(1024);
  jobcast_event event;
  for (int rounds = 0; rounds < 1200; ++rounds) {  // a ring holds no more records than that
    uint32_t filled = 0;
    const auto status = jobcast_lane_read(&lane, buffer.data(), static_cast<uint32_t>(buffer.size() * 8), 16, &filled);
    if (status != JOBCAST_LANE_RECORD) {
      if (status == JOBCAST_LANE_LAPPED) jobcast_lane_resync(&lane);
      break;
    }
    invariant(filled <= buffer.size() * 8 && rounds < 1100);
    for (uint32_t at = 0; at < filled;) {
      const uint32_t step = jobcast_record_decode(reinterpret_cast<const char*>(buffer.data()) + at, filled - at, lane.slots, &event);
      if (step == 0) break;
      check(event);
      at += step;
    }
  }
  for (uint32_t slot = 0; slot < lane.slots; ++slot)
    if (jobcast_slot_read(&lane, slot, buffer.data(), &event) == JOBCAST_LANE_RECORD) check(event);
  (void)jobcast_lane_arm(&lane, &block);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Map map;
  map.restore();
  Input in(data, size);
  jobcast_lane lane{};
  jobcast_reader_block block{};
  auto& region = map.region();
  const bool before_open = in.take(1) % 2;
  if (before_open) map.words()[in.take(1) % 96] = in.take(4);
  if (jobcast_lane_open(&lane, map.data.get(), map.bytes) != JOBCAST_OK) return 0;
  lane.position -= in.take(2);  // so that something lies before it
  for (int steps = 0; steps < 64 && !in.empty(); ++steps) {
    switch (in.take(1) % 7) {
      case 0: region.tail = in.take(4); break;
      case 1: region.intent = in.take(4); break;
      case 2: region.era = in.take(4); break;
      case 3:
        region.tail += in.take(1);
        region.intent = region.tail;
        break;
      case 4: map.words()[in.take(4) % (map.bytes / 4)] = in.take(4); break;
      case 5: map.words()[JOBCAST_PAGE_BYTES / 4 + in.take(1) % kSlots] = in.take(4); break;
      case 6: {  // a record of the input's own at the tail
        unsigned char* to = map.data.get() + map.ring_offset + (region.tail & 1023) * size_t{64};
        for (int i = 0; i < 40; ++i) to[i] = static_cast<unsigned char>(in.take(1));
        region.tail += 1 + in.take(1) % 67;
        region.intent = region.tail;
        break;
      }
    }
    use(lane, block);
  }
  return 0;
}
