// docs/control-protocol.md names every method that the server knows, and no other; every error code is the code's.
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

#include "base/json.h"
#include "engine/methods.h"
#include "ipc/control.h"
#include "tests/cmocka.h"

namespace {

using namespace jobcast;

std::string document() {
  const char* const source = getenv("JOBCAST_SOURCE");
  auto text = read_file(std::string(source ? source : ".") + "/docs/control-protocol.md", 1 << 20);
  if (!text) fail_msg("%s", text.error().detail.c_str());
  return *text;
}

std::set<std::string> headings(const std::string& text) {
  std::set<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("### ")) out.insert(line.substr(4));
  return out;
}

void every_method_of_the_server_is_in_the_document_and_no_other(void**) {
  const auto documented = headings(document());
  std::set<std::string> known;
  for (const auto name : engine::Methods::names()) known.emplace(name);
  for (const auto& name : known)
    if (!documented.count(name)) fail_msg("%s is not documented", name.c_str());
  for (const auto& name : documented)
    if (!known.count(name)) fail_msg("%s is documented, but the server does not know it", name.c_str());
}

void every_error_code_of_the_document_is_the_codes(void**) {
  const std::string text = document();
  for (const Errc code : {Errc::invalid, Errc::unauthorized, Errc::not_found, Errc::full, Errc::retry, Errc::internal}) {
    const std::string row = std::string("| `") + name(code) + "` | " + std::to_string(rpc_code(code)) + " |";
    if (text.find(row) == std::string::npos) fail_msg("no row %s", row.c_str());
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_method_of_the_server_is_in_the_document_and_no_other),
      cmocka_unit_test(every_error_code_of_the_document_is_the_codes),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
