// Bytes that no engine writes: refused at open, or found out while reading; never a crash, never a hang.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "ipc/doorbell.h"
#include "ipc/region.h"
#include "ipc/sealed_memory.h"
#include "jobcast/ring.h"
#include "tests/ipc/region_fixture.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;
using Drained = RegionReader::Drained;

// A region of the smallest size with some events in it, as bytes.
std::vector<unsigned char> sample_region() {
  auto writer = RegionWriter::create({.ring_bytes = 65536, .slots = 16});
  for (uint64_t rev = 1; rev <= 60; ++rev) publish(*writer, static_cast<uint32_t>(rev % 10), rev);
  auto grant = writer->add_reader();
  const auto bytes = static_cast<size_t>(lseek(grant->region.get(), 0, SEEK_END));
  auto* data = static_cast<unsigned char*>(mmap(nullptr, bytes, PROT_READ, MAP_SHARED, grant->region.get(), 0));
  std::vector<unsigned char> copy(data, data + bytes);
  munmap(data, bytes);
  return copy;
}

struct Fake {
  SealedMemory region, block;
  std::pair<Fd, Fd> bell;
};

// The same bytes in a memfd of our own, sealed as a region is, that the test goes on writing.
Fake fake(const std::vector<unsigned char>& bytes) {
  Fake made{create_sealed("fake", bytes.size(), false).value(), create_sealed("block", 4096, true).value(), doorbell_pair().value()};
  memcpy(made.region.map.data(), bytes.data(), bytes.size());
  auto& block = made.block.map.as<jobcast_reader_block>();
  block.magic = JOBCAST_BLOCK_MAGIC;
  block.layout_version = JOBCAST_LAYOUT_VERSION;
  return made;
}

Result<RegionReader> open(Fake& from) {
  return RegionReader::open(std::move(from.region.fd), std::move(from.block.fd), std::move(from.bell.first));
}

Error refusal(const std::function<void(jobcast_region&)>& lie) {
  auto made = fake(sample_region());
  lie(made.region.map.as<jobcast_region>());
  auto reader = open(made);
  if (reader) fail_msg("accepted");
  return reader.error();
}

void a_header_that_lies_is_refused(void**) {
  assert_true(refusal([](auto& r) { r.magic ^= 1; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.ring_bytes *= 2; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.ring_bytes = 0; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.ring_bytes = 0x80000000; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.slots = 0xffffffff; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.slots += 1; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.ring_offset -= 4096; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.copies_offset += 4096; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.table_offset = 0; }).code == Errc::corrupt);
  assert_true(refusal([](auto& r) { r.region_bytes += 1; }).code == Errc::corrupt);
}

void another_layout_version_is_refused_and_both_versions_are_named(void**) {
  const Error error = refusal([](auto& r) { r.layout_version = 77; });
  assert_true(error.code == Errc::invalid);
  assert_non_null(strstr(error.detail.c_str(), "version 77"));
  assert_non_null(strstr(error.detail.c_str(), ("version " + std::to_string(JOBCAST_LAYOUT_VERSION)).c_str()));
}

