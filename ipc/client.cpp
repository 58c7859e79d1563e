// include/jobcast/client.h over ControlClient and RegionReader. No exception leaves it. One thread at a time.
#include "jobcast/client.h"

#include <poll.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/id.h"
#include "base/json_slice.h"
#include "ipc/control_client.h"
#include "ipc/region.h"
#include "jobcast/layout.h"

using namespace jobcast;

static_assert(JOBCAST_COMPLETED == 5, "client.h says so");

struct jobcast_client {
  std::string socket;
  std::optional<ControlClient> control;
  std::optional<RegionReader> reader;
  std::optional<JobId> watched;  // of whom the lane has told everything since the last look
  uint64_t rev = 0;              // the highest that this engine was seen to give
  std::string error, answer, snapshot;
};

namespace {

constexpr int kAnswerMs = 30'000;
constexpr int64_t kReconnectFirstMs = 20, kReconnectMaxMs = 1000;

void disconnect(jobcast_client& client) {
  client.reader.reset();
  client.control.reset();
}

// After these the connection is of no more use.
bool ends_connection(Errc code) { return code == Errc::closed || code == Errc::corrupt || code == Errc::retry; }

Result<void> connect(jobcast_client& client) {
  if (client.control) {
    pollfd end{client.control->fd(), POLLIN, 0};  // the engine never speaks unasked: readable is the end of file
    if (poll(&end, 1, 0) == 0) return {};
    disconnect(client);
  }
  auto connected = ControlClient::connect(client.socket);
  if (!connected) return connected.error();
  client.control.emplace(std::move(*connected));
  return {};
}

Result<std::string> call(jobcast_client& client, const char* method, const Json& params) {
  if (auto connected = connect(client); !connected) return connected.error();
  auto answer = client.control->call_raw(method, params, kAnswerMs);
  if (!answer && ends_connection(answer.error().code)) disconnect(client);
  return answer;
}

Result<void> fill(jobcast_client& client, std::string_view snapshot, jobcast_job* job) {
  const auto id = json_member_string(snapshot, "job_id"), state = json_member_string(snapshot, "state");
  const auto rev = json_member_integer(snapshot, "rev");
  if (!id || id->size() >= sizeof jobcast_job::id || !state || !rev) return {Errc::corrupt, "the engine answered without a job"};
  if (!job) return {};
  uint32_t number = 0;
  for (uint32_t known = JOBCAST_SCHEDULED; known <= JOBCAST_CANCELLED; ++known)
    if (*state == name(static_cast<JobState>(known))) number = known;
  client.snapshot = snapshot;
  memset(job->id, 0, sizeof job->id);
  id->copy(job->id, sizeof job->id - 1);
  job->state = number;
  job->rev = *rev;
  client.rev = std::max(client.rev, job->rev);
  job->snapshot = client.snapshot.c_str();
  job->snapshot_bytes = client.snapshot.size();
  return {};
}

// The member `job` of an answer.
Result<void> fill_from_answer(jobcast_client& client, const Result<std::string>& answer, jobcast_job* job) {
  if (!answer) return answer.error();
  const auto snapshot = json_member(*answer, "job");
  if (!snapshot) return {Errc::corrupt, "the engine answered without a job"};
  return fill(client, *snapshot, job);
}

Result<void> attach(jobcast_client& client) {
  if (auto connected = connect(client); !connected) return connected.error();
  if (client.reader) return {};
  auto attached = client.control->attach(kAnswerMs);
  if (!attached) {
    if (ends_connection(attached.error().code)) disconnect(client);
    return attached.error();
  }
  auto reader = RegionReader::open(std::move(attached->region), std::move(attached->block), std::move(attached->doorbell));
  if (!reader) {
    disconnect(client);
    return reader.error();
  }
  client.reader.emplace(std::move(*reader));
  client.rev = attached->rev;
  client.reader->begin_resync();
  client.watched.reset();
  return {};
}

// Looks once, without waiting. True: something newer than *job was there.
Result<bool> look(jobcast_client& client, const JobId& id, jobcast_job* job) {
  if (auto attached = attach(client); !attached) return attached.error();
  std::string newest;
  uint64_t rev = job->rev > client.rev ? 0 : job->rev;  // above: of another life of the state directory, so everything is news
  bool missed = client.watched != id;
  do {
    for (auto drained = RegionReader::Drained::more; drained != RegionReader::Drained::empty;) {
      drained = client.reader->drain([&](const Event& event) {
        client.rev = std::max(client.rev, event.rev);
        if (event.job != id || event.rev <= rev) return;
        rev = event.rev;
        newest = event.snapshot;
      });
      if (drained == RegionReader::Drained::lapped) {
        client.reader->begin_resync();
        missed = true;
      }
      if (drained == RegionReader::Drained::corrupt) {
        disconnect(client);
        return {Errc::corrupt, "the engine's shared memory cannot be trusted"};
      }
    }
  } while (!client.reader->arm());
  if (newest.empty() && missed) {  // armed first, then asked: what comes after the answer rings
    Json params = Json::object();
    params.set("job_id", id.text());
    const auto answer = call(client, "job.get", params);
    if (!answer) return answer.error();
    const auto snapshot = json_member(*answer, "job");
    if (snapshot && json_member_integer(*snapshot, "rev").value_or(0) > rev) newest = *snapshot;
  }
  client.watched = id;
  if (newest.empty()) return false;
  if (auto filled = fill(client, newest, job); !filled) return filled.error();
  return true;
}

// Nobody is there at the moment; somebody may be again.
bool is_gone(const jobcast_client& client, const Error& error) {
  return !client.control && (error.code == Errc::not_found || ends_connection(error.code));
}

Result<void> next(jobcast_client& client, jobcast_job* job, int timeout_ms) {
  const auto id = JobId::parse({job->id, strnlen(job->id, sizeof job->id)});
  if (!id) return {Errc::invalid, "job->id must be a UUID", "id"};
  const int64_t end_ms = now().mono_ms() + timeout_ms;
  int64_t reconnect_ms = kReconnectFirstMs;
  for (;;) {
    const auto found = look(client, *id, job);
    if (found && *found) return {};
    const bool gone = !found && is_gone(client, found.error());
    if (!found && !gone) return found.error();
    const int64_t left_ms = timeout_ms < 0 ? INT32_MAX : end_ms - now().mono_ms();
    if (left_ms <= 0) return gone ? Error{Errc::closed, found.error().detail} : Error{Errc::retry, "nothing new came in time"};
    if (gone) {
      poll(nullptr, 0, static_cast<int>(std::min(left_ms, reconnect_ms)));
      reconnect_ms = std::min(2 * reconnect_ms, kReconnectMaxMs);
    } else {
      pollfd ready[2] = {{client.reader->doorbell_fd(), POLLIN, 0}, {client.control->fd(), POLLIN, 0}};
      poll(ready, 2, static_cast<int>(left_ms));
      (void)client.reader->clear_doorbell();
    }
  }
}

// Runs one call of the C interface: keeps its error in words, and lets no exception out.
template <class Work>
int guarded(jobcast_client* client, Work work) {
  if (!client) return JOBCAST_INVALID;
  try {
    client->error.clear();
    const Result<void> done = work();
    if (done) return JOBCAST_OK;
    client->error = done.error().detail;
    return static_cast<int>(done.error().code);
  } catch (const std::exception& exception) {
    try {
      client->error = exception.what();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): no memory for words, the status must do
    }
    return JOBCAST_INTERNAL;
  }
}

