// Finds the socket, and explains why nobody answers there.
#include "engine/cli/engine_link.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/cli/demo_files.h"
#include "engine/cli/output.h"

namespace jobcast::cli {

std::string socket_path(const Invocation& invocation) {
  if (invocation.has("socket")) return invocation.get("socket");
  if (invocation.has("state-dir")) return DemoFiles{invocation.get("state-dir")}.socket();
  const char* named = std::getenv("JOBCAST_SOCKET");
  return named && *named ? named : "/run/jobcast/engine.sock";
}

Result<ControlClient> connect_engine(const std::string& socket) {
  auto client = ControlClient::connect(socket);
  if (client) return client;
  switch (client.error().code) {
    case Errc::invalid:
    case Errc::unauthorized:
    case Errc::internal: return client.error();
    case Errc::not_found:
    case Errc::closed:
    case Errc::full:
    case Errc::retry:
    case Errc::corrupt: break;
  }
  return {Errc::closed, client.error().detail + ". Is jobcastd running? --socket or $JOBCAST_SOCKET name another one"};
}

Result<std::string> call_engine(const Invocation& invocation, std::string_view method, const Json& params) {
  auto client = connect_engine(socket_path(invocation));
  if (!client) return client.error();
  return client->call_raw(method, params);
}

Exit tell_engine(const Invocation& invocation, std::string_view method, const Json& params, const std::function<Exit(JsonView)>& tell) {
  const auto answer = call_engine(invocation, method, params);
  if (!answer) return complain(invocation, answer.error());
  if (invocation.json()) {
    print(*answer + "\n");
    return Exit::ok;
  }
  const auto document = Json::parse(*answer);
  return document ? tell(document->view()) : complain(invocation, document.error());
}

Result<JobId> read_job_id(std::string_view text) {
  if (const auto id = JobId::parse(text)) return *id;
  return {Errc::invalid, "'" + std::string(text) + "' is no job id: those look like 0192f0c1-7a3b-7c4d-8e5f-0123456789ab", "job_id"};
}

std::string login_name() {
  const passwd* user = getpwuid(geteuid());
  return user ? user->pw_name : std::to_string(geteuid());
}

}  // namespace jobcast::cli
