// The store's thread and its queue. The SQL is in store_sql.cpp.
#include "engine/store.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <future>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

#include "base/handle.h"
#include "base/log.h"
#include "engine/store_sql.h"

namespace jobcast::engine {
namespace {

constexpr size_t kBatchMax = 512;  // calls of one commit: beyond that they wait longer than the disk saves

// One call on its way: made on the loop thread, run on the store's, answered on the loop thread.
class Call {
 public:
  virtual ~Call() = default;
  virtual void run(Database& database) = 0;
  virtual void settle(const std::optional<Error>& failed) = 0;  // after the commit, with what made it fail
  virtual void answer() = 0;
};

template <class T>
class CallOf final : public Call {
 public:
  using Work = std::function<Result<T>(Database&)>;
  using Done = std::function<void(Result<T>)>;
  CallOf(Work work, Done done) : work_(std::move(work)), done_(std::move(done)) {}

  void run(Database& database) override { result_.emplace(work_(database)); }
  void settle(const std::optional<Error>& failed) override {
    if (failed) result_.emplace(*failed);
    if (!done_ && !result_->ok()) log::warning("store_write_lost", {{"error", result_->error().detail}});
  }
  void answer() override {
    if (done_) done_(std::move(*result_));
  }

 private:
  Work work_;
  Done done_;
  std::optional<Result<T>> result_;
};

// The one call that somebody waits for.
class Load final : public Call {
 public:
  Load(size_t finished_max, std::promise<Result<Loaded>> promise) : finished_max_(finished_max), promise_(std::move(promise)) {}

  void run(Database& database) override { result_.emplace(database.load(finished_max_)); }
  void settle(const std::optional<Error>& failed) override { promise_.set_value(failed ? Result<Loaded>(*failed) : std::move(*result_)); }
  void answer() override {}

 private:
  const size_t finished_max_;
  std::promise<Result<Loaded>> promise_;
  std::optional<Result<Loaded>> result_;
};

using Calls = std::deque<std::unique_ptr<Call>>;

}  // namespace

struct Store::Impl {
  explicit Impl(std::unique_ptr<Database> opened) : database(std::move(opened)), ready(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!ready) std::abort();
    // The engine's signals belong to its loop.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = std::thread([this] { serve(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread.native_handle(), "jobcast-store");
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_one();
    thread.join();
  }

  void serve() {
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !queued.empty(); });
      if (queued.empty()) return;
      Calls batch;
      while (!queued.empty() && batch.size() < kBatchMax) {
        batch.push_back(std::move(queued.front()));
        queued.pop_front();
      }
      in_work = batch.size();
      lock.unlock();
      commit(batch);
      lock.lock();
      in_work = 0;
      for (auto& call : batch) answered.push_back(std::move(call));
      eventfd_write(ready.get(), 1);
    }
  }

  // All of them in one transaction: they are answered together, or fail together.
  void commit(Calls& batch) {
    const uint64_t before = database->rows_changed();
    if (database->begin())
      for (auto& call : batch) {
        call->run(*database);
        if (database->fault()) break;
      }
    if (!database->fault()) (void)database->commit();
    const std::optional<Error> failed = database->fault();
    if (failed) {
      database->rollback();
    } else if (const uint64_t written = database->rows_changed() - before; written > 0) {
      commits.fetch_add(1, std::memory_order_relaxed);  // relaxed: figures for people
      rows.fetch_add(written, std::memory_order_relaxed);
    }
    for (auto& call : batch) call->settle(failed);
  }

  template <class T>
  void post(typename CallOf<T>::Work work, typename CallOf<T>::Done done) {
    post(std::make_unique<CallOf<T>>(std::move(work), std::move(done)));
  }

  // As post(), for what peers cause: refused where too much waits already.
  template <class T>
  void ask(typename CallOf<T>::Work work, typename CallOf<T>::Done done) {
    auto call = std::make_unique<CallOf<T>>(std::move(work), std::move(done));
    if (length() < kQueueMax) return post(std::move(call));
    call->settle(Error{Errc::full, std::to_string(kQueueMax) + " calls wait for the disk: try again later", {}});
    const std::lock_guard lock(mutex);
    answered.push_back(std::move(call));
    eventfd_write(ready.get(), 1);
  }

  void post(std::unique_ptr<Call> call) {
    {
      const std::lock_guard lock(mutex);
      queued.push_back(std::move(call));
    }
    wake.notify_one();
  }

  [[nodiscard]] size_t length() const {
    const std::lock_guard lock(mutex);
    return queued.size() + in_work;
  }

  const std::unique_ptr<Database> database;  // the thread's alone
  const Fd ready;
  mutable std::mutex mutex;
  std::condition_variable wake;
  Calls queued, answered;  // guarded by the mutex, with the two below
  size_t in_work = 0;
  bool stopping = false;
  std::atomic<uint64_t> commits{0}, rows{0};
  std::thread thread;
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
  auto database = Database::open(path);
  if (!database) return database.error();
  try {
    return std::unique_ptr<Store>(new Store(std::make_unique<Impl>(std::move(database).value())));
  } catch (const std::system_error& error) {
    return {Errc::internal,
            std::string("the system gives the store no thread: ") + error.what() +
                " (too many processes: ulimit -u, TasksMax=; or a container runtime too old for this C library: it refuses clone3)"};
  }
}

