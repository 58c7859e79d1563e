// Owning handles for C objects: Handle<T, closer> for pointers, Fd for descriptors. Move-only; any thread.
#pragma once

#include <unistd.h>

#include <memory>
#include <utility>

namespace jobcast {

template <auto closer>
struct Closer {
  template <class T>
  void operator()(T* object) const {
    closer(object);
  }
};

// Handle<cJSON, cJSON_Delete> node{cJSON_Parse(…)};
template <class T, auto closer>
using Handle = std::unique_ptr<T, Closer<closer>>;

// A file descriptor that is closed when its owner goes. -1 is "none".
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    if (old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace jobcast
