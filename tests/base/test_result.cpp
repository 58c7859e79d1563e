// A value or an error, never both, and the words that errors have on every wire.
#include "base/result.h"

#include <memory>

#include "tests/cmocka.h"

namespace {

using jobcast::Errc;
using jobcast::Error;
using jobcast::Result;

Result<int> half(int number) {
  if (number % 2) return {Errc::invalid, "is odd: give an even number", "number"};
  return number / 2;
}

Result<void> check(bool good) {
  if (!good) return {Errc::full, "no room"};
  return {};
}

void value_is_reached_in_every_way(void**) {
  auto result = half(8);
  assert_true(result.ok());
  assert_true(static_cast<bool>(result));
  assert_int_equal(*result, 4);
  *result = 5;
  assert_int_equal(result.value(), 5);
  const Result<std::string> text = std::string("abc");
  assert_int_equal(text->size(), 3);
  assert_string_equal((*text).c_str(), "abc");
}

void error_keeps_code_detail_and_field(void**) {
  const auto result = half(7);
  assert_false(result.ok());
  assert_int_equal(result.error().code, Errc::invalid);
  assert_string_equal(result.error().detail.c_str(), "is odd: give an even number");
  assert_string_equal(result.error().field.c_str(), "number");
}

void value_that_only_moves_is_moved_out(void**) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = std::move(result).value();
  assert_int_equal(*taken, 3);
}

void result_of_void_is_good_unless_it_has_an_error(void**) {
  assert_true(check(true).ok());
  const auto bad = check(false);
  assert_false(static_cast<bool>(bad));
  assert_int_equal(bad.error().code, Errc::full);
  const Result<void> passed_on = bad.error();
  assert_string_equal(passed_on.error().detail.c_str(), "no room");
  assert_string_equal(passed_on.error().field.c_str(), "");
}

void every_code_has_its_word_and_the_number_of_the_c_header(void**) {
  struct Known {
    Errc code;
    int status;
    const char* word;
  };
  for (const Known& known :
       {Known{Errc::invalid, JOBCAST_INVALID, "invalid"}, Known{Errc::unauthorized, JOBCAST_UNAUTHORIZED, "unauthorized"},
        Known{Errc::not_found, JOBCAST_NOT_FOUND, "not_found"}, Known{Errc::full, JOBCAST_FULL, "full"},
        Known{Errc::retry, JOBCAST_RETRY, "retry"}, Known{Errc::closed, JOBCAST_CLOSED, "closed"},
        Known{Errc::corrupt, JOBCAST_CORRUPT, "corrupt"}, Known{Errc::internal, JOBCAST_INTERNAL, "internal"}}) {
    assert_int_equal(static_cast<int>(known.code), known.status);
    assert_string_equal(jobcast::name(known.code), known.word);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(value_is_reached_in_every_way),
      cmocka_unit_test(error_keeps_code_detail_and_field),
      cmocka_unit_test(value_that_only_moves_is_moved_out),
      cmocka_unit_test(result_of_void_is_good_unless_it_has_an_error),
      cmocka_unit_test(every_code_has_its_word_and_the_number_of_the_c_header),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
