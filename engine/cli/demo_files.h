// Where a demo keeps its things below its state directory. Pure.
#pragma once

#include <string>

namespace jobcast::cli {

struct DemoFiles {
  std::string dir;  // absolute where a demo runs

  [[nodiscard]] std::string socket() const { return dir + "/engine.sock"; }
  [[nodiscard]] std::string key() const { return dir + "/hs256.key"; }
  [[nodiscard]] std::string engine_config() const { return dir + "/engine.json"; }
  [[nodiscard]] std::string engine_state() const { return dir + "/engine"; }
  [[nodiscard]] std::string host_config() const { return dir + "/host"; }  // a directory, as lwsws wants it
  [[nodiscard]] std::string lock() const { return dir + "/demo.lock"; }
};

}  // namespace jobcast::cli
