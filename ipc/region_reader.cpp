// A reader's end of the region: maps it, and lets jobcast/ring.h do the reading, a batch at a time. One reader thread.
#include "base/invariant.h"
#include "ipc/doorbell.h"
#include "ipc/membarrier.h"
#include "ipc/record.h"
#include "ipc/region.h"
#include "ipc/sealed_memory.h"
#include "ipc/shared_words.h"

namespace jobcast {
namespace {

constexpr uint32_t kBatchBytes = 32 * 1024;
constexpr unsigned kBatchRecords = 16;

}  // namespace

struct RegionReader::Impl {
  Mapping map;
  Mapping block_map;
  jobcast_lane lane{};
  Fd doorbell;  // empty once an event loop owns it
  int doorbell_fd = -1;
  bool membarrier = false;
  bool corrupt = false;  // a slot held bytes that no engine writes
  Stats stats;
  std::vector<uint32_t> seen;                                            // each slot's sequence when it was last read
  std::vector<JobId> jobs;                                               // and its job
  std::vector<uint64_t> batch = std::vector<uint64_t>(kBatchBytes / 8);  // private copies; 64-bit for their alignment
  uint32_t batch_at = 0, batch_end = 0;
  std::vector<uint64_t> slot_copy = std::vector<uint64_t>(JOBCAST_RECORD_BYTES_MAX / 8);

