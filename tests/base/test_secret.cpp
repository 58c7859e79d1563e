// Which files may hold a secret or a key.
#include "base/secret.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "tests/cmocka.h"

using namespace jobcast;

namespace {

struct File {
  char path[32] = "/tmp/jobcast-secret-XXXXXX";
  explicit File(mode_t mode) {
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, "sesame", 6), 6);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
  }
  ~File() { unlink(path); }
};

}  // namespace

static void secret_that_strangers_can_read_is_refused_with_its_remedy(void**) {
  for (const mode_t mode : {0644, 0604, 0666, 0602, 0777}) {
    const File file(mode);
    const auto read = read_secret_file(file.path, 64);
    assert_false(read.ok());
    assert_int_equal(read.error().code, Errc::invalid);
    assert_non_null(strstr(read.error().detail.c_str(), (std::string("chmod o-rwx ") + file.path).c_str()));
    assert_null(strstr(read.error().detail.c_str(), "sesame"));
  }
}

static void secret_of_its_owner_and_group_is_read(void**) {
  for (const mode_t mode : {0600, 0400, 0640, 0660}) {
    const File file(mode);
    const auto read = read_secret_file(file.path, 64);
    assert_true(read.ok());
    assert_string_equal(read->c_str(), "sesame");
  }
}

static void public_key_that_strangers_can_change_is_refused(void**) {
  assert_true(check_guarded(File(0644).path, Guarded::from_writing).ok());
  const File file(0646);
  const auto checked = check_guarded(file.path, Guarded::from_writing);
  assert_int_equal(checked.error().code, Errc::invalid);
  assert_non_null(strstr(checked.error().detail.c_str(), "chmod o-w "));
}

static void absent_file_and_pipe_are_told_apart_from_an_open_secret(void**) {
  assert_int_equal(check_guarded("/nonexistent/key", Guarded::from_reading).error().code, Errc::not_found);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_true(check_guarded("/proc/self/fd/" + std::to_string(ends[0]), Guarded::from_reading).ok());
  close(ends[0]);
  close(ends[1]);
}

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(secret_that_strangers_can_read_is_refused_with_its_remedy),
      cmocka_unit_test(secret_of_its_owner_and_group_is_read),
      cmocka_unit_test(public_key_that_strangers_can_change_is_refused),
      cmocka_unit_test(absent_file_and_pipe_are_told_apart_from_an_open_secret),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
