// The plugin's options as a vhost gives them: lists, paths with odd names, and what is refused.
#include "lws-plugin/options.h"

#include <algorithm>

#include "tests/cmocka.h"

namespace {

using jobcast::plugin::Options;
using jobcast::plugin::Pvo;

std::vector<std::string> keys_of(std::vector<Pvo> pvos) {
  auto options = Options::parse(pvos);
  if (!options) fail_msg("%s", options.error().detail.c_str());
  return options->auth.keys;
}

void assert_keys(std::vector<Pvo> pvos, const std::vector<std::string>& wanted) {
  auto keys = keys_of(std::move(pvos));
  std::sort(keys.begin(), keys.end());
  assert_true(keys == wanted);
}

void keys_come_in_one_option_or_in_several(void**) {
  assert_keys({{"key", "HS256:/a"}}, {"HS256:/a"});
  assert_keys({{"key", " HS256:/a,RS256:/b.pem#2026\tES256:/c ,, jwks:/d "}}, {"ES256:/c", "HS256:/a", "RS256:/b.pem#2026", "jwks:/d"});
  assert_keys({{"key[]", "HS256:/a"}, {"key[]", "RS256:/b"}}, {"HS256:/a", "RS256:/b"});
}

void a_keys_path_may_hold_blanks_and_commas(void**) {
  assert_keys({{"key", "HS256:/home/a user/jobs, old/hs256.key"}}, {"HS256:/home/a user/jobs, old/hs256.key"});
  assert_keys({{"key", "HS256:/a b.key, RS256:/c d.pem#x "}}, {"HS256:/a b.key", "RS256:/c d.pem#x"});
}

void a_vhost_without_a_key_is_refused(void**) {
  for (const std::string_view value : {"", " ,", "\t"}) assert_false(Options::parse(std::vector<Pvo>{{"key", value}}).ok());
  assert_false(Options::parse({}).ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(keys_come_in_one_option_or_in_several),
      cmocka_unit_test(a_keys_path_may_hold_blanks_and_commas),
      cmocka_unit_test(a_vhost_without_a_key_is_refused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
