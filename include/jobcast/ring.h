/* Read the region of a running engine: its lane (broadcast ring) and its state table. C11 and C++, header only, no library.
 *
 * The descriptors come from the control socket's `attach` (docs/control-protocol.md). Map the first one read-only and the second, the
 * reader's block, read-write; poll the third, the doorbell. Then:
 *
 *   struct jobcast_lane lane;
 *   if (jobcast_lane_open(&lane, map, bytes) != JOBCAST_OK) …             // a stranger's layout, or not a region at all
 *   jobcast_lane_resync(&lane);                                            // from here on; then read every slot once
 *   for (uint32_t s = 0; s < lane.slots; s++) if (jobcast_slot_read(&lane, s, buffer, &event) == JOBCAST_LANE_RECORD) …
 *   for (;;) switch (jobcast_lane_read(&lane, buffer, sizeof buffer, 16, &filled)) {
 *     case JOBCAST_LANE_RECORD:  walk `buffer` with jobcast_record_decode(); break;
 *     case JOBCAST_LANE_EMPTY:   if (jobcast_lane_arm(&lane, block)) poll the doorbell, receive its bytes; break;
 *     case JOBCAST_LANE_LAPPED:  events were lost: jobcast_lane_resync() and read every slot again; break;
 *     case JOBCAST_LANE_CORRUPT: drop the region and attach anew; }
 *
 * Everything in shared memory is copied before it is looked at and validated before it is believed: whatever bytes stand there, no
 * function reads outside the map, and each returns after a bounded number of steps. A lane belongs to one thread. What each memory
 * order is for stands in docs/shared-memory.md.
 */
#ifndef JOBCAST_RING_H
#define JOBCAST_RING_H

#include "jobcast/layout.h"
#include "jobcast/status.h"

