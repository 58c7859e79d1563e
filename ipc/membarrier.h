// membarrier(2): lets the side that seldom looks pay for the fence of the side that stores often. Any thread.
// After barrier_everywhere() each running thread of every registered process has passed a full fence; those not running passed one when
// they were switched out. So a compiler barrier is enough on the registered side (docs/shared-memory.md, "Wake-up").
#pragma once

namespace jobcast {

// The kernel offers MEMBARRIER_CMD_GLOBAL_EXPEDITED to this process.
[[nodiscard]] bool membarrier_offered();
// Makes barrier_everywhere() of other processes reach this one. False: it will not, keep fencing.
[[nodiscard]] bool membarrier_register();
// A full fence here and in every registered process. Precondition: membarrier_offered().
void barrier_everywhere();

}  // namespace jobcast
