// lwsws's configuration format, as jobcast-host reads it: what it takes, and what it refuses by name.
#include "lws-plugin/host/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/cmocka.h"

using namespace jobcast;
using namespace jobcast::host;

namespace {

std::string dir;

std::string write(const std::string& name, const std::string& text) {
  const std::string path = dir + "/" + name;
  FILE* file = fopen(path.c_str(), "w");
  fputs(text.c_str(), file);
  fclose(file);
  return path;
}

// The first fault that is worse than a warning, or the config.
Result<HostConfig> checked(const std::string& path) {
  Faults faults;
  HostConfig config = read_config(path, faults, false);
  for (const Fault& fault : faults.list())
    if (fault.severity == Severity::fatal) return {Errc::invalid, fault.text(), fault.key};
  return config;
}

void refuses(const std::string& text, const char* word) {
  const auto config = checked(write("bad", text));
  assert_false(config.ok());
  if (config.error().detail.find(word) == std::string::npos) fail_msg("%s: no \"%s\"", config.error().detail.c_str(), word);
  assert_int_equal(config.error().detail.find(dir), 0);
}

std::string vhost(const std::string& members) { return R"({"vhosts": [{"port": "0")" + members + "}]}"; }

}  // namespace

static void directory_is_read_like_lwsws_does(void**) {
  mkdir((dir + "/conf.d").c_str(), 0700);
  write("conf", "# whole server\n{ \"global\": { \"timeout-secs\": \"7\", \"plugin-dir\": \"/p\", \"init-ssl\": \"no\" } }");
  write("conf.d/b", R"({"vhosts": [{"name": "b", "port": 81}]})");
  write("conf.d/a", R"({ "vhosts": [{ "name": "a", "port": "80", "interface": "lo", "disable-no-protocol-ws-upgrades": "on",
    "headers": [{"x-a": "1"}, {"x-b": "2"}],
    "mounts": [{"mountpoint": "/", "origin": "file:///srv", "default": "i.html"}, {"mountpoint": "/j", "origin": "callback://jobcast"}],
    "ws-protocols": [{"jobcast": {"engine": "/e", "key": ["a", "b"], "wait-max": 9}}] }] })");
  write("conf.d/.hidden", "nonsense");
  Faults faults;  // of the directories and files that it names
  const HostConfig read = read_config(dir, faults, false);
  const HostConfig* const config = &read;
  for (const Fault& fault : faults.list()) assert_null(strstr(fault.problem.c_str(), "known"));
  assert_int_equal(config->timeout_s, 7);
  assert_string_equal(config->plugin_dirs.at(0).c_str(), "/p");
  assert_int_equal(config->vhosts.size(), 2);
  const VhostConfig& a = config->vhosts[0];
  assert_string_equal(a.name.c_str(), "a");
  assert_int_equal(a.port, 80);
  assert_int_equal(config->vhosts[1].port, 81);
  assert_true(a.needs_subprotocol);
  assert_int_equal(a.headers.size(), 2);
  assert_string_equal(a.mounts[0].origin.c_str(), "/srv");
  assert_true(a.mounts[1].kind == Mount::Kind::callback);
  const Protocol& protocol = a.protocols.at(0);
  assert_string_equal(protocol.name.c_str(), "jobcast");
  assert_int_equal(protocol.options.size(), 4);
  assert_string_equal(protocol.options[2].second.c_str(), "b");
  assert_string_equal(protocol.options[3].second.c_str(), "9");
}

static void faults_name_file_field_and_remedy(void**) {
  refuses("{", "bad:1");
  refuses(R"({"vhosts": []})", "vhosts are missing");
  refuses(R"({"vhosts": [{}]})", "vhosts[0].port");
  refuses(vhost(R"(, "colour": "red")"), "vhosts[0].colour is not known");
  refuses(vhost(R"(, "access-log": "/l")"), "access-log is lwsws's");
  refuses(vhost(R"(, "port2": 1)"), "port2");
  refuses(vhost(R"(, "sts": "onn")"), "vhosts[0].sts must be \"on\"");
  refuses(vhost(R"(, "alpn": "h2")"), "http/1.1");
  refuses(vhost(R"(, "mounts": [{"mountpoint": "/", "origin": "cgi:///x"}])"), "vhosts[0].mounts[0].origin");
  refuses(vhost(R"(, "mounts": [{"mountpoint": "x", "origin": "file:///x"}])"), "mountpoint");
  refuses(vhost(R"(, "mounts": {})"), "array");
  refuses(vhost(R"(, "mounts": [{"mountpoint": "/x", "origin": "callback://jobcast"}])"), "vhosts[0].mounts[0].origin names a protocol");
  refuses(vhost(R"(, "ws-protocols": [{"jobcast": "on"}])"), "ws-protocols[0].jobcast");
  refuses(R"({"vhosts": [{"port": "70000"}]})", "65535");
  refuses(R"({"vhosts": [{"port": "x"}]})", "whole number");
  refuses(R"({"global": {"event-loop": "epoll"}, "vhosts": [{"port": "0"}]})", "libuv");
  refuses(R"({"global": {"uid": "0"}, "vhosts": [{"port": "0"}]})", "uid");
  const auto absent = checked(dir + "/absent");
  assert_non_null(strstr(absent.error().detail.c_str(), "No such file"));
}

static int make_dir(void**) {
  char path[] = "/tmp/jobcast-test-XXXXXX";
  dir = mkdtemp(path);
  return 0;
}

static int remove_dir(void**) { return system(("rm -r " + dir).c_str()); }

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(directory_is_read_like_lwsws_does), cmocka_unit_test(faults_name_file_field_and_remedy)};
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