#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
extern "C" {
#endif

/* Payload is moved in the machine's own word: one word never tears, and nothing relies on more than that. */
typedef uintptr_t jobcast_word;

enum jobcast_lane_status { JOBCAST_LANE_EMPTY = 0, JOBCAST_LANE_RECORD = 1, JOBCAST_LANE_LAPPED = 2, JOBCAST_LANE_CORRUPT = 3 };

enum { JOBCAST_SLOT_TRIES = 16 };

/* A reader's place, in its private memory: no geometry is ever read twice from the region. */
struct jobcast_lane {
  const unsigned char* map;
  const struct jobcast_region* region;
  const uint32_t* sequences; /* uint32_t[slots] in the region */
  const unsigned char* copies;
  const unsigned char* ring;
  uint32_t ring_units;
  uint32_t slots;
  uint32_t position; /* next unit to read */
  uint32_t tail;     /* as last seen: looked at again when position is there, for each look takes its line from the writer */
  uint32_t era;      /* as of position, or one more */
  uint32_t epoch_low, epoch_high;
};

/* One visible change of one job. The pointers lead into the buffer it was decoded from and are not NUL-terminated. */
struct jobcast_event {
  uint8_t job_id[16];
  uint64_t rev;
  uint32_t slot; /* JOBCAST_NO_SLOT: not in the state table */
  uint32_t owner_bytes;
  uint32_t snapshot_bytes;
  uint8_t state; /* enum jobcast_job_state */
  uint8_t list_changed;
  const char* owner;
  const char* snapshot;
};

static inline uint32_t jobcast_fill(uint32_t bytes) { return (bytes + 7u) & ~7u; }
static inline uint32_t jobcast_units(uint32_t bytes) { return bytes / JOBCAST_UNIT_BYTES + (bytes % JOBCAST_UNIT_BYTES != 0); }

/* Sixteen bytes at a time, in assembly because C has no relaxed access of that size. The compiler sees no race, and the processor has none
 * that matters: nothing relies on the order or the size of the single accesses to a payload, only on the fences around them. The
 * sanitizers would see nothing at all, so under them every word is an atomic. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define JOBCAST_SANITIZED
#endif
#elif defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define JOBCAST_SANITIZED
#endif
#if defined(__x86_64__) && defined(__SSE2__) && !defined(JOBCAST_SANITIZED)
#define JOBCAST_COPY_64(to, from)                                                                          \
  __asm__ volatile(                                                                                        \
      "movdqu (%1), %%xmm0\n\tmovdqu 16(%1), %%xmm1\n\tmovdqu 32(%1), %%xmm2\n\tmovdqu 48(%1), %%xmm3\n\t" \
      "movdqu %%xmm0, (%0)\n\tmovdqu %%xmm1, 16(%0)\n\tmovdqu %%xmm2, 32(%0)\n\tmovdqu %%xmm3, 48(%0)"     \
      :                                                                                                    \
      : "r"(to), "r"(from)                                                                                 \
      : "memory", "xmm0", "xmm1", "xmm2", "xmm3")
#endif

/* From shared to private memory: `bytes` is a multiple of 8, both are aligned to 8. The caller's fences order it. */
static inline void jobcast_copy_out(void* to, const void* from, uint32_t bytes) {
  unsigned char* target = (unsigned char*)to;
  const unsigned char* source = (const unsigned char*)from;
#ifdef JOBCAST_COPY_64
  for (; bytes >= 64; bytes -= 64, target += 64, source += 64) JOBCAST_COPY_64(target, source);
#endif
  for (; bytes > 0; bytes -= (uint32_t)sizeof(jobcast_word), target += sizeof(jobcast_word), source += sizeof(jobcast_word)) {
    const jobcast_word word = __atomic_load_n((const jobcast_word*)(const void*)source, __ATOMIC_RELAXED);
    __builtin_memcpy(target, &word, sizeof word);
  }
}

/* The one geometry for a ring and a number of slots; 0 when they are out of range. */
static inline uint32_t jobcast_region_bytes(uint32_t ring_bytes, uint32_t slots, uint32_t* copies_offset, uint32_t* ring_offset) {
  if (ring_bytes < JOBCAST_RING_BYTES_MIN || ring_bytes > JOBCAST_RING_BYTES_MAX || (ring_bytes & (ring_bytes - 1u)) != 0) return 0;
  if (slots < JOBCAST_SLOTS_MIN || slots > JOBCAST_SLOTS_MAX) return 0;
  const uint32_t page = JOBCAST_PAGE_BYTES;
  *copies_offset = page + (slots * 4u + page - 1u) / page * page;
  *ring_offset = *copies_offset + (slots * 2u * JOBCAST_RECORD_BYTES_MAX + page - 1u) / page * page;
  return *ring_offset + ring_bytes;
}

/* Checks all of the header that will be believed. JOBCAST_OK, JOBCAST_INVALID (a layout of another version: map->layout_version says
 * which) or JOBCAST_CORRUPT. The lane starts at the tail. */
static inline int jobcast_lane_open(struct jobcast_lane* lane, const void* map, size_t map_bytes) {
  const struct jobcast_region* region = (const struct jobcast_region*)map;
  if (map_bytes < JOBCAST_PAGE_BYTES) return JOBCAST_CORRUPT;
  if (__atomic_load_n(&region->magic, __ATOMIC_RELAXED) != JOBCAST_REGION_MAGIC) return JOBCAST_CORRUPT;
  if (__atomic_load_n(&region->layout_version, __ATOMIC_RELAXED) != JOBCAST_LAYOUT_VERSION) return JOBCAST_INVALID;
  const uint32_t ring_bytes = __atomic_load_n(&region->ring_bytes, __ATOMIC_RELAXED);
  const uint32_t slots = __atomic_load_n(&region->slots, __ATOMIC_RELAXED);
  uint32_t copies_offset = 0, ring_offset = 0;
  const uint32_t bytes = jobcast_region_bytes(ring_bytes, slots, &copies_offset, &ring_offset);
  if (bytes == 0 || bytes != map_bytes || __atomic_load_n(&region->region_bytes, __ATOMIC_RELAXED) != bytes ||
      __atomic_load_n(&region->table_offset, __ATOMIC_RELAXED) != JOBCAST_PAGE_BYTES ||
      __atomic_load_n(&region->copies_offset, __ATOMIC_RELAXED) != copies_offset ||
      __atomic_load_n(&region->ring_offset, __ATOMIC_RELAXED) != ring_offset)
    return JOBCAST_CORRUPT;
  lane->map = (const unsigned char*)map;
  lane->region = region;
  lane->sequences = (const uint32_t*)(const void*)(lane->map + JOBCAST_PAGE_BYTES);
  lane->copies = lane->map + copies_offset;
  lane->ring = lane->map + ring_offset;
  lane->ring_units = ring_bytes / JOBCAST_UNIT_BYTES;
  lane->slots = slots;
  lane->epoch_low = __atomic_load_n(&region->epoch_low, __ATOMIC_RELAXED);
  lane->epoch_high = __atomic_load_n(&region->epoch_high, __ATOMIC_RELAXED);
  lane->position = lane->tail = __atomic_load_n(&region->tail, __ATOMIC_ACQUIRE);
  lane->era = __atomic_load_n(&region->era, __ATOMIC_RELAXED);
  return JOBCAST_OK;
}

/* Goes on from the newest record. Whatever was published before it stands in the slots: read them all after this call. */
static inline void jobcast_lane_resync(struct jobcast_lane* lane) {
  /* acquire: the slots of everything before this tail are seen by the reads that follow. */
  lane->position = lane->tail = __atomic_load_n(&lane->region->tail, __ATOMIC_ACQUIRE);
  lane->era = __atomic_load_n(&lane->region->era, __ATOMIC_RELAXED);
}

/* Reads the record at `image`, private memory of which `image_bytes` may be looked at. Its length in whole units, or 0: no record of ours.
 */
static inline uint32_t jobcast_record_decode(const void* image, uint32_t image_bytes, uint32_t slots, struct jobcast_event* event) {
  /* Field by field: the image was just written, and a wider look at it would wait until its pieces are in the cache. */
  const char* head = (const char*)image;
  uint32_t bytes, snapshot_bytes, slot, rev_low, rev_high;
  if (image_bytes < sizeof(struct jobcast_record)) return 0;
  const uint8_t type = (uint8_t)head[offsetof(struct jobcast_record, type)];
  const uint8_t state = (uint8_t)head[offsetof(struct jobcast_record, state)];
  const uint8_t flags = (uint8_t)head[offsetof(struct jobcast_record, flags)];
  const uint8_t owner_bytes = (uint8_t)head[offsetof(struct jobcast_record, owner_bytes)];
  __builtin_memcpy(&bytes, head + offsetof(struct jobcast_record, bytes), sizeof bytes);
  __builtin_memcpy(&snapshot_bytes, head + offsetof(struct jobcast_record, snapshot_bytes), sizeof snapshot_bytes);
  __builtin_memcpy(&slot, head + offsetof(struct jobcast_record, slot), sizeof slot);
  __builtin_memcpy(&rev_low, head + offsetof(struct jobcast_record, rev_low), sizeof rev_low);
  __builtin_memcpy(&rev_high, head + offsetof(struct jobcast_record, rev_high), sizeof rev_high);
  if (type != JOBCAST_RECORD_EVENT || state < JOBCAST_SCHEDULED || state > JOBCAST_CANCELLED) return 0;
  if (owner_bytes > JOBCAST_OWNER_BYTES_MAX || snapshot_bytes > JOBCAST_SNAPSHOT_BYTES_MAX) return 0;
  if (slot != JOBCAST_NO_SLOT && slot >= slots) return 0;
  if (bytes != sizeof(struct jobcast_record) + jobcast_fill(owner_bytes) + jobcast_fill(snapshot_bytes) || bytes > image_bytes) return 0;
  __builtin_memcpy(event->job_id, head + offsetof(struct jobcast_record, job_id), sizeof event->job_id);
  event->rev = (uint64_t)rev_high << 32 | rev_low;
  event->slot = slot;
  event->state = state;
  event->list_changed = (flags & JOBCAST_RECORD_LIST_CHANGED) != 0;
  event->owner_bytes = owner_bytes;
  event->snapshot_bytes = snapshot_bytes;
  event->owner = head + sizeof(struct jobcast_record);
  event->snapshot = event->owner + jobcast_fill(owner_bytes);
  return jobcast_units(bytes) * JOBCAST_UNIT_BYTES;
}

/* Copies at most `records_max` records, and no more than fit, into `buffer` (aligned to 8, at least JOBCAST_RECORD_BYTES_MAX bytes), one
 * after the other, each filled up to a whole unit. JOBCAST_LANE_RECORD: *filled bytes are there. Otherwise nothing is, and the lane
 * stands where it stood. */
static inline enum jobcast_lane_status jobcast_lane_read(struct jobcast_lane* lane, void* buffer, uint32_t buffer_bytes,
                                                         uint32_t records_max, uint32_t* filled) {
  const uint32_t mask = lane->ring_units - 1u;
  uint32_t position = lane->position, used = 0, sane = 1;
  /* acquire: the records before this tail are whole, unless they were overwritten since (see below). */
  if (lane->tail == position) lane->tail = __atomic_load_n(&lane->region->tail, __ATOMIC_ACQUIRE);
  const uint32_t tail = lane->tail;
  *filled = 0;
  while (position != tail && records_max > 0 && buffer_bytes - used >= JOBCAST_RECORD_BYTES_MAX) {
    const uint32_t index = position & mask;
    const unsigned char* source = lane->ring + (size_t)index * JOBCAST_UNIT_BYTES;
    unsigned char* target = (unsigned char*)buffer + used;
    const uint32_t bytes = __atomic_load_n((const uint32_t*)(const void*)source, __ATOMIC_RELAXED);
    const uint8_t type = __atomic_load_n(source + offsetof(struct jobcast_record, type), __ATOMIC_RELAXED);
    const uint32_t units = jobcast_units(bytes);
    if (bytes < sizeof(struct jobcast_record) || units > tail - position || units > lane->ring_units - index) {
      sane = 0;
      break;
    }
    if (type == JOBCAST_RECORD_PADDING) { /* only from somewhere inside the ring to its end */
      if (index == 0 || index + units != lane->ring_units) {
        sane = 0;
        break;
      }
    } else {
      uint32_t copied = 0;
      if (bytes <= JOBCAST_RECORD_BYTES_MAX) {
        jobcast_copy_out(target, source, units * JOBCAST_UNIT_BYTES); /* whole units: what is behind the record means nothing */
        __builtin_memcpy(&copied, target, sizeof copied);
      }
      if (copied != bytes) { /* too long, or not the length that was checked: overtaken meanwhile, or no record of ours */
        sane = 0;
        break;
      }
      used += units * JOBCAST_UNIT_BYTES;
      records_max--;
    }
    position += units;
  }
  /* acquire fence, with the writer's release fence after `intent`: if any word above came from a later record, its intent is seen here.
   * The era, stored before the tail, tells of a reader that slept for 2^32 units and would find intent where it was. */
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  const uint32_t era = __atomic_load_n(&lane->region->era, __ATOMIC_RELAXED);
  if (era - lane->era > 1u || __atomic_load_n(&lane->region->intent, __ATOMIC_RELAXED) - lane->position > lane->ring_units)
    return JOBCAST_LANE_LAPPED;
  if (!sane) return JOBCAST_LANE_CORRUPT;
  lane->era = era;
  lane->position = position;
  *filled = used;
  return used > 0 ? JOBCAST_LANE_RECORD : JOBCAST_LANE_EMPTY;
}

/* The newest state of the slot's job, copied into `buffer` (aligned to 8, JOBCAST_RECORD_BYTES_MAX bytes). JOBCAST_LANE_RECORD;
 * JOBCAST_LANE_EMPTY: never used, or rewritten JOBCAST_SLOT_TRIES times meanwhile (the ring then carries it); JOBCAST_LANE_CORRUPT. */
static inline enum jobcast_lane_status jobcast_slot_read(const struct jobcast_lane* lane, uint32_t slot, void* buffer,
                                                         struct jobcast_event* event) {
  if (slot >= lane->slots) return JOBCAST_LANE_EMPTY;
  for (unsigned i = 0; i < JOBCAST_SLOT_TRIES; i++) {
    /* acquire: the copy that this sequence names is whole. */
    const uint32_t sequence = __atomic_load_n(lane->sequences + slot, __ATOMIC_ACQUIRE);
    if (sequence == 0) return JOBCAST_LANE_EMPTY;
    const unsigned char* copy = lane->copies + (size_t)(slot * 2u + (sequence & 1u)) * JOBCAST_RECORD_BYTES_MAX;
    struct jobcast_record head;
    jobcast_copy_out(buffer, copy, sizeof head);
    __builtin_memcpy(&head, buffer, sizeof head);
    const uint32_t sane = head.bytes >= sizeof head && head.bytes <= JOBCAST_RECORD_BYTES_MAX && head.bytes % 8u == 0;
    if (sane) jobcast_copy_out((unsigned char*)buffer + sizeof head, copy + sizeof head, head.bytes - (uint32_t)sizeof head);
    /* acquire fence, with the writer's release fence before it overwrites a copy: a torn copy shows as a moved sequence. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if (__atomic_load_n(lane->sequences + slot, __ATOMIC_RELAXED) != sequence) continue;
    if (!sane || jobcast_record_decode(buffer, JOBCAST_RECORD_BYTES_MAX, lane->slots, event) == 0) return JOBCAST_LANE_CORRUPT;
    return JOBCAST_LANE_RECORD;
  }
  return JOBCAST_LANE_EMPTY;
}

/* Asks for one doorbell at the next publish. 1: sleep on the doorbell now. 0: something is there already, read first.
 * For a reader that attached without "membarrier" (see JOBCAST_BLOCK_MEMBARRIER); the other kind replaces the fence by the system call. */
static inline int jobcast_lane_arm(const struct jobcast_lane* lane, struct jobcast_reader_block* block) {
  __atomic_store_n(&block->armed, 1u, __ATOMIC_RELAXED);
  /* seq_cst fence, with the writer's between its tail and its look at `armed`: at least one of the two sees the other's store. */
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (__atomic_load_n(&lane->region->tail, __ATOMIC_RELAXED) == lane->position) return 1;
  __atomic_store_n(&block->armed, 0u, __ATOMIC_RELAXED);
  return 0;
}

#ifdef __cplusplus
}
#pragma GCC diagnostic pop
#endif
#endif
