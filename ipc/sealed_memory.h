// Memory that is handed to other processes: a memfd whose seals make its size, and for readers its contents, unchangeable by them.
// Without the seals a peer's ftruncate() would end this process with SIGBUS. Any thread.
#pragma once

#include <cstddef>

#include "base/handle.h"
#include "base/result.h"

namespace jobcast {

// munmap when its owner goes.
class Mapping {
 public:
  Mapping() = default;
  Mapping(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  [[nodiscard]] unsigned char* data() const { return static_cast<unsigned char*>(data_); }
  [[nodiscard]] size_t bytes() const { return bytes_; }
  template <class T>
  [[nodiscard]] T& as() const {
    return *static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

struct SealedMemory {
  Fd fd;
  Mapping map;
};

// Zeroed, not yet backed by pages. `peers_may_write`: the descriptor may be mapped writable again by whoever gets it; else only `map` can
// ever write it (before Linux 5.1: only `map` and its owner's own processes). Errors: internal.
[[nodiscard]] Result<SealedMemory> create_sealed(const char* name, size_t bytes, bool peers_may_write);

// Maps what another process sealed, once its seals and size leave nothing to fear. Errors: corrupt, internal.
enum class Access { read, read_write };
[[nodiscard]] Result<Mapping> map_sealed(const Fd& fd, Access access, size_t bytes_min, size_t bytes_max);

}  // namespace jobcast
