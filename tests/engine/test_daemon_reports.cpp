// What a job says, as people see it: through the worker library, a real engine and its snapshots.
#include <filesystem>
#include <memory>
#include <string>

#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

int start_daemon(void**) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "job_program";
  daemon = std::make_unique<Daemon>();
  daemon->add_kind("steps", R"({"argv":[")" + program + R"(","report-in-steps",")" + daemon->file("step") + R"("]})");
  assert_true(daemon->start());
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

// The progress once its `done` is this.
Json progress(const std::string& id, int64_t done) {
  Json job;
  until("the report", [&] {
    job = daemon->job(id);
    return job.view().get("progress").get("done").integer() == done;
  });
  return Json::parse(job.view().get("progress").dump()).value();
}

void a_snapshot_shows_one_report(void**) {
  const std::string id = daemon->submit("steps");
  const Json first = progress(id, 600);
  assert_true(first.view().get("total").integer() == 1000);
  assert_true(first.view().get("percent").number() == 60.0);
  assert_true(first.view().get("phase").string() == "write");
  assert_true(first.view().get("message").string() == "block 600");

  daemon->touch("step1");  // a total of 0 is unknown again, and a message of NULL is none
  const Json second = progress(id, 601);
  for (const char* gone : {"total", "percent", "eta_ms", "message"}) assert_true(second.view().get(gone).is_null());

  daemon->touch("step2");  // a phase counts anew
  const Json third = progress(id, 3);
  assert_true(third.view().get("percent").number() == 0.3);
  assert_true(third.view().get("eta_ms").is_null());
  assert_true(third.view().get("phase").string() == "verify");

  daemon->touch("step3");
  assert_true(progress(id, 4).view().get("phase").is_null());
  daemon->touch("step4");
  daemon->until(id, "completed");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_snapshot_shows_one_report, start_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
