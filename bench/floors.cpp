// See floors.h.
#include "bench/floors.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <atomic>

#include "bench/bench.h"

namespace jobcast::bench {
namespace {

struct alignas(128) Line {
  std::atomic<uint32_t> word{0};
};

struct PingPong {
  Line ping, pong;
};

constexpr size_t kRingSlots = 4096;

struct Spsc {
  alignas(128) std::atomic<uint64_t> written{0};
  alignas(128) std::atomic<uint64_t> read{0};
  alignas(128) unsigned char slots[kRingSlots * 512];
};

struct Wake {
  Line sent_low, sent_high, done;
};

// Reads a stream of `total` bytes.
void swallow(int fd, size_t total) {
  static char buffer[64 * 1024];
  while (total > 0) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    invariant(got > 0);
    total -= static_cast<size_t>(got);
  }
}

double stream_per_second(int write_fd, int read_fd, size_t bytes) {
  constexpr uint32_t kCount = 60'000;
  auto& line = shared<Line>();
  Peer reader([&] {
    line.word = 1;
    swallow(read_fd, kCount * bytes);
    line.word = 2;
  });
  while (line.word != 1) relax();
  const std::vector<char> message(bytes, 'x');
  const int64_t start = now_ns();
  for (uint32_t i = 0; i < kCount; ++i) invariant(write(write_fd, message.data(), bytes) == static_cast<ssize_t>(bytes));
  while (line.word != 2) relax();
  return kCount * 1e9 / static_cast<double>(now_ns() - start);
}

}  // namespace

double cache_line_one_way_ns() {
  constexpr uint32_t kCount = 50'000;
  auto& lines = shared<PingPong>();
  Peer peer([&] {
    for (uint32_t i = 1; i <= kCount + 1; ++i) {
      while (lines.ping.word.load(std::memory_order_acquire) != i) relax();
      lines.pong.word.store(i, std::memory_order_release);
    }
  });
  const auto turn = [&](uint32_t i) {
    lines.ping.word.store(i, std::memory_order_release);
    while (lines.pong.word.load(std::memory_order_acquire) != i) relax();
  };
  turn(1);
  const int64_t start = now_ns();
  for (uint32_t i = 2; i <= kCount + 1; ++i) turn(i);
  return static_cast<double>(now_ns() - start) / kCount / 2;
}

double spsc_per_second(size_t bytes) {
  constexpr uint64_t kCount = 1'000'000;
  auto& ring = shared<Spsc>();
  auto& line = shared<Line>();
  Peer reader([&] {
    alignas(64) unsigned char copy[512];
    uint64_t at = 0, written = 0;
    uint32_t sum = 0;
    line.word = 1;
    while (at < kCount) {
      while (written == at) written = ring.written.load(std::memory_order_acquire);
      memcpy(copy, ring.slots + at % kRingSlots * bytes, bytes);
      sum += copy[bytes - 1];
      ring.read.store(++at, std::memory_order_release);
    }
    line.word = 2 + (sum & 1);
  });
  while (line.word != 1) relax();
  alignas(64) unsigned char message[512] = {};
  uint64_t read = 0;
  const int64_t start = now_ns();
  for (uint64_t i = 0; i < kCount; ++i) {
    while (i - read == kRingSlots) read = ring.read.load(std::memory_order_acquire);
    message[0] = static_cast<unsigned char>(i);
    memcpy(ring.slots + i % kRingSlots * bytes, message, bytes);
    ring.written.store(i + 1, std::memory_order_release);
  }
  while (line.word < 2) relax();
  const double result = kCount * 1e9 / static_cast<double>(now_ns() - start);
  munmap(&ring, sizeof ring);
  return result;
}

double pipe_per_second(size_t bytes) {
  int ends[2];
  invariant(pipe(ends) == 0);
  const double result = stream_per_second(ends[1], ends[0], bytes);
  close(ends[0]);
  close(ends[1]);
  return result;
}

double unix_stream_per_second(size_t bytes) {
  int ends[2];
  invariant(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const double result = stream_per_second(ends[1], ends[0], bytes);
  close(ends[0]);
  close(ends[1]);
  return result;
}

double wake_one_way_ns(Waker waker, long gap_us, Sleep sleep, int count) {
  constexpr int kCountMax = 60;
  invariant(count > 0 && count <= kCountMax);
  int ends[2];
  if (waker == Waker::eventfd)
    ends[0] = ends[1] = eventfd(0, EFD_NONBLOCK);
  else
    invariant(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
  struct Sent {
    std::atomic<int64_t> at{0};
    std::atomic<int64_t> latency[kCountMax];
    std::atomic<int> done{-1};
  };
  auto& sent = shared<Sent>();
  Peer reader([&] {
    const int epoll = epoll_create1(0);
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &wanted);
    sent.done = 0;
    for (int i = 0; i < count; ++i) {
      if (sleep == Sleep::epoll) {
        epoll_event event;
        while (epoll_wait(epoll, &event, 1, -1) != 1) {
        }
      } else {
        pollfd end{ends[0], POLLIN, 0};
        while (poll(&end, 1, -1) != 1) {
        }
      }
      uint64_t bytes;
      invariant(read(ends[0], &bytes, sizeof bytes) > 0);
      sent.latency[i] = now_ns() - sent.at.load();
      sent.done = i + 1;
    }
  });
  while (sent.done < 0) relax();
  std::vector<int64_t> latencies;
  for (int i = 0; i < count; ++i) {
    const timespec gap{0, gap_us * 1000};
    nanosleep(&gap, nullptr);
    sent.at = now_ns();
    const uint64_t one = 1;
    invariant(write(ends[1], &one, sizeof one) == sizeof one);
    while (sent.done <= i) relax();
    latencies.push_back(sent.latency[i]);
  }
  close(ends[0]);
  if (waker == Waker::seqpacket) close(ends[1]);
  std::sort(latencies.begin(), latencies.end());
  return static_cast<double>(latencies[latencies.size() / 2]);
}

double empty_loop_ns() {
  constexpr uint64_t kCount = 20'000'000;
  const int64_t start = cpu_ns();
  for (uint64_t i = 0; i < kCount; ++i) asm volatile("" : : "r"(i) : "memory");
  return static_cast<double>(cpu_ns() - start) / kCount;
}

}  // namespace jobcast::bench
