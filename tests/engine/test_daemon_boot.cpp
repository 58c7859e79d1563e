// A machine that goes down: real engines, real TERM, and a boot id of its own for each start. What was begun is begun again only as often
// as its kind allows, and a stop is told apart from a power cut.
#include <csignal>
#include <fstream>
#include <memory>
#include <string>

#include "base/clock.h"
#include "tests/cmocka.h"
#include "tests/engine/daemon.h"

namespace {

using namespace jobcast;
using namespace jobcast::test;

std::unique_ptr<Daemon> daemon;

std::string text(JsonView view) { return std::string(view.string().value_or("")); }

// Kinds whose program notes that it ran, and which attempt it was told, then waits for ever.
int make_daemon(void**) {
  daemon = std::make_unique<Daemon>();
  const std::string program = R"("progress":"none","argv":["/bin/sh","-c","echo $JOBCAST_ATTEMPT >> )" + daemon->file("runs") +
                              R"(; while :; do sleep 0.01; done"])";
  daemon->add_kind("once", "{" + program + "}");
  daemon->add_kind("thrice", "{" + program + R"(,"max_attempts":3,"retry_initial_ms":1})");
  daemon->add_kind("firm", "{" + program + R"(,"max_attempts":3,"on_stop":"fail"})");
  daemon->add_kind("again", "{" + program + R"(,"on_stop":"requeue"})");
  daemon->add_kind("resumes", "{" + program + R"(,"on_stop":"resume"})");
  return 0;
}

int end_daemon(void**) {
  daemon.reset();
  return 0;
}

std::string runs() {
  std::ifstream in(daemon->file("runs"));
  std::string out;
  for (std::string line; std::getline(in, line);) out += line;
  return out;
}

void until_runs(const std::string& wanted) {
  std::string ran;
  const int64_t end = now().mono_ms() + kPatienceMs;
  while ((ran = runs()) != wanted)
    if (now().mono_ms() > end)
      fail_msg("it ran %s and not %s: %s", ran.c_str(), wanted.c_str(), daemon->result("job.list", "{}").dump().c_str());
}

std::string name_of_boot(int boot) { return std::string(11, '0') + std::to_string(boot); }

// As init does it: TERM, and the next engine finds another boot id.
void reboot(int boot) {
  assert_int_equal(daemon->stop(), 0);
  assert_true(daemon->boot(name_of_boot(boot)));
  assert_true(daemon->start());
}

void power_cut(int boot) {
  daemon->kill_hard();
  assert_true(daemon->boot(name_of_boot(boot)));
  assert_true(daemon->start());
}

void boot_first() {
  if (!daemon->boot(name_of_boot(1))) skip();
  assert_true(daemon->start());
}

void ended(const std::string& id, const char* reason, int64_t attempt) {
  const Json job = daemon->until(id, "failed");
  assert_string_equal(text(job.view().get("reason")).c_str(), reason);
  assert_int_equal(*job.view().get("attempt").integer(), attempt);
  assert_false(text(job.view().get("error")).empty());
}

void a_job_that_reboots_its_machine_runs_again_at_each_boot(void**) {
  boot_first();
  const std::string id = daemon->submit("once");
  until_runs("1");
  for (int boot = 2; boot <= 4; ++boot) reboot(boot);
  ended(id, "stopped", 1);
  assert_string_equal(runs().c_str(), "1");
}

void a_kind_with_three_attempts_runs_at_three_boots_and_no_more(void**) {
  boot_first();
  const std::string id = daemon->submit("thrice");
  until_runs("1");
  reboot(2);
  until_runs("12");
  reboot(3);
  until_runs("123");
  reboot(4);
  ended(id, "stopped", 3);
  reboot(5);
  assert_string_equal(runs().c_str(), "123");
}

