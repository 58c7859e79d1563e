// The snapshot: the one JSON that every transport carries (DESIGN §3). Built here once per revision, parsed by nobody on the way.
// Pure; loop thread.
#pragma once

#include <optional>
#include <string>

#include "engine/job.h"
#include "engine/scheduler.h"

namespace jobcast::engine {

// At most kSnapshotBytesMax bytes, no newline in it, keys in the order of DESIGN §3. Beyond what stands there:
//   "cancel":  {"requested_at":"…","acknowledged_at":"…"|null,"by":"…"|null}
//   "waiting": {"why":"backoff","position":null,"until":"…"|null}   (until: the run_at of run_at and backoff)
//   "result_url":"jobs/{id}/result" follows "result":null where there is a result that does not fit, or that was left out of the Job.
//     It is relative to the API's root (the plugin's mount + "/v1/"), which only the plugin knows.
//   "done" and "total" become strings above 2^53.
// phase, message and error are cut, with "…", where they would cost more than 96, 384 and 768 bytes as JSON; `cancel.by` at 256.
[[nodiscard]] std::string encode_snapshot(const Job& job, const std::optional<Scheduler::Waiting>& waiting);

}  // namespace jobcast::engine
