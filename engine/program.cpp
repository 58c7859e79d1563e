// From the kind and the job to argv, environment and limits.
#include "engine/program.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "base/json.h"

namespace jobcast::engine {

Result<std::vector<std::string>> program_argv(const KindConfig& kind, const std::string& args_json) {
  std::vector<std::string> argv = kind.argv;
  if (kind.argv_from_args.empty()) return argv;
  const auto args = Json::parse(args_json);
  if (!args) return args.error();
  for (const std::string& name : kind.argv_from_args) {
    const JsonView value = args->view().get(name.c_str());
    const auto text = value.string();
    if (!text && !value.number() && !value.boolean())
      return {Errc::invalid, "args." + name + " is required by kind " + kind.name + ": a string, a number or a boolean", "args." + name};
    std::string element = text ? std::string(*text) : value.dump();
    if (element.starts_with('-') && !kind.argv_dash)
      return {Errc::invalid,
              "args." + name + " begins with '-', which the program of kind " + kind.name +
                  " could take for an option: send another value, or let the kind's config say \"argv_dash\": true",
              "args." + name};
    argv.push_back(std::move(element));
  }
  return argv;
}

std::vector<std::string> program_environment(const KindConfig& kind, const Job& job) {
  std::map<std::string, std::string> set{{"PYTHONUNBUFFERED", "1"}};  // output held back in a buffer hides progress
  for (const std::string& name : kind.env_allow)
    if (const char* value = std::getenv(name.c_str())) set[name] = value;
  for (const auto& [name, value] : kind.env_set) set[name] = value;
  const unsigned threads = kind.threads > 0 ? kind.threads : std::max(1U, std::thread::hardware_concurrency());
  set["JOBCAST_JOB_ID"] = job.id.text();
  set["JOBCAST_ATTEMPT"] = std::to_string(job.attempt);
  set["JOBCAST_THREADS"] = std::to_string(threads);
  set["JOBCAST_ARGS_FD"] = std::to_string(kArgsFd);
  set["JOBCAST_RESULT_FD"] = std::to_string(kResultFd);
  set["JOBCAST_LATCH_FD"] = std::to_string(kLatchFd);
  set["JOBCAST_DOORBELL_FD"] = std::to_string(kDoorbellFd);
  std::vector<std::string> environment;
  for (const auto& [name, value] : set) environment.push_back(name + "=" + value);
  return environment;
}

std::vector<SpawnPlan::Limit> program_limits(const KindConfig& kind) {
  std::vector<SpawnPlan::Limit> limits{{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, static_cast<rlim_t>(kind.open_files_max)}};
  if (kind.address_space_bytes_max > 0) limits.push_back({RLIMIT_AS, static_cast<rlim_t>(kind.address_space_bytes_max)});
  if (kind.file_bytes_max > 0) limits.push_back({RLIMIT_FSIZE, static_cast<rlim_t>(kind.file_bytes_max)});
  return limits;
}

}  // namespace jobcast::engine
