// The engine's config: the ready file is right, and each fault names file, field and remedy.
#include "engine/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/cmocka.h"

namespace {

using namespace jobcast::engine;
using jobcast::Errc;

std::string directory;

int make_directory(void**) {
  char name[] = "/tmp/jobcast-config-XXXXXX";
  if (!mkdtemp(name)) return -1;
  directory = name;
  return 0;
}

int remove_directory(void**) {
  unlink((directory + "/jobcastd.conf").c_str());
  unlink((directory + "/plain").c_str());
  return rmdir(directory.c_str());
}

std::string write_file(const char* name, const std::string& text) {
  const std::string path = directory + "/" + name;
  std::ofstream(path) << text;
  return path;
}

// The first fault, as a check of the file finds it, or the config.
jobcast::Result<Config> checked(const std::string& path) {
  jobcast::Faults faults;
  Config config = read_config(path, faults);
  for (const jobcast::Fault& fault : faults.list())
    if (fault.severity != jobcast::Severity::warning) return {Errc::invalid, fault.text(), fault.key};
  return config;
}

jobcast::Result<Config> config_of(const std::string& text) { return checked(write_file("jobcastd.conf", text)); }

// A config whose one kind has these members besides its program.
std::string with_kind(const std::string& members) { return R"({"kinds":{"k":{"argv":["/bin/true"])" + members + "}}}"; }

void refused(const std::string& text, const char* field, const char* remedy) {
  const auto config = config_of(text);
  if (config.ok()) fail_msg("accepted: %s", text.c_str());
  assert_int_equal(config.error().code, Errc::invalid);
  assert_string_equal(config.error().field.c_str(), field);
  if (!strstr(config.error().detail.c_str(), (directory + "/jobcastd.conf:1:").c_str()))
    fail_msg("no file in: %s", config.error().detail.c_str());
  if (!strstr(config.error().detail.c_str(), field)) fail_msg("no field in: %s", config.error().detail.c_str());
  if (!strstr(config.error().detail.c_str(), remedy)) fail_msg("\"%s\" is not in: %s", remedy, config.error().detail.c_str());
}

void an_empty_config_has_every_default(void**) {
  const auto config = config_of("# nothing but a comment\n{}\n");
  assert_true(config.ok());
  assert_string_equal(config->socket.c_str(), "/run/jobcast/engine.sock");
  assert_int_equal(config->progress_interval_ms, 50);
  assert_int_equal(config->queues.at("default").concurrency, 1);
  assert_string_equal(config->queues.at("default").name.c_str(), "default");
  assert_int_equal(config->kinds.size(), 0);
}

void every_key_arrives_where_it_belongs(void**) {
  const auto config = config_of(R"({
    "socket": "/tmp/e.sock", "state_dir": "/tmp/s", "control": {"users": ["nobody"], "groups": ["root"], "connections_max": 7},
    "progress_interval_ms": 100, "ring_bytes": 65536, "slots": 16, "readers_max": 2, "retain_count": 5, "retain_ms": 6000,
    "queues": {"fast": {"concurrency": 3, "waiting_max": 9}},
    "kinds": {"k": {"argv": ["/bin/true", "-x"], "argv_from_args": ["a", "b"], "argv_dash": true, "queue": "fast", "progress": "pv", "timeout_ms": 1,
      "grace_ms": 2, "cancel_ms": 3, "max_attempts": 4, "max_attempts_limit": 5, "retry_initial_ms": 6, "retry_max_ms": 7,
      "retry_multiplier": 1.5, "retry_jitter": 0.5, "env_allow": ["LANG"], "env_set": {"A": "b"}, "working_dir": "/tmp", "threads": 8,
      "log_bytes_max": 9, "log_bytes_per_second_max": 2048, "address_space_bytes_max": 11, "file_bytes_max": 12, "open_files_max": 16}}})");
  if (!config.ok()) fail_msg("%s", config.error().detail.c_str());
  assert_string_equal(config->socket.c_str(), "/tmp/e.sock");
  assert_string_equal(config->state_dir.c_str(), "/tmp/s");
  assert_string_equal(config->control_users.at(0).c_str(), "nobody");
  assert_string_equal(config->control_groups.at(0).c_str(), "root");
  assert_int_equal(config->control_connections_max, 7);
  assert_int_equal(config->progress_interval_ms, 100);
  assert_int_equal(config->ring_bytes, 65536);
  assert_int_equal(config->slots, 16);
  assert_int_equal(config->readers_max, 2);
  assert_int_equal(config->retain_count, 5);
  assert_int_equal(config->retain_ms, 6000);
  assert_int_equal(config->queues.at("fast").concurrency, 3);
  assert_int_equal(config->queues.at("fast").waiting_max, 9);
  const KindConfig& kind = config->kinds.at("k");
  assert_string_equal(kind.name.c_str(), "k");
  assert_string_equal(kind.argv.at(1).c_str(), "-x");
  assert_string_equal(kind.argv_from_args.at(1).c_str(), "b");
  assert_true(kind.argv_dash);
  assert_string_equal(kind.queue.c_str(), "fast");
  assert_int_equal(kind.progress, ProgressSource::pv);
  assert_int_equal(kind.timeout_ms, 1);
  assert_int_equal(kind.grace_ms, 2);
  assert_int_equal(kind.cancel_ms, 3);
  assert_int_equal(kind.max_attempts, 4);
  assert_int_equal(kind.max_attempts_limit, 5);
  assert_int_equal(kind.retry_initial_ms, 6);
  assert_int_equal(kind.retry_max_ms, 7);
  assert_true(kind.retry_multiplier == 1.5 && kind.retry_jitter == 0.5);
  assert_string_equal(kind.env_allow.at(0).c_str(), "LANG");
  assert_string_equal(kind.env_set.at("A").c_str(), "b");
  assert_string_equal(kind.working_dir.c_str(), "/tmp");
  assert_int_equal(kind.threads, 8);
  assert_int_equal(kind.log_bytes_max, 9);
  assert_int_equal(kind.log_bytes_per_second_max, 2048);
  assert_int_equal(kind.address_space_bytes_max, 11);
  assert_int_equal(kind.file_bytes_max, 12);
  assert_int_equal(kind.open_files_max, 16);
}

