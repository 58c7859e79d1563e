// The lws context that jobcast-host runs: plugins loaded, vhosts made, the loop turned until it is told to end. One a process.
#pragma once

#include <libwebsockets.h>

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "lws-plugin/host/config.h"
#include "lws-plugin/timer.h"

namespace jobcast::host {

class Server {
 public:
  explicit Server(HostConfig config);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Binds the ports. Errors name the vhost or the plugin.
  [[nodiscard]] Result<void> start();
  // Turns the loop. `ready` is called once, from the loop, when every vhost serves. Ends after stop().
  void run(std::function<void()> ready);
  // From a signal handler: clients are told to come back, then the loop ends.
  static void stop() noexcept;

  [[nodiscard]] std::vector<int> ports() const;

 private:
  struct VhostParts;  // what lws keeps pointers to
  [[nodiscard]] Result<void> load_plugins();
  [[nodiscard]] Result<void> add_vhost(const VhostConfig& config);
  void end();
  static int on_own_protocol(lws* wsi, lws_callback_reasons reason, void* user, void* in, size_t len);

  HostConfig config_;
  lws_context* context_ = nullptr;
  lws_plugin* plugins_ = nullptr;
  std::list<VhostParts> parts_;
  std::vector<lws_vhost*> vhosts_;
  size_t initialised_ = 0;
  int64_t give_up_ms_ = 0;
  bool ended_ = false, destroyed_ = false;
  std::function<void()> ready_;
  std::unique_ptr<plugin::Timer> ready_timer_, end_timer_;
};

}  // namespace jobcast::host
