// What the store's tests share: a directory of their own, a job with every member filled, and waiting for an answer with a bound.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/store.h"
#include "tests/cmocka.h"

namespace jobcast::engine {

inline std::string store_directory;
inline std::string store_path() { return store_directory + "/jobs.db"; }

inline int make_store_directory(void**) {
  char name[] = "/tmp/jobcast-store-XXXXXX";
  if (!mkdtemp(name)) return -1;
  store_directory = name;
  return 0;
}

inline int no_store_yet(void**) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((store_path() + suffix).c_str());
  unlink((store_directory + "/acknowledged").c_str());
  return 0;
}

inline int remove_store_directory(void** state) {
  no_store_yet(state);
  return rmdir(store_directory.c_str());
}

inline std::unique_ptr<Store> open_store() {
  auto store = Store::open(store_path());
  if (!store) fail_msg("%s", store.error().detail.c_str());
  return std::move(store).value();
}

// Delivers until `answered` holds; fails the test after ten seconds without an answer.
inline void deliver_until(Store& store, const std::function<bool()>& answered) {
  while (!answered()) {
    pollfd ready{store.ready_fd(), POLLIN, 0};
    if (poll(&ready, 1, 10'000) != 1) fail_msg("the store gave no answer");
    store.deliver();
  }
}

// answer_of<Job>(store, [&](auto done) { store.get(id, done); })
template <class T, class Ask>
Result<T> answer_of(Store& store, Ask ask) {
  std::optional<Result<T>> answer;
  ask([&answer](Result<T> result) { answer.emplace(std::move(result)); });
  deliver_until(store, [&answer] { return answer.has_value(); });
  return std::move(*answer);
}

inline Result<Store::Inserted> insert(Store& store, const Job& job) {
  return answer_of<Store::Inserted>(store, [&](auto done) { store.insert(job, done); });
}

inline Result<void> update(Store& store, const Job& job, const std::optional<Attempt>& attempt = std::nullopt) {
  return answer_of<void>(store, [&](auto done) { store.update(job, attempt, done); });
}

inline Result<Job> get(Store& store, const JobId& id) {
  return answer_of<Job>(store, [&](auto done) { store.get(id, done); });
}

inline JobIdSource store_ids;

inline Job new_job(const char* owner = "alice") {
  Job job;
  job.created_ms = now().unix_ms;
  job.id = store_ids.next(job.created_ms);
  job.kind = "plo-equity";
  job.owner = owner;
  job.queue = "default";
  return job;
}

}  // namespace jobcast::engine