Result<Loaded> Store::load(size_t finished_max) {
  std::promise<Result<Loaded>> promise;
  auto loaded = promise.get_future();
  impl_->post(std::make_unique<Load>(finished_max, std::move(promise)));
  return loaded.get();
}

void Store::insert(Job job, std::function<void(Result<Inserted>)> done, Result<void> room) {
  impl_->ask<Inserted>(
      [job = std::move(job), room = std::move(room)](Database& database) mutable { return database.insert(std::move(job), room); },
      std::move(done));
}

void Store::update(const Job& job, std::optional<Attempt> attempt, std::function<void(Result<void>)> done) {
  impl_->post<void>([job, attempt = std::move(attempt)](Database& database) { return database.update(job, attempt); }, std::move(done));
}

void Store::update_progress(const Job& job) {
  if (queue_length() >= kQueueMax) return;
  Job part;  // without args and result, which may be large
  part.id = job.id;
  part.fence = job.fence;
  part.rev = job.rev;
  part.progress = job.progress;
  impl_->post<void>([part = std::move(part)](Database& database) { return database.update_progress(part); }, nullptr);
}

void Store::get(const JobId& id, std::function<void(Result<Job>)> done) {
  impl_->ask<Job>([id](Database& database) { return database.get(id); }, std::move(done));
}

void Store::list(ListFilter filter, std::function<void(Result<std::vector<Job>>)> done) {
  impl_->ask<std::vector<Job>>([filter = std::move(filter)](Database& database) { return database.list(filter); }, std::move(done));
}

void Store::retain(const Retention& retention, std::function<void(Result<std::vector<JobId>>)> done) {
  impl_->post<std::vector<JobId>>([=](Database& database) { return database.retain(retention); }, std::move(done));
}

void Store::count(std::function<void(Result<std::array<int64_t, 8>>)> done) {
  impl_->ask<std::array<int64_t, 8>>([](Database& database) { return database.count(); }, std::move(done));
}

void Store::count_boot(std::function<void(Result<uint32_t>)> done) {
  impl_->post<uint32_t>([](Database& database) { return database.count_boot(); }, std::move(done));
}

int Store::ready_fd() const { return impl_->ready.get(); }

void Store::deliver() {
  Calls ready;
  {
    const std::lock_guard lock(impl_->mutex);
    eventfd_t count = 0;
    eventfd_read(impl_->ready.get(), &count);
    ready.swap(impl_->answered);
  }
  for (const auto& call : ready) call->answer();
}

size_t Store::queue_length() const { return impl_->length(); }

Store::Stats Store::stats() const { return {impl_->commits.load(std::memory_order_relaxed), impl_->rows.load(std::memory_order_relaxed)}; }

}  // namespace jobcast::engine
