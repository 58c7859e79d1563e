// See sealed_memory.h. Any thread.
#include "ipc/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>

#include "base/log.h"

// Newer than some C libraries' headers.
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace jobcast {
namespace {

constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Error failed(const char* what) { return {Errc::internal, std::string(what) + ": " + strerror(errno), {}}; }

// Before Linux 5.1 there is no seal that leaves our mapping writable and refuses others: there readers get a descriptor that was opened for
// reading, and the file's mode lets nobody open it again for writing but its owner and root.
Result<Fd> read_only(const Fd& fd) {
  static std::once_flag said;
  std::call_once(said, [] { log::notice("kernel_without_future_write_seal", {{"instead", "readers get a descriptor that only reads"}}); });
  if (fchmod(fd.get(), 0400) != 0) return failed("memfd: fchmod");
  Fd again(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!again) return failed("memfd: open for reading by /proc/self/fd (is /proc mounted?)");
  return again;
}

bool only_reads(const Fd& fd) { return (fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY; }

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (data_) munmap(data_, bytes_);
}

Result<SealedMemory> create_sealed(const char* name, size_t bytes, bool peers_may_write) {
  Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd.reset(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));  // before Linux 6.3
  if (!fd) return failed("memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return failed("memfd: ftruncate");
  void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (data == MAP_FAILED) return failed("memfd: mmap");
  Mapping map(data, bytes);
  // FUTURE_WRITE leaves the mapping above writable and refuses every later one.
  if (!peers_may_write && fcntl(fd.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0) {
    if (errno != EINVAL) return failed("memfd: seal");
    auto reading = read_only(fd);
    if (!reading) return reading.error();
    if (fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) return failed("memfd: seal");
    return SealedMemory{std::move(*reading), std::move(map)};
  }
  if (fcntl(fd.get(), F_ADD_SEALS, kSizeSeals) != 0) return failed("memfd: seal");
  return SealedMemory{std::move(fd), std::move(map)};
}

Result<Mapping> map_sealed(const Fd& fd, Access access, size_t bytes_min, size_t bytes_max) {
  // The seals of the size are what this process needs: without them its owner could pull the memory away. That no other reader can write
  // is for the owner to see to, by the seal or by descriptors that only read; what is read is checked in either case.
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  const bool guarded = access == Access::read_write || (seals & F_SEAL_FUTURE_WRITE) != 0 || only_reads(fd);
  if (seals < 0 || (seals & kSizeSeals) != kSizeSeals || !guarded)
    return {Errc::corrupt, "shared memory is not sealed: its owner could pull it away"};
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return failed("shared memory: fstat");
  const auto bytes = static_cast<uint64_t>(status.st_size);
  if (bytes < bytes_min || bytes > bytes_max)
    return {Errc::corrupt, "shared memory has an impossible size: " + std::to_string(bytes) + " bytes"};
  void* data =
      mmap(nullptr, static_cast<size_t>(bytes), access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return failed("shared memory: mmap");
  return Mapping(data, static_cast<size_t>(bytes));
}

}  // namespace jobcast