  [[nodiscard]] const unsigned char* batch_bytes() const { return reinterpret_cast<const unsigned char*>(batch.data()); }
  [[nodiscard]] uint32_t& armed() const { return block_map.as<jobcast_reader_block>().armed; }
};

RegionReader::RegionReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RegionReader::RegionReader(RegionReader&&) noexcept = default;
RegionReader& RegionReader::operator=(RegionReader&&) noexcept = default;
RegionReader::~RegionReader() = default;

Result<RegionReader> RegionReader::open(Fd region, Fd block, Fd doorbell) {
  auto map = map_sealed(region, Access::read, JOBCAST_PAGE_BYTES, UINT32_MAX);
  if (!map) return map.error();
  auto block_map = map_sealed(block, Access::read_write, JOBCAST_PAGE_BYTES, JOBCAST_PAGE_BYTES);
  if (!block_map) return block_map.error();

  auto impl = std::make_unique<Impl>();
  impl->map = std::move(*map);
  impl->block_map = std::move(*block_map);
  const auto& head = impl->map.as<jobcast_region>();
  const int opened = jobcast_lane_open(&impl->lane, impl->map.data(), impl->map.bytes());
  if (opened == JOBCAST_INVALID)
    return {Errc::invalid, "the engine's shared memory has layout version " + std::to_string(load_relaxed(head.layout_version)) +
                               ", this program reads version " + std::to_string(JOBCAST_LAYOUT_VERSION) +
                               ": install engine and reader of the same release"};
  const auto& own = impl->block_map.as<jobcast_reader_block>();
  if (opened != JOBCAST_OK || own.magic != JOBCAST_BLOCK_MAGIC || own.layout_version != JOBCAST_LAYOUT_VERSION)
    return {Errc::corrupt, "the shared memory is not a region of jobcast, or its header is damaged"};
  impl->membarrier = (own.flags & JOBCAST_BLOCK_MEMBARRIER) != 0;
  if (impl->membarrier && !membarrier_offered())
    return {Errc::internal, "membarrier(2) is refused here, though the engine was told that it works: attach without it"};
  impl->seen.resize(impl->lane.slots);
  impl->jobs.resize(impl->lane.slots);
  impl->doorbell_fd = doorbell.get();
  impl->doorbell = std::move(doorbell);
  return RegionReader(std::move(impl));
}

RegionReader::Drained RegionReader::next(Event& event) {
  Impl& my = *impl_;
  if (my.corrupt) return Drained::corrupt;
  if (my.batch_at == my.batch_end) {
    my.batch_at = 0;
    switch (jobcast_lane_read(&my.lane, my.batch.data(), kBatchBytes, kBatchRecords, &my.batch_end)) {
      case JOBCAST_LANE_EMPTY: return Drained::empty;
      case JOBCAST_LANE_RECORD: break;
      case JOBCAST_LANE_LAPPED: my.stats.laps++; return Drained::lapped;
      case JOBCAST_LANE_CORRUPT: my.corrupt = true; return Drained::corrupt;
    }
  }
  jobcast_event decoded;
  const uint32_t bytes = jobcast_record_decode(my.batch_bytes() + my.batch_at, my.batch_end - my.batch_at, my.lane.slots, &decoded);
  if (bytes == 0) {
    my.corrupt = true;
    return Drained::corrupt;
  }
  my.batch_at += bytes;
  my.stats.records++;
  to_event(decoded, event);
  return Drained::more;
}

void RegionReader::begin_resync() {
  impl_->batch_at = impl_->batch_end = 0;
  jobcast_lane_resync(&impl_->lane);
}

uint32_t RegionReader::slots() const { return impl_->lane.slots; }

bool RegionReader::slot_changed(uint32_t slot) const {
  invariant(slot < impl_->lane.slots);
  // relaxed: a hint; read_slot() orders what it reads, and a later write also comes over the ring.
  return load_relaxed(impl_->lane.sequences[slot]) != impl_->seen[slot];
}

bool RegionReader::read_slot(uint32_t slot, Event& event) {
  Impl& my = *impl_;
  invariant(slot < my.lane.slots);
  // relaxed: read before the slot, so that a write in between only makes it look changed once more.
  const uint32_t sequence = load_relaxed(my.lane.sequences[slot]);
  jobcast_event decoded;
  switch (jobcast_slot_read(&my.lane, slot, my.slot_copy.data(), &decoded)) {
    case JOBCAST_LANE_RECORD: break;
    case JOBCAST_LANE_CORRUPT: my.corrupt = true; return false;
    case JOBCAST_LANE_EMPTY:
    case JOBCAST_LANE_LAPPED: return false;
  }
  to_event(decoded, event);
  my.seen[slot] = sequence;
  my.jobs[slot] = event.job;
  return true;
}

const JobId* RegionReader::slot_job(uint32_t slot) const {
  invariant(slot < impl_->lane.slots);
  return impl_->seen[slot] != 0 ? &impl_->jobs[slot] : nullptr;
}

bool RegionReader::table_is_full() const {
  // The writer takes fresh slots in their order, and none is ever free again. relaxed: whoever read a slot that changed its job has with it
  // acquired the first use of the last one.
  return load_relaxed(impl_->lane.sequences[impl_->lane.slots - 1]) != 0;
}

bool RegionReader::arm() {
  Impl& my = *impl_;
  if (my.batch_at != my.batch_end) return false;
  my.stats.arms++;
  if (!my.membarrier) return jobcast_lane_arm(&my.lane, &my.block_map.as<jobcast_reader_block>()) != 0;
  store_relaxed(my.armed(), 1);
  // The fence here and the one that the writer leaves out, see RegionWriter::flush().
  barrier_everywhere();
  if (load_relaxed(my.lane.region->tail) == my.lane.position) return true;
  store_relaxed(my.armed(), 0);
  return false;
}

int RegionReader::doorbell_fd() const { return impl_->doorbell_fd; }
bool RegionReader::clear_doorbell() { return ::jobcast::clear_doorbell(impl_->doorbell_fd); }

int RegionReader::release_doorbell() { return impl_->doorbell.release(); }

uint64_t RegionReader::epoch() const { return uint64_t{impl_->lane.epoch_high} << 32 | impl_->lane.epoch_low; }
RegionReader::Stats RegionReader::stats() const { return impl_->stats; }

}  // namespace jobcast