// A text of a C program: present when it is not NULL.
Result<void> set(Json& params, const char* key, const char* text) {
  if (!text) return {};
  if (!is_utf8(text)) return {Errc::invalid, std::string(key) + " must be valid UTF-8", key};
  params.set(key, text);
  return {};
}

Result<void> set_all(Json& params, std::initializer_list<std::pair<const char*, const char*>> texts) {
  for (const auto& [key, text] : texts)
    if (auto done = set(params, key, text); !done) return done;
  return {};
}

Result<void> set_json(Json& params, const char* key, const char* text) {
  if (!text) return {};
  auto read = Json::parse(text);
  if (!read) return {Errc::invalid, std::string(key) + "_json: " + read.error().detail, key};
  params.set(key, std::move(*read));
  return {};
}

}  // namespace

int jobcast_client_open(jobcast_client** client, const char* socket_path) {
  if (!client) return JOBCAST_INVALID;
  *client = new (std::nothrow) jobcast_client;
  if (!*client) return JOBCAST_INTERNAL;
  return guarded(*client, [&] {
    const char* const named = getenv("JOBCAST_SOCKET");
    (*client)->socket = socket_path ? socket_path : named && *named ? named : "/run/jobcast/engine.sock";
    return connect(**client);
  });
}

void jobcast_client_close(jobcast_client* client) { delete client; }

