// The floors of the shared-memory benchmarks: what the bare machine does with the least code one could write. The calling process is one
// side, a Peer the other.
#pragma once

#include <cstddef>

namespace jobcast::bench {

double cache_line_one_way_ns();        // a word bounces between two processors: half the round trip
double spsc_per_second(size_t bytes);  // a bare single-producer ring, private indices cached, copy in and copy out
double pipe_per_second(size_t bytes);
double unix_stream_per_second(size_t bytes);
enum class Waker { eventfd, seqpacket };
enum class Sleep { epoll, poll };
double wake_one_way_ns(Waker waker, long gap_us, Sleep sleep = Sleep::epoll, int count = 60);  // woken after a pause; median
double empty_loop_ns();  // one turn of a loop that the compiler may not remove

}  // namespace jobcast::bench