void threads_0_means_all_processors(void**) {
  const auto config = config_of(with_kind(R"(,"threads":0)"));
  assert_true(config.ok());
  assert_true(config->kinds.at("k").threads >= 1);
}

void a_limit_left_out_is_the_number_of_attempts(void**) {
  const auto config = config_of(with_kind(R"(,"max_attempts":4,"retry_initial_ms":90000)"));
  assert_true(config.ok());
  assert_int_equal(config->kinds.at("k").max_attempts_limit, 4);
  assert_int_equal(config->kinds.at("k").retry_max_ms, 90'000);
}

void faults_at_the_top_are_named(void**) {
  refused(R"({"sokcet":"/x"})", "sokcet", "did you mean \"socket\"");
  refused(R"({"socket":"x.sock"})", "socket", "absolute");
  refused(R"({"socket":"/)" + std::string(108, 's') + R"("})", "socket", "107");
  refused(R"({"state_dir":"var"})", "state_dir", "absolute");
  refused(R"({"ring_bytes":100000})", "ring_bytes", "power of two");
  refused(R"({"ring_bytes":1024})", "ring_bytes", "from 65536");
  refused(R"({"progress_interval_ms":0})", "progress_interval_ms", "from 1 to 60000");
  refused(R"({"slots":1})", "slots", "16");
  refused(R"({"readers_max":0})", "readers_max", "1");
  refused(R"({"control":{"user":["a"]}})", "control.user", "did you mean \"users\"");
  refused(R"({"control":{"users":[1]}})", "control.users", "strings");
  refused(R"({"control":[]})", "control", "must be an object");
  refused(R"({"queues":{"Fast!":{}}})", "queues", "a-z");
  refused(R"({"queues":{"fast":{"concurrency":0}}})", "queues.fast.concurrency", "1 to 1024");
  refused(R"({"queues":{"fast":7}})", "queues.fast", "must be an object");
  refused(R"({"retain_ms":1})", "retain_ms", "1000");
}

void faults_of_a_kind_are_named(void**) {
  refused(R"({"kinds":{"k":{}}})", "kinds.k.argv", "is required");
  refused(R"({"kinds":{"k":{"argv":"/bin/true"}}})", "kinds.k.argv", "must be an array");
  refused(R"({"kinds":{"k":{"argv":["true"]}}})", "kinds.k.argv", "absolute path");
  refused(R"({"kinds":{"k":{"argv":["/no/such/program"]}}})", "kinds.k.argv", "does not exist: /no/such/program");
  refused(R"({"kinds":{"k":{"argv":["/tmp"]}}})", "kinds.k.argv", "names a directory");
  refused(R"({"kinds":{"Ä":{"argv":["/bin/true"]}}})", "kinds", "a-z");
  refused(with_kind(R"(,"queue":"fast")"), "kinds.k.queue", "(default): add it");
  refused(with_kind(R"(,"progress":"guess")"), "kinds.k.progress", "none, worker, pv");
  refused(with_kind(R"(,"max_attempts":3,"max_attempts_limit":2)"), "kinds.k.max_attempts_limit", "below max_attempts");
  refused(with_kind(R"(,"max_attempts":26)"), "kinds.k.max_attempts", "1 to 25");
  refused(with_kind(R"(,"retry_initial_ms":10,"retry_max_ms":9)"), "kinds.k.retry_max_ms", "below retry_initial_ms");
  refused(with_kind(R"(,"retry_jitter":2)"), "kinds.k.retry_jitter", "from 0 to 1");
  refused(with_kind(R"(,"retry_multiplier":0.5)"), "kinds.k.retry_multiplier", "from 1 to 100");
  refused(with_kind(R"(,"env_allow":["A=B"])"), "kinds.k.env_allow", "no name of a variable");
  refused(with_kind(R"(,"env_allow":["JOBCAST_FD"])"), "kinds.k.env_allow", "engine's own");
  refused(with_kind(R"(,"env_set":{"1A":"x"})"), "kinds.k.env_set", "no name of a variable");
  refused(with_kind(R"(,"env_set":{"JOBCAST_FD":"x"})"), "kinds.k.env_set", "engine's own");
  refused(with_kind(R"(,"env_set":{"A":1})"), "kinds.k.env_set", "must hold strings; A is of type number");
  refused(with_kind(R"(,"working_dir":"tmp")"), "kinds.k.working_dir", "absolute");
  refused(with_kind(R"(,"working_dir":"/no/such/dir")"), "kinds.k.working_dir", "create it");
  refused(with_kind(R"(,"threads":-1)"), "kinds.k.threads", "0 to 1024");
  refused(with_kind(R"(,"timeout_ms":"1s")"), "kinds.k.timeout_ms", "whole number");
  refused(with_kind(R"(,"timeout":1)"), "kinds.k.timeout", "not known");
}

void a_program_that_may_not_be_executed_is_refused(void**) {
  const std::string plain = write_file("plain", "#!/bin/sh\n");
  chmod(plain.c_str(), 0644);
  refused(R"({"kinds":{"k":{"argv":[")" + plain + R"("]}}})", "kinds.k.argv", "chmod +x");
}

void an_absent_file_is_named(void**) {
  const auto config = checked("/no/such/jobcastd.conf");
  assert_non_null(strstr(config.error().detail.c_str(), "/no/such/jobcastd.conf"));
}

void a_file_that_is_no_json_is_named_with_its_line(void**) {
  const auto config = config_of("{\n  \"slots\": 16,\n  \"slots\" 16\n}\n");
  assert_int_equal(config.error().code, Errc::invalid);
  assert_non_null(strstr(config.error().detail.c_str(), "jobcastd.conf:3"));
}

void the_ready_config_is_accepted_where_its_program_exists(void**) {
  std::ifstream file(std::string(getenv("JOBCAST_SOURCE")) + "/conf/jobcastd.conf");
  std::stringstream text;
  text << file.rdbuf();
  std::string ready = text.str();
  const std::string program = "/usr/libexec/jobcast/plo-equity";
  const size_t at = ready.find(program);
  assert_true(at != std::string::npos);
  ready.replace(at, program.size(), "/bin/true");
  const std::string group = R"("groups": ["jobcast"])";  // this machine need not have it
  assert_true(ready.find(group) != std::string::npos);
  const auto config = config_of(ready.replace(ready.find(group), group.size(), R"("groups": [])"));
  if (!config.ok()) fail_msg("%s", config.error().detail.c_str());
  assert_int_equal(config->kinds.count("plo-equity"), 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_empty_config_has_every_default),
      cmocka_unit_test(every_key_arrives_where_it_belongs),
      cmocka_unit_test(threads_0_means_all_processors),
      cmocka_unit_test(a_limit_left_out_is_the_number_of_attempts),
      cmocka_unit_test(faults_at_the_top_are_named),
      cmocka_unit_test(faults_of_a_kind_are_named),
      cmocka_unit_test(a_program_that_may_not_be_executed_is_refused),
      cmocka_unit_test(an_absent_file_is_named),
      cmocka_unit_test(a_file_that_is_no_json_is_named_with_its_line),
      cmocka_unit_test(the_ready_config_is_accepted_where_its_program_exists),
  };
  return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
