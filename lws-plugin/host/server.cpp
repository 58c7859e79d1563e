// From the configuration to lws's own structures, and the loop.
#include "lws-plugin/host/server.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <set>

#include "base/clock.h"
#include "base/log.h"
#include "lws-plugin/contained.h"
#include "lws-plugin/limits.h"
#include "lws-plugin/lws_version.h"
#include "lws-plugin/plugin.h"

namespace jobcast::host {
namespace {

constexpr int64_t kPatienceMs = 1000;  // for clients to take their goodbye
constexpr int64_t kEndLookUs = 20'000;
constexpr uint32_t kDescriptorsSpare = 64;  // beyond what lws knows of: EMFILE would make it spin
constexpr const char* kOwnProtocol = "jobcast-host";

Server* the_server = nullptr;
std::atomic<lws_context*> the_context{nullptr};
volatile std::sig_atomic_t stop_asked = 0;

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// lws sizes its tables by the soft limit and believes that it may use all of it.
void limit_descriptors(uint32_t wanted) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max == RLIM_INFINITY ? wanted : std::min<rlim_t>(wanted, files.rlim_max - kDescriptorsSpare);
  setrlimit(RLIMIT_NOFILE, &files);
}

void spare_descriptors() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur += kDescriptorsSpare;
  setrlimit(RLIMIT_NOFILE, &files);
}

// Clients can make lws say things, so it may not say them without end.
void log_line_of_lws(int level, const char* line) {
  static plugin::Rate rate(10, 50);
  static uint64_t unsaid = 0;
  if (!rate.take(now().mono_ns)) {
    ++unsaid;
    return;
  }
  if (unsaid > 0) log::warning("lws", {{"unsaid", std::exchange(unsaid, 0)}});
  std::string_view text(line);
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (level & LLL_ERR)
    log::warning("lws", {{"says", text}});
  else
    log::info("lws", {{"says", text}});
}

void log_of_lws(int level, const char* line) {
  (void)plugin::contained("log", [=] { log_line_of_lws(level, line); });
}

// The plugin has a copy of base/log of its own: -v is for it as well, and its lines go where this host's go.
void hand_over_log(const lws_protocols& jobcast) {
  plugin::HostLog log{static_cast<int>(log::level()),
                      [](int level, const char* line, size_t bytes) { log::forward(static_cast<log::Level>(level), {line, bytes}); }};
  jobcast.callback(nullptr, plugin::kHostLogs, nullptr, &log, 0);
}

// lws takes a line "HTTP/1.1 …" for a header of that name, so a target that ends in "%0aHTTP/1.1" makes a request whose version is where it
// belongs. The limit of a header's length counts there and not in the request line: it makes such a version none.
const lws_token_limits* header_limits(uint32_t bytes_max) {
  static lws_token_limits limits;
  for (auto& limit : limits.token_limit) limit = static_cast<unsigned short>(bytes_max);
  limits.token_limit[WSI_TOKEN_HTTP] = 1;
  return &limits;
}

const lws_protocols kDummy = {"http-only", lws_callback_http_dummy, 0, 0, 0, nullptr, 0};

}  // namespace

struct Server::VhostParts {
  VhostConfig config;
  std::list<lws_protocol_vhost_options> options;
  std::list<lws_http_mount> mounts;
  std::list<std::string> strings;
  lws_protocols own{};
  std::vector<const lws_protocols*> protocols;

  // In reverse, like lwsws.
  const lws_protocol_vhost_options* list(const Pairs& pairs) {
    const lws_protocol_vhost_options* head = nullptr;
    for (const auto& [name, value] : pairs) {
      options.push_back({head, nullptr, name.c_str(), value.c_str()});
      head = &options.back();
    }
    return head;
  }
};

Server::Server(HostConfig config) : config_(std::move(config)) { the_server = this; }

Server::~Server() {
  ready_timer_.reset();
  end_timer_.reset();
  the_context = nullptr;
  if (context_) lws_context_destroy(context_);
  if (plugins_) lws_plugins_destroy(&plugins_, nullptr, nullptr);
  the_server = nullptr;
}

