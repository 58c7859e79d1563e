// The engine's end of the region: state table first, then lane, then at most one doorbell a reader. The engine's loop thread only.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/invariant.h"
#include "ipc/doorbell.h"
#include "ipc/lane.h"
#include "ipc/membarrier.h"
#include "ipc/process.h"
#include "ipc/region.h"
#include "ipc/sealed_memory.h"
#include "ipc/state_table.h"

namespace jobcast {
namespace {

struct AttachedReader {
  uint32_t id = 0;
  Mapping block;
  Fd doorbell;
  bool fenced = true;  // does without membarrier: needs the writer's fence
};

}  // namespace

struct RegionWriter::Impl {
  SealedMemory memory;
  LaneWriter lane;
  StateTableWriter table;
  std::vector<AttachedReader> readers;  // in no order
  uint32_t readers_max = 0;
  uint32_t fenced_readers = 0;
  bool membarrier = false;
  bool unflushed = false;  // something since the last flush()
  bool held_back = false;  // a slot lags behind the ring, whose newest records are not shown therefore
  uint64_t epoch = 0;
  Stats stats;

  // Slots first: whoever resyncs from a tail that includes a record finds its job's state, or a newer one, in the slot.
  void show() {
    if (std::exchange(held_back, false)) {
      table.commit();
      lane.commit();
    }
    table.end_batch();
  }
};

RegionWriter::RegionWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RegionWriter::RegionWriter(RegionWriter&&) noexcept = default;
RegionWriter& RegionWriter::operator=(RegionWriter&&) noexcept = default;
RegionWriter::~RegionWriter() = default;

Result<RegionWriter> RegionWriter::create(const RegionOptions& options) {
  uint32_t copies_offset = 0, ring_offset = 0;
  const uint32_t bytes = jobcast_region_bytes(options.ring_bytes, options.slots, &copies_offset, &ring_offset);
  if (bytes == 0) return {Errc::invalid, "ring_bytes must be a power of two from 64 KiB to 64 MiB, slots from 16 to 65536"};
  auto memory = create_sealed("jobcast-region", bytes, false);
  if (!memory) return memory.error();

  auto impl = std::make_unique<Impl>();
  impl->memory = std::move(*memory);
  random_bytes(&impl->epoch, sizeof impl->epoch);
  const uint64_t start = process_start_ticks(getpid()).value_or(0);

  auto& region = impl->memory.map.as<jobcast_region>();
  region.magic = JOBCAST_REGION_MAGIC;
  region.layout_version = JOBCAST_LAYOUT_VERSION;
  region.region_bytes = bytes;
  region.table_offset = JOBCAST_PAGE_BYTES;
  region.slots = options.slots;
  region.copies_offset = copies_offset;
  region.ring_offset = ring_offset;
  region.ring_bytes = options.ring_bytes;
  region.epoch_low = static_cast<uint32_t>(impl->epoch);
  region.epoch_high = static_cast<uint32_t>(impl->epoch >> 32);
  region.writer_pid = static_cast<uint32_t>(getpid());
  region.writer_start_low = static_cast<uint32_t>(start);
  region.writer_start_high = static_cast<uint32_t>(start >> 32);

  unsigned char* base = impl->memory.map.data();
  impl->lane = LaneWriter(region, base + ring_offset, options.first_position);
  impl->table = StateTableWriter(reinterpret_cast<uint32_t*>(base + JOBCAST_PAGE_BYTES), base + copies_offset, options.slots);
  impl->readers_max = options.readers_max;
  impl->membarrier = membarrier_register();
  return RegionWriter(std::move(impl));
}

void RegionWriter::publish(const Event& event) {
  Impl& my = *impl_;
  const uint32_t slot = my.table.slot_for(event.job, is_terminal(event.state));
  const Record record = to_record(event, slot);
  const bool later = slot != kNoSlot && !my.table.write(slot, record);
  my.unflushed = true;
  my.stats.records++;
  my.stats.bytes += record.bytes;
  const unsigned char* image = my.lane.append(record);
  if (later) {
    my.table.put(slot, image);
    my.held_back = true;
  }
  if (!my.held_back)
    // At once, and right behind the record: a single private store in between delays the tail by a tenth of its way.
    my.lane.commit();
  else if (my.lane.batch_is_long())
    my.show();
}

void RegionWriter::flush() {
  Impl& my = *impl_;
  if (!my.unflushed) return;
  my.show();
  my.unflushed = false;
  if (my.fenced_readers > 0)
    // seq_cst fence, with the reader's between its store of `armed` and its look at the tail: at least one sees the other's store.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
  else
    // Every reader arms with membarrier(2), which is that fence on both sides; only the compiler must keep the order.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  for (auto& reader : my.readers) {
    uint32_t& armed = reader.block.as<jobcast_reader_block>().armed;
    // The exchange makes it one doorbell an arming; acq_rel: nothing of the next batch moves before it.
    if (load_relaxed(armed) == 0 || __atomic_exchange_n(&armed, 0, __ATOMIC_ACQ_REL) == 0) continue;
    ring_doorbell(reader.doorbell.get());
    my.stats.doorbells++;
  }
}

Result<RegionWriter::Grant> RegionWriter::add_reader(bool with_membarrier) {
  Impl& my = *impl_;
  if (my.readers.size() >= my.readers_max) return {Errc::full, "all " + std::to_string(my.readers_max) + " reader places are taken"};
  uint32_t id = 0;
  while (std::any_of(my.readers.begin(), my.readers.end(), [&](const AttachedReader& reader) { return reader.id == id; })) ++id;
  auto memory = create_sealed("jobcast-reader", JOBCAST_PAGE_BYTES, true);
  if (!memory) return memory.error();
  auto bell = doorbell_pair();
  if (!bell) return bell.error();
  Fd region(fcntl(my.memory.fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!region) return {Errc::internal, "no descriptor left to hand out the region"};

  const bool fenced = !(with_membarrier && my.membarrier);
  auto& block = memory->map.as<jobcast_reader_block>();
  block.magic = JOBCAST_BLOCK_MAGIC;
  block.layout_version = JOBCAST_LAYOUT_VERSION;
  block.flags = fenced ? 0 : JOBCAST_BLOCK_MEMBARRIER;
  my.readers.push_back({id, std::move(memory->map), std::move(bell->first), fenced});
  my.fenced_readers += fenced;
  return Grant{id, std::move(region), std::move(memory->fd), std::move(bell->second)};
}

void RegionWriter::remove_reader(uint32_t reader) {
  Impl& my = *impl_;
  const auto found = std::find_if(my.readers.begin(), my.readers.end(), [&](const AttachedReader& one) { return one.id == reader; });
  invariant(found != my.readers.end());
  my.fenced_readers -= found->fenced;
  std::swap(*found, my.readers.back());
  my.readers.pop_back();
}

uint64_t RegionWriter::epoch() const { return impl_->epoch; }

RegionWriter::Stats RegionWriter::stats() const {
  Stats stats = impl_->stats;
  stats.readers = static_cast<uint32_t>(impl_->readers.size());
  stats.slots_used = impl_->table.used();
  return stats;
}

}  // namespace jobcast