void memory_without_seals_is_refused(void**) {
  const auto bytes = sample_region();
  for (const int seals :
       {0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, F_SEAL_SHRINK | 0x0010 | F_SEAL_SEAL, F_SEAL_SHRINK | F_SEAL_GROW | 0x0010}) {
    Fd unsealed(memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    assert_int_equal(write(unsealed.get(), bytes.data(), bytes.size()), bytes.size());
    assert_int_equal(fcntl(unsealed.get(), F_ADD_SEALS, seals), 0);
    auto other = fake(bytes);
    auto reader = RegionReader::open(std::move(unsealed), std::move(other.block.fd), std::move(other.bell.first));
    assert_false(reader.ok());
    assert_true(reader.error().code == Errc::corrupt);
  }
  auto pipe_like = fake(bytes);
  assert_false(RegionReader::open(Fd(dup(0)), std::move(pipe_like.block.fd), std::move(pipe_like.bell.first)).ok());
}

void region_of_a_kernel_without_future_write_is_taken_by_a_descriptor_that_only_reads(void**) {
  const auto bytes = sample_region();
  for (const int flags : {O_RDONLY, O_RDWR}) {
    Fd memory(memfd_create("old", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    assert_int_equal(write(memory.get(), bytes.data(), bytes.size()), bytes.size());
    assert_int_equal(fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    Fd given(::open(("/proc/self/fd/" + std::to_string(memory.get())).c_str(), flags | O_CLOEXEC));
    auto other = fake(bytes);
    auto reader = RegionReader::open(std::move(given), std::move(other.block.fd), std::move(other.bell.first));
    assert_int_equal(reader.ok(), flags == O_RDONLY);
  }
}

void a_region_of_another_size_is_refused(void**) {
  auto bytes = sample_region();
  bytes.resize(bytes.size() + 4096);
  auto longer = fake(bytes);
  assert_true(open(longer).error().code == Errc::corrupt);
  bytes.resize(100);
  auto shorter = fake(bytes);
  assert_true(open(shorter).error().code == Errc::corrupt);
}

void use_all(RegionReader& reader, Drained& end) {
  unsigned rounds = 0;
  while ((end = reader.drain([](const Event& event) { assert_true(event.snapshot.size() <= kSnapshotBytesMax); })) == Drained::more)
    assert_true(++rounds < 2000);  // a ring holds no more
}

void a_record_with_an_impossible_length_is_corrupt_not_a_crash(void**) {
  for (const uint32_t length : {0u, 1u, 39u, 41u, 4289u, 65536u, 0x7fffffffu, 0xffffffffu}) {
    auto made = fake(sample_region());
    auto& region = made.region.map.as<jobcast_region>();
    auto reader = open(made);
    const uint32_t index = region.tail & 1023;
    reinterpret_cast<jobcast_record*>(made.region.map.data() + region.ring_offset + index * 64)->bytes = length;
    region.intent += 10;
    region.tail += 10;
    Drained end{};
    use_all(*reader, end);
    assert_true(end == Drained::corrupt);
  }
}

void a_padding_that_does_not_lead_to_the_end_of_the_ring_is_corrupt(void**) {
  auto made = fake(sample_region());
  auto& region = made.region.map.as<jobcast_region>();
  auto reader = open(made);
  auto* record = reinterpret_cast<jobcast_record*>(made.region.map.data() + region.ring_offset + (region.tail & 1023) * 64);
  record->bytes = 64;
  record->type = JOBCAST_RECORD_PADDING;
  region.intent += 1;
  region.tail += 1;
  Drained end{};
  use_all(*reader, end);
  assert_true(end == Drained::corrupt);
}

void a_reader_that_slept_through_the_whole_range_of_positions_is_lapped(void**) {
  auto made = fake(sample_region());
  auto& region = made.region.map.as<jobcast_region>();
  auto reader = open(made);
  region.era += 4;  // 2^32 units later the tail is where it was, and would look as if nothing had come
  Drained end{};
  use_all(*reader, end);
  assert_true(end == Drained::lapped);
  reader->resync([](const Event&) {});
  use_all(*reader, end);
  assert_true(end == Drained::empty);
}

void a_scribbler_over_every_byte_causes_neither_crash_nor_hang(void**) {
  std::mt19937_64 random(20261123);
  const auto bytes = sample_region();
  unsigned corrupt = 0, lapped = 0, events = 0;
  for (int round = 0; round < 400; ++round) {
    auto made = fake(bytes);
    auto& region = made.region.map.as<jobcast_region>();
    auto reader = open(made);
    assert_true(reader.ok());
    unsigned char* data = made.region.map.data();
    for (int step = 0; step < 50; ++step) {
      switch (random() % 6) {
        case 0: region.tail = static_cast<uint32_t>(random()); break;
        case 1:
          region.tail += static_cast<uint32_t>(random() % 64);
          region.intent = region.tail;
          break;
        case 2: region.intent = static_cast<uint32_t>(random()); break;
        case 3: region.era = static_cast<uint32_t>(random()); break;
        case 4:  // every page past the header: sequences, copies, ring
          for (int i = 0; i < 2000; ++i) data[4096 + random() % (bytes.size() - 4096)] = static_cast<unsigned char>(random());
          break;
        case 5:  // the header itself, after it was believed
          for (int i = 0; i < 20; ++i) data[random() % 256] = static_cast<unsigned char>(random());
          break;
      }
      Drained end{};
      use_all(*reader, end);
      corrupt += end == Drained::corrupt;
      lapped += end == Drained::lapped;
      reader->resync([&](const Event&) { ++events; });
      (void)reader->arm();
      if (end == Drained::corrupt) break;
    }
  }
  assert_true(corrupt > 0 && lapped > 0 && events > 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_header_that_lies_is_refused),
      cmocka_unit_test(another_layout_version_is_refused_and_both_versions_are_named),
      cmocka_unit_test(memory_without_seals_is_refused),
      cmocka_unit_test(region_of_a_kernel_without_future_write_is_taken_by_a_descriptor_that_only_reads),
      cmocka_unit_test(a_region_of_another_size_is_refused),
      cmocka_unit_test(a_record_with_an_impossible_length_is_corrupt_not_a_crash),
      cmocka_unit_test(a_padding_that_does_not_lead_to_the_end_of_the_ring_is_corrupt),
      cmocka_unit_test(a_reader_that_slept_through_the_whole_range_of_positions_is_lapped),
      cmocka_unit_test(a_scribbler_over_every_byte_causes_neither_crash_nor_hang),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
