// See latch.h. The engine's loop thread only.
#include "ipc/latch.h"

#include <cstring>
#include <string_view>

#include "base/json.h"
#include "ipc/doorbell.h"
#include "ipc/membarrier.h"
#include "ipc/shared_words.h"

namespace jobcast {
namespace {

constexpr uint64_t kExactMax = (uint64_t{1} << 53) - 1;
constexpr int kReportTries = 64;  // some microseconds: far more than a store needs to reach the other processor
constexpr int kMomentTries = 64;
constexpr int kTextTries = 8;  // a worker that outruns them gets its text read with the next sample

uint64_t number(const uint32_t& low, const uint32_t& high) {
  const uint64_t value = uint64_t{load_relaxed(high)} << 32 | load_relaxed(low);
  return value < kExactMax ? value : kExactMax;
}

// Whatever stands there as text that may go anywhere: control characters become blanks, bytes that are no UTF-8 become '?'.
std::string clean(const char* bytes, size_t size) {
  const std::string_view text(bytes, strnlen(bytes, size - 1));
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const auto character = text.substr(i, length);
    if (lead < 0x20 || lead == 0x7f) {
      out += ' ';
      ++i;
    } else if (character.size() == length && is_utf8(character)) {
      out += character;
      i += length;
    } else {
      out += '?';
      ++i;
    }
  }
  return out;
}

}  // namespace

Result<WorkerLatch> WorkerLatch::create() {
  auto memory = create_sealed("jobcast-latch", JOBCAST_PAGE_BYTES, true);
  if (!memory) return memory.error();
  auto bell = doorbell_pair();
  if (!bell) return bell.error();
  static const bool membarrier = membarrier_offered();  // one kernel, one answer
  auto& page = memory->map.as<jobcast_latch>();
  page.magic = JOBCAST_LATCH_MAGIC;
  page.layout_version = JOBCAST_LAYOUT_VERSION;
  page.flags = membarrier ? JOBCAST_LATCH_MEMBARRIER : 0;
  page.armed = 1;
  return WorkerLatch(std::move(*memory), std::move(bell->first), std::move(bell->second), membarrier);
}

WorkerLatch::WorkerLatch(SealedMemory memory, Fd doorbell, Fd child_doorbell, bool membarrier)
    : memory_(std::move(memory)), doorbell_(std::move(doorbell)), child_doorbell_(std::move(child_doorbell)), membarrier_(membarrier) {}

WorkerLatch::ChildEnds WorkerLatch::take_child_ends() { return {std::move(memory_.fd), std::move(child_doorbell_)}; }

std::optional<WorkerReport> WorkerLatch::sample() {
  last_.reports = 0;
  bool report = false, text = false;
  // Numbers that were read while the text stood still belong to it: together they are what the worker said at one moment. A worker that
  // changes its text without pause outruns the tries, and its numbers may then be some of the text before.
  for (int i = 0; i < kMomentTries; ++i) {
    text = sample_text() || text;
    report = sample_report() || report;
    // relaxed: if the numbers are newer than a text, they were read with acquire, and so this sees that text's sequence too.
    if (load_relaxed(memory_.map.as<jobcast_latch>().text_sequence) == text_sequence_) break;
  }
  acknowledged_ = cancel_acknowledged();
  if (!report && !text) return std::nullopt;
  return last_;
}

bool WorkerLatch::sample_report() {
  auto& page = memory_.map.as<jobcast_latch>();
  // The worker never writes the pair that we read, so news is always in the other one. acquire: so is what its `newest` names.
  const uint32_t pair = load_acquire(page.latest) & 1;
  if (pair == reading_) return false;
  reading_ = pair;
  // release: our reads of the pair we leave are done before the worker may write it.
  store_release(page.reading, pair);
  // As soon as the worker sees that, it leaves this pair alone; until then a report may change under us, and shows it.
  for (int i = 0; i < kReportTries; ++i)
    if (take_report(pair, false)) return true;
  // From here on at most the report that the worker is in the middle of still goes into this pair, and not where `newest` points.
  full_barrier();
  return take_report(pair, true);
}

// `settled`: nothing can be newer or older than what `newest` names, so it needs no comparison with the report before.
bool WorkerLatch::take_report(uint32_t pair, bool settled) {
  const auto& page = memory_.map.as<jobcast_latch>();
  // acquire: the report that it names is there.
  const jobcast_report& report = page.report[pair][load_acquire(page.newest[pair]) & 1];
  // acquire: so are the numbers of this count.
  const uint32_t end = load_acquire(report.end);
  const uint64_t done = number(report.done_low, report.done_high);
  const uint64_t total = number(report.total_low, report.total_high);
  // acquire fence, with the worker's release fence after `begin`: a number of a later report shows as a later `begin`.
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  if (load_relaxed(report.begin) != end) return false;
  if (!settled && static_cast<int32_t>(end - sequence_) <= 0) return false;
  last_.reports += end - sequence_;
  last_.done = done;
  last_.total = total;
  sequence_ = end;
  return true;
}

bool WorkerLatch::sample_text() {
  auto& page = memory_.map.as<jobcast_latch>();
  for (int i = 0; i < kTextTries; ++i) {
    // acquire: the copy that this sequence names is whole.
    const uint32_t sequence = load_acquire(page.text_sequence);
    if (sequence == text_sequence_) return false;
    jobcast_text copy;
    const auto* from = reinterpret_cast<const uint32_t*>(&page.text[sequence & 1]);
    auto* to = reinterpret_cast<uint32_t*>(&copy);
    for (size_t word = 0; word < sizeof copy / 4; ++word) to[word] = load_relaxed(from[word]);
    // acquire fence, with the worker's release fence before it overwrites a copy: a torn copy shows as a moved sequence.
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (load_relaxed(page.text_sequence) != sequence) continue;
    text_sequence_ = sequence;
    last_.phase = clean(reinterpret_cast<const char*>(copy.phase), sizeof copy.phase);
    last_.message = clean(reinterpret_cast<const char*>(copy.message), sizeof copy.message);
    return true;
  }
  return false;
}

bool WorkerLatch::arm() {
  auto& page = memory_.map.as<jobcast_latch>();
  store_relaxed(page.armed, 1);
  full_barrier();  // with the worker's between its report and its look at `armed`: one of the two sees the other's store
  if ((load_relaxed(page.latest) & 1) == reading_ && load_relaxed(page.text_sequence) == text_sequence_ &&
      cancel_acknowledged() == acknowledged_)
    return true;
  store_relaxed(page.armed, 0);
  return false;
}

void WorkerLatch::full_barrier() const {
  if (membarrier_)
    barrier_everywhere();  // for the worker too, if it registered; if it could not, it fences by itself
  else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

// relaxed: a lone flag. The acknowledgement's doorbell is unconditional, so it needs no arming.
void WorkerLatch::request_cancel() { store_relaxed(memory_.map.as<jobcast_latch>().cancel, 1); }
bool WorkerLatch::cancel_acknowledged() const { return load_relaxed(memory_.map.as<jobcast_latch>().cancel_seen) != 0; }

bool WorkerLatch::clear_doorbell() { return ::jobcast::clear_doorbell(doorbell_.get()); }

}  // namespace jobcast