void a_restart_of_the_engine_alone_costs_no_attempt(void**) {
  boot_first();
  const std::string id = daemon->submit("thrice"), other = daemon->submit("again");
  until("both ran", [] { return runs() == "11"; });
  for (int restarts = 2; restarts <= 4; ++restarts) {
    assert_int_equal(daemon->stop(), 0);
    assert_string_equal(daemon->stderr_text().find("event=stopped_unwritten") == std::string::npos ? "" : "unwritten", "");
    assert_true(daemon->start());
    until_runs(std::string(2 * static_cast<size_t>(restarts), '1'));
  }
  for (const std::string& job : {id, other}) assert_int_equal(*daemon->job(job).view().get("attempt").integer(), 1);
  reboot(2);  // and this one does
  daemon->until(id, "running");
  assert_int_equal(*daemon->job(id).view().get("attempt").integer(), 2);
  ended(other, "stopped", 1);
}

void a_kind_that_says_fail_is_not_begun_again_whatever_its_attempts(void**) {
  boot_first();
  const std::string id = daemon->submit("firm");
  until_runs("1");
  assert_int_equal(daemon->stop(), 0);
  assert_true(daemon->start());
  ended(id, "stopped", 1);
  assert_string_equal(runs().c_str(), "1");
}

void a_submit_for_one_attempt_is_not_begun_again_by_a_stop(void**) {
  boot_first();
  const std::string id = daemon->submit("thrice", R"(,"max_attempts":1)");
  until_runs("1");
  reboot(2);
  ended(id, "stopped", 1);
}

void a_kind_that_resumes_keeps_its_attempt_over_boots(void**) {
  boot_first();
  const std::string id = daemon->submit("resumes");
  until_runs("1");
  reboot(2);
  until_runs("11");
  reboot(3);
  until_runs("111");
  daemon->until(id, "running");
}

void a_power_cut_is_told_apart_from_a_stop(void**) {
  boot_first();
  const std::string once = daemon->submit("once");
  until_runs("1");
  power_cut(2);
  ended(once, "rebooted", 1);
  const std::string thrice = daemon->submit("thrice");
  until_runs("11");
  power_cut(3);
  until_runs("112");
  power_cut(4);
  until_runs("1123");
  power_cut(5);
  ended(thrice, "rebooted", 3);
  const std::string killed = daemon->submit("once");
  until_runs("11231");
  daemon->kill_hard();  // the engine alone: the machine is the same
  assert_true(daemon->start());
  ended(killed, "worker_lost", 1);
}

void a_cancelled_job_is_cancelled_by_a_stop(void**) {
  daemon->add_kind("slow-to-end", R"({"progress":"none","argv":["/bin/sh","-c","trap '' TERM; echo 1 >> )" + daemon->file("runs") +
                                      R"(; while :; do sleep 0.01; done"],"grace_ms":300})");
  boot_first();
  const std::string id = daemon->submit("slow-to-end");
  until_runs("1");
  (void)daemon->result("job.cancel", with_id(id));
  reboot(2);
  assert_string_equal(daemon->state(id).c_str(), "cancelled");
}

void what_waits_is_not_touched_by_a_boot(void**) {
  boot_first();
  const std::string first = daemon->submit("thrice", R"(,"queue":"one")"), second = daemon->submit("once", R"(,"queue":"one")");
  until_runs("1");
  reboot(2);
  until_runs("12");
  assert_string_equal(daemon->state(second).c_str(), "queued");
  (void)daemon->result("job.cancel", with_id(first));
  until_runs("121");
  daemon->until(second, "running");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_job_that_reboots_its_machine_runs_again_at_each_boot, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_kind_with_three_attempts_runs_at_three_boots_and_no_more, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_restart_of_the_engine_alone_costs_no_attempt, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_kind_that_says_fail_is_not_begun_again_whatever_its_attempts, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_submit_for_one_attempt_is_not_begun_again_by_a_stop, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_kind_that_resumes_keeps_its_attempt_over_boots, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_power_cut_is_told_apart_from_a_stop, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(a_cancelled_job_is_cancelled_by_a_stop, make_daemon, end_daemon),
      cmocka_unit_test_setup_teardown(what_waits_is_not_touched_by_a_boot, make_daemon, end_daemon),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
