// Owners of C objects close what they own exactly once.
#include "base/handle.h"

#include <fcntl.h>
#include <unistd.h>

#include "tests/cmocka.h"

namespace {

using jobcast::Fd;

int freed = 0;
struct Object {
  int id;
};
void free_object(Object* object) {
  ++freed;
  delete object;
}

bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

Fd some_fd() {
  Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  assert_true(fd.get() >= 0);
  return fd;
}

void handle_calls_its_closer_once_and_not_for_null(void**) {
  freed = 0;
  {
    jobcast::Handle<Object, free_object> none;
    jobcast::Handle<Object, free_object> one(new Object{1});
    jobcast::Handle<Object, free_object> moved = std::move(one);
    assert_null(one.get());
    assert_int_equal(moved->id, 1);
  }
  assert_int_equal(freed, 1);
}

void fd_closes_when_its_owner_goes(void**) {
  int number = -1;
  {
    const Fd fd = some_fd();
    number = fd.get();
    assert_true(static_cast<bool>(fd));
    assert_true(is_open(number));
  }
  assert_false(is_open(number));
}

void moved_fd_has_one_owner(void**) {
  Fd first = some_fd();
  const int number = first.get();
  Fd second(std::move(first));
  assert_false(static_cast<bool>(first));
  assert_int_equal(second.get(), number);
  Fd third = some_fd();
  const int replaced = third.get();
  third = std::move(second);
  assert_false(is_open(replaced));
  assert_int_equal(third.get(), number);
  assert_true(is_open(number));
}

void fd_moved_to_itself_stays_open(void**) {
  Fd fd = some_fd();
  Fd& same = fd;
  fd = std::move(same);
  assert_true(is_open(fd.get()));
}

void released_fd_is_left_open(void**) {
  Fd fd = some_fd();
  const int number = fd.release();
  assert_int_equal(fd.get(), -1);
  fd.reset();
  assert_true(is_open(number));
  close(number);
}

void reset_closes_the_old_and_owns_the_new(void**) {
  Fd fd = some_fd();
  const int old = fd.get();
  const int fresh = open("/dev/null", O_RDONLY | O_CLOEXEC);
  fd.reset(fresh);
  assert_false(is_open(old));
  assert_true(is_open(fresh));
  fd.reset();
  assert_false(is_open(fresh));
  assert_false(static_cast<bool>(fd));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(handle_calls_its_closer_once_and_not_for_null),
      cmocka_unit_test(fd_closes_when_its_owner_goes),
      cmocka_unit_test(moved_fd_has_one_owner),
      cmocka_unit_test(fd_moved_to_itself_stays_open),
      cmocka_unit_test(released_fd_is_left_open),
      cmocka_unit_test(reset_closes_the_old_and_owns_the_new),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