Result<void> Server::start() {
  if (const std::string why = plugin::lws_mismatch(); !why.empty()) return {Errc::internal, why};
  limit_descriptors(config_.descriptors_max);
  lws_set_log_level(LLL_ERR | (log::enabled(log::Level::info) ? LLL_WARN | LLL_NOTICE : 0), log_of_lws);
  lws_context_creation_info info{};
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN |
                 LWS_SERVER_OPTION_SKIP_SERVER_CANONICAL_NAME | LWS_SERVER_OPTION_VALIDATE_UTF8;  // as lwsws does
  if (config_.loop == "libuv") info.options |= LWS_SERVER_OPTION_LIBUV;
  if (config_.ssl) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.port = CONTEXT_PORT_NO_LISTEN;
  info.pcontext = &context_;
  info.timeout_secs = static_cast<unsigned>(config_.timeout_s);
  info.max_http_header_data2 = config_.header_bytes_max;
  info.token_limits = header_limits(config_.header_bytes_max);
  info.pt_serv_buf_size = 16'384;
  info.server_string = or_null(config_.server_string);
  info.alpn = "http/1.1";
  info.signal_cb = [](void*, int) { stop(); };
  if (geteuid() == 0) {
    info.username = or_null(config_.username);
    info.groupname = or_null(config_.groupname);
  }
  context_ = lws_create_context(&info);
  if (!context_) return {Errc::internal, "libwebsockets gave no context: see the log above (unknown username or groupname?)"};
  the_context = context_;
  spare_descriptors();
  if (auto done = load_plugins(); !done) return done;
  for (const VhostConfig& vhost : config_.vhosts)
    if (auto done = add_vhost(vhost); !done) return done;
  return {};
}

Result<void> Server::load_plugins() {
  config_.plugin_dirs = plugin_dirs(config_);
  std::vector<const char*> dirs;
  struct stat info = {};
  for (const std::string& dir : config_.plugin_dirs)
    if (stat(dir.c_str(), &info) == 0) dirs.push_back(dir.c_str());
  dirs.push_back(nullptr);
  std::set<std::string> wanted;
  for (const VhostConfig& vhost : config_.vhosts)
    for (const Protocol& protocol : vhost.protocols)
      if (protocol.name.find('.') == std::string::npos) wanted.insert(protocol.name);
  for (const std::string& name : wanted) {
    const lws_plugin* before = plugins_;
    // By name: one file that is no plugin would end lws's scan. What it returns says nothing; the list does.
    lws_plugins_init(&plugins_, dirs.data(), "lws_protocol_plugin", name.c_str(), nullptr, nullptr);
    if (plugins_ == before) {
      std::string places;
      for (const std::string& dir : config_.plugin_dirs) places += " " + dir;
      return {Errc::not_found, "protocol " + name + ": no libprotocol_" + name + ".so that this libwebsockets can load in" + places,
              "plugin-dir"};
    }
    const auto* loaded = reinterpret_cast<const lws_plugin_protocol_t*>(plugins_->hdr);
    if (name == "jobcast") hand_over_log(loaded->protocols[0]);
  }
  return {};
}

