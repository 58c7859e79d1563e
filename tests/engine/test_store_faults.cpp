// What the store says of files that it cannot or must not use: each fault has its code and its remedy.
#include <fcntl.h>

#include <cstring>
#include <fstream>

#include "engine/store_sql.h"
#include "tests/engine/store_fixture.h"

namespace {

using namespace jobcast::engine;
using jobcast::Errc;
using jobcast::engine::insert;

void refused(Errc code, const char* remedy) {
  const auto store = Store::open(store_path());
  if (store.ok()) fail_msg("opened");
  assert_int_equal(store.error().code, code);
  if (!strstr(store.error().detail.c_str(), store_path().c_str())) fail_msg("no file in: %s", store.error().detail.c_str());
  if (!strstr(store.error().detail.c_str(), remedy)) fail_msg("\"%s\" is not in: %s", remedy, store.error().detail.c_str());
}

void with_sqlite(const char* sql) {
  sqlite3* connection = nullptr;
  assert_int_equal(sqlite3_open(store_path().c_str(), &connection), SQLITE_OK);
  assert_int_equal(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(connection);
}

void a_file_that_is_no_database_is_corrupt(void**) {
  std::ofstream(store_path()) << std::string(8192, 'x');
  refused(Errc::corrupt, ".recover");
}

void a_damaged_page_is_corrupt(void**) {
  {
    auto store = open_store();
    assert_true(store->load(0).ok());
    for (int i = 0; i < 2000; ++i) store->insert(new_job(), nullptr);
    assert_true(insert(*store, new_job()).ok());
  }
  {
    std::fstream file(store_path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(0, std::ios::end);
    const auto end = file.tellp();
    for (std::streamoff page = 10 * 4096; page + 4096 <= end; page += 4096) {
      file.seekp(page);
      file << std::string(64, '\xa5');
    }
  }
  refused(Errc::corrupt, ".recover");
}

void a_database_of_something_else_is_left_alone(void**) {
  with_sqlite("CREATE TABLE customers (name TEXT)");
  refused(Errc::invalid, "something else");
}

void a_newer_schema_is_left_alone(void**) {
  open_store();
  with_sqlite("PRAGMA user_version = 1000");
  refused(Errc::invalid, "upgrade jobcast");
}

void a_second_engine_is_refused(void**) {
  auto store = open_store();
  refused(Errc::internal, "only one engine");
}

void a_directory_that_is_not_there_is_named(void**) {
  const auto store = Store::open("/no/such/directory/jobs.db");
  assert_int_equal(store.error().code, Errc::internal);
  assert_non_null(strstr(store.error().detail.c_str(), "/no/such/directory/jobs.db"));
}

void a_symbolic_link_is_not_followed(void**) {
  assert_int_equal(symlink("/dev/null", store_path().c_str()), 0);
  refused(Errc::corrupt, "is a symbolic link");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_file_that_is_no_database_is_corrupt, no_store_yet),
      cmocka_unit_test_setup(a_damaged_page_is_corrupt, no_store_yet),
      cmocka_unit_test_setup(a_database_of_something_else_is_left_alone, no_store_yet),
      cmocka_unit_test_setup(a_newer_schema_is_left_alone, no_store_yet),
      cmocka_unit_test_setup(a_second_engine_is_refused, no_store_yet),
      cmocka_unit_test_setup(a_directory_that_is_not_there_is_named, no_store_yet),
      cmocka_unit_test_setup(a_symbolic_link_is_not_followed, no_store_yet),
  };
  return cmocka_run_group_tests(tests, make_store_directory, remove_store_directory);
}
