// What the tests of the region share: a writer with readers attached in the same process, and events that prove themselves.
#pragma once

#include <string>

#include "ipc/region.h"
#include "tests/cmocka.h"

namespace jobcast::test {

inline JobId job(uint32_t number) {
  JobId id;
  for (unsigned i = 0; i < 4; ++i) id.bytes[12 + i] = static_cast<uint8_t>(number >> (24 - 8 * i));
  return id;
}

// A snapshot whose every byte follows from (job, rev): a torn one cannot pass.
inline std::string proof(const JobId& id, uint64_t rev, size_t bytes) {
  std::string text(bytes, 0);
  uint64_t word = rev * 0x9e3779b97f4a7c15u + id.bytes[15] + id.bytes[14] * 256u + 1;
  for (size_t i = 0; i < bytes; ++i) {
    if (i % 8 == 0) word = word * 6364136223846793005u + 1442695040888963407u;
    text[i] = static_cast<char>('!' + (word >> (8 * (i % 8)) & 63));
  }
  return text;
}
inline size_t proof_bytes(uint64_t rev) { return rev * 7919 % 997; }
inline bool proven(const Event& event) {
  return event.snapshot.size() == proof_bytes(event.rev) && event.snapshot == proof(event.job, event.rev, event.snapshot.size());
}

inline void publish(RegionWriter& writer, uint32_t number, uint64_t rev, JobState state = JobState::running) {
  const JobId id = job(number);
  const std::string snapshot = proof(id, rev, proof_bytes(rev));
  writer.publish({.job = id, .rev = rev, .state = state, .list_changed = false, .owner = "alice", .snapshot = snapshot});
}

inline RegionReader attach(RegionWriter& writer, bool membarrier = false, uint32_t* id = nullptr) {
  auto grant = writer.add_reader(membarrier);
  assert_true(grant.ok());
  if (id) *id = grant->reader;
  auto reader = RegionReader::open(std::move(grant->region), std::move(grant->block), std::move(grant->doorbell));
  if (!reader) fail_msg("%s", reader.error().detail.c_str());
  return std::move(*reader);
}

}  // namespace jobcast::test
