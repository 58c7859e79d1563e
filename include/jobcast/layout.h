/* Every byte that two programs share: the region (header, state table, ring), a reader's block, a worker's latch.
 *
 * docs/shared-memory.md draws it and is normative; jobcast/ring.h reads the region, jobcast/worker.h writes the latch.
 * All words are 32-bit, in the machine's own byte order, and are accessed as relaxed atomics unless said otherwise there:
 * both sides run on one kernel, but not always with 64-bit atomics. 64-bit numbers are a low and a high word.
 */
#ifndef JOBCAST_LAYOUT_H
#define JOBCAST_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define JOBCAST_LAYOUT_ASSERT(condition, text) static_assert(condition, text)
extern "C" {
#else
#define JOBCAST_LAYOUT_ASSERT(condition, text) _Static_assert(condition, text)
#endif

enum {
  JOBCAST_LAYOUT_VERSION = 1,
  JOBCAST_REGION_MAGIC = 0x6362626a, /* "jbbc" in little-endian memory */
  JOBCAST_BLOCK_MAGIC = 0x6b62626a,  /* "jbbk" */
  JOBCAST_LATCH_MAGIC = 0x6c62626a,  /* "jbbl" */

  JOBCAST_PAGE_BYTES = 4096,
  JOBCAST_UNIT_BYTES = 64, /* positions count these; every record starts on one */

  JOBCAST_OWNER_BYTES_MAX = 128,
  JOBCAST_SNAPSHOT_BYTES_MAX = 4096,
  JOBCAST_RECORD_HEADER_BYTES = 40,
  JOBCAST_RECORD_BYTES_MAX = 4288, /* header + owner + snapshot, up to the next unit; also one copy of a slot */

  JOBCAST_RING_BYTES_MIN = 65536, /* a power of two in this range */
  JOBCAST_RING_BYTES_MAX = 67108864,
  JOBCAST_SLOTS_MIN = 16,
  JOBCAST_SLOTS_MAX = 65536,

  JOBCAST_ERA_SHIFT = 30, /* era counts every 2^30 units that the tail has passed: tells a tail that wrapped from one that stood still */

  JOBCAST_PHASE_BYTES = 64, /* with the terminating NUL */
  JOBCAST_MESSAGE_BYTES = 256,
  JOBCAST_RESULT_BYTES_MAX = 524288,
  JOBCAST_ARGS_BYTES_MAX = 65536
};

#define JOBCAST_NO_SLOT 0xffffffffu

enum jobcast_record_type { JOBCAST_RECORD_EVENT = 1, JOBCAST_RECORD_PADDING = 2 };
enum jobcast_record_flag { JOBCAST_RECORD_LIST_CHANGED = 1 };
enum jobcast_job_state {
  JOBCAST_SCHEDULED = 1,
  JOBCAST_QUEUED = 2,
  JOBCAST_RUNNING = 3,
  JOBCAST_RETRYING = 4,
  JOBCAST_COMPLETED = 5,
  JOBCAST_FAILED = 6,
  JOBCAST_CANCELLED = 7
};

/* First page of the region. All but intent, era and tail are written before the region is handed out and never again. */
struct jobcast_region {
  uint32_t magic;
  uint32_t layout_version;
  uint32_t region_bytes;  /* of the whole memfd */
  uint32_t table_offset;  /* uint32_t sequence[slots], one page or more */
  uint32_t slots;         /* jobs in the state table */
  uint32_t copies_offset; /* two copies a slot, JOBCAST_RECORD_BYTES_MAX each */
  uint32_t ring_offset;
  uint32_t ring_bytes;
  uint32_t epoch_low; /* random: names this region */
  uint32_t epoch_high;
  uint32_t writer_pid;
  uint32_t writer_start_low; /* field 22 of /proc/PID/stat: with the pid it names one process */
  uint32_t writer_start_high;
  uint32_t reserved[51];
  /* Positions in units, modulo 2^32. What every publish changes has lines of its own (a pair, which processors fetch together), so that
   * the checks after a read do not take it from the writer. */
  uint32_t intent; /* 256: at or past the end of the record being written: the ring holds nothing older than this minus ring_bytes */
  uint32_t era;
  uint32_t reserved_intent[30];
  uint32_t tail; /* 384: the ring is valid up to here */
  uint32_t reserved_tail[31];
};

/* What a record on the ring and a copy of a slot begin with; then the owner and the snapshot, each filled up to 8 bytes. */
struct jobcast_record {
  uint32_t bytes; /* this header, owner and snapshot with their filling; of padding: all of it */
  uint8_t type;   /* enum jobcast_record_type */
  uint8_t state;  /* enum jobcast_job_state */
  uint8_t flags;  /* enum jobcast_record_flag */
  uint8_t owner_bytes;
  uint32_t snapshot_bytes;
  uint32_t slot; /* in the state table, or JOBCAST_NO_SLOT */
  uint32_t rev_low;
  uint32_t rev_high;
  uint8_t job_id[16];
};

enum jobcast_block_flag {
  JOBCAST_BLOCK_MEMBARRIER = 1 /* the writer does not fence for this reader: it arms with membarrier(2), not with a fence */
};

/* A reader's own page, a memfd that the reader and the writer may both write. */
struct jobcast_reader_block {
  uint32_t magic;
  uint32_t layout_version;
  uint32_t flags; /* enum jobcast_block_flag; written before it is handed out */
  uint32_t reserved[29];
  uint32_t armed; /* reader: 1 wakes me at the next publish; writer: exchanges it for 0 before it rings */
  uint32_t reserved_tail[31];
};

enum jobcast_latch_flag {
  JOBCAST_LATCH_MEMBARRIER = 1 /* the engine arms with membarrier(2): a worker that registered with it needs no fence */
};

/* One report. The worker owns four of them (Simpson's four-slot mechanism): it never writes the one that the engine reads. */
struct jobcast_report {
  uint32_t begin; /* counts reports from 1; stored before the numbers */
  uint32_t done_low;
  uint32_t done_high;
  uint32_t total_low;
  uint32_t total_high;
  uint32_t end; /* the same count, stored after them */
  uint32_t reserved[2];
};

/* What the worker is doing, as NUL-terminated UTF-8. */
struct jobcast_text {
  uint32_t phase[JOBCAST_PHASE_BYTES / 4];
  uint32_t message[JOBCAST_MESSAGE_BYTES / 4];
};

/* One page between the engine and one job process. */
struct jobcast_latch {
  /* Written by the engine before the worker starts. */
  uint32_t magic;
  uint32_t layout_version;
  uint32_t flags; /* enum jobcast_latch_flag */
  uint32_t reserved[29];
  /* Written by the engine while the worker runs (128). */
  uint32_t armed;   /* engine: 1 wakes me at the next report; worker: exchanges it for 0 before it rings */
  uint32_t reading; /* the pair that the engine reads: the worker writes the other one */
  uint32_t cancel;  /* 1: somebody asked to cancel this job */
  uint32_t reserved_engine[29];
  /* Written by the worker (256). */
  uint32_t latest;        /* the pair last written */
  uint32_t newest[2];     /* in each pair, which of the two is whole */
  uint32_t cancel_seen;   /* 1: the worker knows of the cancel */
  uint32_t text_sequence; /* two-copy latch: text[text_sequence & 1] is whole */
  uint32_t reserved_worker[27];
  struct jobcast_report report[2][2]; /* 384 */
  struct jobcast_text text[2];        /* 512 */
};

JOBCAST_LAYOUT_ASSERT(sizeof(struct jobcast_region) == 512, "layout of the region's header");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_region, intent) == 256, "layout of the region's header");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_region, tail) == 384, "the tail has lines of its own");
JOBCAST_LAYOUT_ASSERT(sizeof(struct jobcast_record) == JOBCAST_RECORD_HEADER_BYTES, "layout of a record");
JOBCAST_LAYOUT_ASSERT(JOBCAST_RECORD_BYTES_MAX % JOBCAST_UNIT_BYTES == 0 &&
                          JOBCAST_RECORD_BYTES_MAX >= JOBCAST_RECORD_HEADER_BYTES + JOBCAST_OWNER_BYTES_MAX + JOBCAST_SNAPSHOT_BYTES_MAX,
                      "the largest record fits its copy");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_reader_block, armed) == 128, "layout of the reader's block");
JOBCAST_LAYOUT_ASSERT(sizeof(struct jobcast_reader_block) == 256, "layout of the reader's block");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_latch, armed) == 128, "layout of the latch");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_latch, latest) == 256, "layout of the latch");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_latch, report) == 384, "layout of the latch");
JOBCAST_LAYOUT_ASSERT(offsetof(struct jobcast_latch, text) == 512, "layout of the latch");
JOBCAST_LAYOUT_ASSERT(sizeof(struct jobcast_latch) == 1152, "layout of the latch");

#ifdef __cplusplus
}
#endif
#endif
