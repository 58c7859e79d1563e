// Attaches, drains, and attaches again when the engine is another one.
#include "engine/cli/lane_link.h"

#include <poll.h>

#include <utility>

#include "base/json_slice.h"

namespace jobcast::cli {
namespace {

constexpr int kAnswerMs = 5000;
constexpr int kBatchesMax = 256;

}  // namespace

LaneLink::LaneLink(std::string socket, std::vector<JobId> jobs, OnSnapshot on_snapshot)
    : socket_(std::move(socket)), jobs_(std::move(jobs)), on_snapshot_(std::move(on_snapshot)) {
  for (const JobId& job : jobs_) revs_[job] = 0;
}

void LaneLink::take(const JobId& job, uint64_t rev, std::string_view snapshot) {
  const auto followed = revs_.find(job);
  if (followed == revs_.end() || rev <= followed->second) return;
  followed->second = rev;
  on_snapshot_(job, snapshot);
}

void LaneLink::take(const Event& event) { take(event.job, event.rev, event.snapshot); }

Result<void> LaneLink::open() {
  close();
  auto client = connect_engine(socket_);
  if (!client) return client.error();
  auto attached = client->attach(kAnswerMs);
  if (!attached) return attached.error();
  auto reader = RegionReader::open(std::move(attached->region), std::move(attached->block), std::move(attached->doorbell));
  if (!reader) return reader.error();
  for (auto& [job, rev] : revs_)
    if (rev > attached->rev) rev = 0;  // of another life of the state directory: everything is news
  const auto before = revs_;
  reader->resync([&](const Event& event) { take(event); });
  for (const JobId& job : jobs_) {
    if (revs_[job] > before.at(job)) continue;  // the state table had it
    Json params = Json::object();
    params.set("job_id", job.text());
    const auto answer = client->call_raw("job.get", params, kAnswerMs);
    if (!answer) {
      if (answer.error().code != Errc::not_found) return answer.error();
      return {Errc::not_found, "there is no job " + job.text(), "job_id"};
    }
    const auto snapshot = json_member(*answer, "job");
    if (!snapshot) return {Errc::corrupt, "the engine answered without a job"};
    take(job, json_member_integer(*snapshot, "rev").value_or(0), *snapshot);
  }
  client_.emplace(std::move(*client));
  reader_.emplace(std::move(*reader));
  return {};
}

LaneLink::Drained LaneLink::drain() {
  if (!reader_) return Drained::gone;
  pollfd engine{client_->fd(), POLLIN, 0};
  bool alive = poll(&engine, 1, 0) == 0;  // it never speaks unasked: readable is the end of file
  alive = reader_->clear_doorbell() && alive;
  for (int batch = 0; batch < kBatchesMax; ++batch) {
    switch (reader_->drain([&](const Event& event) { take(event); })) {
      case RegionReader::Drained::more: break;
      case RegionReader::Drained::lapped: reader_->resync([&](const Event& event) { take(event); }); break;
      case RegionReader::Drained::corrupt: close(); return Drained::gone;
      case RegionReader::Drained::empty:
        if (!alive) {  // only now: what it published before its end is still there
          close();
          return Drained::gone;
        }
        if (reader_->arm()) return Drained::asleep;
        break;
    }
  }
  return Drained::more;
}

void LaneLink::close() {
  reader_.reset();
  client_.reset();
}

}  // namespace jobcast::cli
