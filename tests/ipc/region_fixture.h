// What the tests of the region share: a writer with readers attached in the same process.
#pragma once

#include "ipc/region.h"
#include "tests/cmocka.h"
#include "tests/ipc/proof.h"

namespace jobcast::test {

// Into the batch: nobody sees it before flush().
inline void put(RegionWriter& writer, uint32_t number, uint64_t rev, JobState state = JobState::running) {
  const JobId id = job(number);
  const std::string snapshot = proof(id, rev, proof_bytes(rev));
  writer.publish({.job = id, .rev = rev, .state = state, .list_changed = false, .owner = "alice", .snapshot = snapshot});
}

inline void publish(RegionWriter& writer, uint32_t number, uint64_t rev, JobState state = JobState::running) {
  put(writer, number, rev, state);
  writer.flush();
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