Result<void> Server::add_vhost(const VhostConfig& config) {
  VhostParts& parts = parts_.emplace_back();
  parts.config = config;
  lws_context_creation_info info{};
  info.vhost_name = parts.config.name.c_str();
  info.port = config.port;
  info.iface = or_null(parts.config.interface);
  info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
  if (config.unix_socket) info.options |= LWS_SERVER_OPTION_UNIX_SOCK;
  if (config.sts) info.options |= LWS_SERVER_OPTION_STS;
  if (!config.ipv6) info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
  if (config.strict_host) info.options |= LWS_SERVER_OPTION_VHOST_UPG_STRICT_HOST_CHECK;
  if (config_.ssl) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
  info.unix_socket_perms = or_null(parts.config.unix_socket_perms);
  info.ssl_private_key_filepath = or_null(parts.config.ssl_key);
  info.ssl_cert_filepath = or_null(parts.config.ssl_cert);
  info.ssl_ca_filepath = or_null(parts.config.ssl_ca);
  info.ssl_cipher_list = or_null(parts.config.ciphers);
  info.tls1_3_plus_cipher_list = or_null(parts.config.tls13_ciphers);
  info.error_document_404 = or_null(parts.config.error_document_404);
  info.keepalive_timeout = config.keepalive_s;
  info.alpn = "http/1.1";
  info.timeout_secs = static_cast<unsigned>(config_.timeout_s);

  lws_http_mount* last = nullptr;
  for (const Mount& mount : parts.config.mounts) {
    lws_http_mount& made = parts.mounts.emplace_back();
    made = {};
    made.mountpoint = mount.mountpoint.c_str();
    made.mountpoint_len = static_cast<unsigned char>(mount.mountpoint.size());
    made.origin = mount.origin.c_str();
    made.def = or_null(mount.fallback);
    made.cache_max_age = mount.cache_max_age_s;
    made.cache_reusable = mount.cache_reuse;
    made.cache_revalidate = mount.cache_revalidate;
    made.cache_intermediaries = mount.cache_intermediaries;
    made.extra_mimetypes = parts.list(mount.extra_mimetypes);
    made.basic_auth_login_file = or_null(mount.basic_auth);
    made.origin_protocol = mount.kind == Mount::Kind::file ? LWSMPRO_FILE : LWSMPRO_CALLBACK;
    if (mount.kind == Mount::Kind::callback) made.protocol = made.origin;
    (last ? last->mount_next : info.mounts) = &made;
    last = &made;
  }
  Pairs headers;
  for (const auto& [name, value] : parts.config.headers) headers.emplace_back(name + ":", value);
  parts.config.headers = std::move(headers);
  info.headers = parts.list(parts.config.headers);

  // As lwsws: a dummy first, then whatever of the plugins' the vhost enables.
  parts.protocols.push_back(&kDummy);
  const lws_protocol_vhost_options* enabled = nullptr;
  for (const Protocol& protocol : parts.config.protocols) {
    parts.options.push_back({enabled, parts.list(protocol.options), protocol.name.c_str(), ""});
    enabled = &parts.options.back();
    for (const lws_plugin* plugin = plugins_; plugin; plugin = plugin->list) {
      const auto* exported = reinterpret_cast<const lws_plugin_protocol_t*>(plugin->hdr);
      for (int i = 0; i < exported->count_protocols; ++i)
        if (protocol.name == exported->protocols[i].name) parts.protocols.push_back(&exported->protocols[i]);
    }
  }
  parts.own = {kOwnProtocol, on_own_protocol, 0, 0, 0, this, 0};
  parts.protocols.push_back(&parts.own);
  parts.options.push_back({enabled, nullptr, kOwnProtocol, ""});  // from 4.2 on lws initialises only protocols that stand in this list
  enabled = &parts.options.back();
  parts.protocols.push_back(nullptr);
  info.pprotocols = parts.protocols.data();
  info.pvo = enabled;
  lws_vhost* vhost = lws_create_vhost(context_, &info);
  if (!vhost)
    return {Errc::internal, "vhost " + config.name + " cannot listen on port " + std::to_string(config.port) +
                                (config.interface.empty() ? "" : " of " + config.interface) + ": in use, or no such interface?"};
  if (config.port == 0 && !config.unix_socket && lws_get_vhost_listen_port(vhost) == 0)
    return {Errc::not_found, "vhost " + config.name + ": there is no interface " + config.interface, "interface"};
  vhosts_.push_back(vhost);
  return {};
}

std::vector<int> Server::ports() const {
  std::vector<int> ports;
  for (lws_vhost* vhost : vhosts_) ports.push_back(lws_get_vhost_listen_port(vhost));
  return ports;
}

// The last protocol of each vhost: when it is initialised, so are the plugins'.
int Server::on_own_protocol(lws*, lws_callback_reasons reason, void*, void*, size_t) {
  if (!the_server) return 0;
  Server& server = *the_server;
  switch (reason) {
    case LWS_CALLBACK_PROTOCOL_INIT:
      if (++server.initialised_ == server.config_.vhosts.size()) server.ready_timer_->after_us(server.context_, 0);
      return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:  // once for each vhost
      if (stop_asked && server.give_up_ms_ == 0) (void)plugin::contained("end", [&] { server.end(); });
      // Makes libuv's loop return; the rest of it follows outside. Only here: in a timer, lws 4.3 and later would put it off for ever.
      if (server.ended_ && server.config_.loop == "libuv" && !std::exchange(server.destroyed_, true)) lws_context_destroy(server.context_);
      return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return 1;  // no subprotocol of ws clients
    default: return 0;
  }
}

void Server::run(std::function<void()> ready) {
  ready_ = std::move(ready);
  ready_timer_ = std::make_unique<plugin::Timer>([this] { ready_(); });
  end_timer_ = std::make_unique<plugin::Timer>([this] { end(); });
  while (context_ && !ended_ && lws_service(context_, 0) >= 0) {
  }
}

void Server::stop() noexcept {
  stop_asked = 1;
  if (lws_context* context = the_context) lws_cancel_service(context);
}

void Server::end() {
  const bool first = give_up_ms_ == 0;
  if (first) give_up_ms_ = now().mono_ms() + kPatienceMs;
  size_t open = 0;
  for (lws_vhost* vhost : vhosts_) {
    const lws_protocols* jobcast = lws_vhost_name_to_protocol(vhost, "jobcast");
    size_t count = 0;
    if (jobcast) jobcast->callback(nullptr, plugin::kHostAsks, vhost, &count, first ? 1 : 0);
    open += count;
  }
  ended_ = open == 0 || now().mono_ms() >= give_up_ms_;
  if (!ended_) return end_timer_->after_us(context_, kEndLookUs);
  lws_cancel_service(context_);
}

}  // namespace jobcast::host