const char* jobcast_client_error(const jobcast_client* client) { return client ? client->error.c_str() : "no client"; }

int jobcast_client_submit(jobcast_client* client, const jobcast_submission* wanted, jobcast_job* job, int* created) {
  return guarded(client, [&]() -> Result<void> {
    if (!wanted) return {Errc::invalid, "a submission is required"};
    Json params = Json::object();
    if (auto done = set_all(params, {{"kind", wanted->kind},
                                     {"owner", wanted->owner},
                                     {"queue", wanted->queue},
                                     {"unique_key", wanted->unique_key},
                                     {"idempotency_key", wanted->idempotency_key}});
        !done)
      return done;
    if (auto read = set_json(params, "args", wanted->args_json); !read) return read;
    if (auto read = set_json(params, "meta", wanted->meta_json); !read) return read;
    if (wanted->priority != 0) params.set("priority", wanted->priority);
    if (wanted->max_attempts != 0) params.set("max_attempts", wanted->max_attempts);
    if (wanted->run_at_ms != 0) params.set("run_at_ms", wanted->run_at_ms);
    const auto answer = call(*client, "job.submit", params);
    if (auto filled = fill_from_answer(*client, answer, job); !filled) return filled;
    if (created) *created = json_member(*answer, "created") == "true";
    return {};
  });
}

int jobcast_client_get(jobcast_client* client, const char* job_id, const char* owner, jobcast_job* job) {
  return guarded(client, [&]() -> Result<void> {
    Json params = Json::object();
    if (auto done = set_all(params, {{"job_id", job_id}, {"owner", owner}}); !done) return done;
    return fill_from_answer(*client, call(*client, "job.get", params), job);
  });
}

int jobcast_client_cancel(jobcast_client* client, const char* job_id, const char* owner, const char* by, jobcast_job* job) {
  return guarded(client, [&]() -> Result<void> {
    Json params = Json::object();
    if (auto done = set_all(params, {{"job_id", job_id}, {"owner", owner}, {"by", by}}); !done) return done;
    return fill_from_answer(*client, call(*client, "job.cancel", params), job);
  });
}

int jobcast_client_next(jobcast_client* client, jobcast_job* job, int timeout_ms) {
  return guarded(client, [&]() -> Result<void> {
    if (!job) return {Errc::invalid, "a job is required"};
    return next(*client, job, timeout_ms);
  });
}

int jobcast_client_wait(jobcast_client* client, jobcast_job* job, int timeout_ms) {
  const int64_t end_ms = now().mono_ms() + timeout_ms;
  for (;;) {
    const int64_t left_ms = timeout_ms < 0 ? -1 : std::max<int64_t>(end_ms - now().mono_ms(), 0);
    const int status = jobcast_client_next(client, job, static_cast<int>(left_ms));
    if (status != JOBCAST_OK || jobcast_job_is_over(job)) return status;
  }
}

int jobcast_client_call(jobcast_client* client, const char* method, const char* params_json, const char** result_json,
                        size_t* result_bytes) {
  return guarded(client, [&]() -> Result<void> {
    if (!method) return {Errc::invalid, "a method is required"};
    auto params = Json::parse(params_json ? params_json : "{}");
    if (!params) return params.error();
    auto answer = call(*client, method, *params);
    if (!answer) return answer.error();
    client->answer = std::move(*answer);
    if (result_json) *result_json = client->answer.c_str();
    if (result_bytes) *result_bytes = client->answer.size();
    return {};
  });
}
