// The options of a vhost: what lwsws hands over, in its order and with its habits.
#include "lws-plugin/options.h"

#include <string>
#include <vector>

#include "tests/cmocka.h"

using namespace jobcast;
using namespace jobcast::plugin;

namespace {

Result<Options> parse(std::vector<Pvo> pvos, bool with_key = true) {
  if (with_key) pvos.push_back({"key", "HS256:/k"});
  return Options::parse(pvos);
}

void refuses(Pvo pvo, const char* word) {
  const auto options = parse({pvo});
  assert_false(options.ok());
  assert_string_equal(options.error().field.c_str(), std::string(pvo.name).c_str());
  if (options.error().detail.find(word) == std::string::npos) fail_msg("%s: no \"%s\"", options.error().detail.c_str(), word);
}

}  // namespace

static void defaults_stand_in_the_table(void**) {
  const auto options = parse({});
  assert_true(options.ok());
  for (const NumberOption& option : number_options()) {
    assert_true(option.min <= option.fallback && option.fallback <= option.max);
    Options set = *options;
    option.set(set, option.fallback);
    const auto numbers = [](const Options& o) {
      return std::vector<int64_t>{o.auth.leeway_s,
                                  o.hub.auth_timeout_ms,
                                  o.hub.expiry_warning_s,
                                  o.hub.min_interval_ms,
                                  static_cast<int64_t>(o.hub.subscriptions_per_session_max),
                                  static_cast<int64_t>(o.hub.sessions_per_user_max),
                                  static_cast<int64_t>(o.hub.topics_max),
                                  o.hub.messages_per_second_max,
                                  o.hub.messages_burst_max,
                                  static_cast<int64_t>(o.hub.message_bytes_max),
                                  o.key_grace_s,
                                  o.fragments_max,
                                  o.connections_max,
                                  o.connections_per_address_max,
                                  o.streams_max,
                                  o.streams_per_user_max,
                                  o.body_bytes_max,
                                  o.body_time_ms,
                                  o.wait_max_s,
                                  o.engine_timeout_ms,
                                  o.calls_max,
                                  o.calls_per_user_max,
                                  o.ping_interval_s,
                                  o.ping_timeout_s,
                                  o.sse_keepalive_s,
                                  o.tickets_max,
                                  o.tickets_per_user_max};
    };
    const auto before = numbers(*options), after = numbers(set);
    assert_int_equal(before.size(), number_options().size());
    if (before != after) fail_msg("%s: its default is another one", option.name);
  }
}

static void every_number_is_held_to_its_range(void**) {
  for (const NumberOption& option : number_options()) {
    assert_true(parse({{option.name, std::to_string(option.min)}}).ok());
    assert_true(parse({{option.name, std::to_string(option.max)}}).ok());
    refuses({option.name, std::to_string(uint64_t{option.max} + 1)}, std::to_string(option.max).c_str());
    refuses({option.name, "-1"}, "whole number");
    refuses({option.name, ""}, "whole number");
    refuses({option.name, "1.5"}, "whole number");
    refuses({option.name, "1s"}, option.unit);
  }
}

static void keys_and_origins_come_in_several_or_in_a_list(void**) {
  // lwsws reverses the order, and an array's elements come with brackets.
  const auto options = Options::parse(
      std::vector<Pvo>{{"origin[]", "https://B.example"}, {"origin[]", "http://a:81"}, {"key", "RS256:/second"}, {"key", "HS256:/first"}});
  assert_true(options.ok());
  assert_int_equal(options->auth.keys.size(), 2);
  assert_string_equal(options->auth.keys[0].c_str(), "HS256:/first");
  assert_string_equal(options->origins[0].c_str(), "https://b.example");
  assert_int_equal(parse({{"origin", "https://a, https://b\thttps://c"}})->origins.size(), 3);
  refuses({"origin", "a.example"}, "https://");
  refuses({"origin", "https://a.example/path"}, "no path");
  refuses({"origin", "https://*.example"}, "scheme");
}

static void unknown_repeated_and_missing_are_named(void**) {
  refuses({"colour", "red"}, "configuration.md");
  const auto twice = parse({{"wait-max", "5"}, {"wait-max", "6"}});
  assert_false(twice.ok());
  assert_string_equal(twice.error().field.c_str(), "wait-max");
  const auto without = parse({}, false);
  assert_string_equal(without.error().field.c_str(), "key");
  const std::string cut_by_lwsws(254, 'x');
  refuses({"issuer", cut_by_lwsws}, "cut");
  assert_true(parse({{"default", "1"}, {"raw", "0"}}).ok());
}

static void mount_and_socket_are_paths(void**) {
  assert_string_equal(parse({{"mount", "/a/b/"}})->mount.c_str(), "/a/b");
  assert_string_equal(parse({{"mount", "/"}})->mount.c_str(), "");
  refuses({"mount", "jobcast"}, "path");
  refuses({"mount", "/a?b"}, "path");
  refuses({"engine", "run/engine.sock"}, "absolute");
  const std::string too_long = "/" + std::string(107, 'x');
  refuses({"engine", too_long}, "107");
  refuses({"cookie", "a=b"}, "cookie");
  assert_string_equal(parse({{"cookie", ""}})->cookie.c_str(), "");
}

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(defaults_stand_in_the_table), cmocka_unit_test(every_number_is_held_to_its_range),
                              cmocka_unit_test(keys_and_origins_come_in_several_or_in_a_list),
                              cmocka_unit_test(unknown_repeated_and_missing_are_named), cmocka_unit_test(mount_and_socket_are_paths)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
