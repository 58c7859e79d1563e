#include "lws-plugin/host/config.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json.h"

namespace jobcast::host {
namespace {

// One object of the configuration. lwsws has every value as a string ("port": "7681"); JSON's own kinds are taken too.
class Section {
 public:
  Section(JsonView object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) fail("", "must be an object");
  }

  [[nodiscard]] bool has(const char* key) { return take(key).exists(); }

  void text(const char* key, std::string& out) {
    const JsonView value = take(key);
    if (!value.exists()) return;
    if (auto text = plain(value))
      out = *text;
    else
      fail(key, "must be a string");
  }

  template <class Int>
  void number(const char* key, Int& out, int64_t min, int64_t max) {
    std::string word;
    text(key, word);
    if (word.empty()) return;
    int64_t n = 0;
    const auto [end, trouble] = std::from_chars(word.data(), word.data() + word.size(), n);
    if (trouble != std::errc() || end != word.data() + word.size() || n < min || n > max)
      return fail(key, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max) + ", not \"" + word + "\"");
    out = static_cast<Int>(n);
  }

  void flag(const char* key, bool& out) {
    if (!take(key).exists()) return;
    std::string word;
    text(key, word);
    for (const char* yes : {"on", "yes", "true", "1"})
      if (word == yes) return void(out = true);
    for (const char* no : {"", "off", "no", "false", "0"})
      if (word == no) return void(out = false);
    fail(key, "must be \"on\" or \"off\", not \"" + word + "\"");
  }

  void pairs(const char* key, Pairs& out) {
    const JsonView value = take(key);
    if (!value.exists()) return;
    // An array of objects, or one object.
    for (JsonView object = value.is_array() ? value.first() : value; object.exists();
         object = value.is_array() ? object.next() : JsonView())
      for (JsonView member = object.first(); member.exists(); member = member.next()) {
        if (member.is_array()) {
          for (JsonView element = member.first(); element.exists(); element = element.next()) add(key, member.key(), element, out);
        } else {
          add(key, member.key(), member, out);
        }
      }
  }

  [[nodiscard]] JsonView array(const char* key) {
    const JsonView value = take(key);
    if (value.exists() && !value.is_array()) fail(key, "must be an array");
    return value.is_array() ? value : JsonView();
  }

  // Known to lwsws, not to this host.
  void refuse(std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (take(key).exists()) fail(key, "is lwsws's, but jobcast-host does not serve it: remove it, or use lwsws");
  }

  void fail(const char* key, std::string problem) {
    if (fault_.empty()) fault_ = path(key) + " " + std::move(problem), field_ = path(key);
  }
  [[nodiscard]] std::string path(const char* key) const { return path_ + (path_.empty() || !*key ? "" : ".") + key; }

  [[nodiscard]] Result<void> finish() {
    for (JsonView member = object_.first(); member.exists(); member = member.next())
      if (std::ranges::find(known_, member.key()) == known_.end()) fail(std::string(member.key()).c_str(), "is not known here");
    if (!fault_.empty()) return {Errc::invalid, fault_, field_};
    return {};
  }

 private:
  JsonView take(const char* key) {
    known_.emplace_back(key);
    return object_.get(key);
  }
  static std::optional<std::string> plain(JsonView value) {
    if (const auto text = value.string()) return std::string(*text);
    if (const auto flag = value.boolean()) return *flag ? "on" : "off";
    if (value.integer()) return value.dump();
    return std::nullopt;
  }
  void add(const char* key, std::string_view name, JsonView value, Pairs& out) {
    if (auto text = plain(value))
      out.emplace_back(name, *text);
    else
      fail(key, "has \"" + std::string(name) + "\", which must be a string");
  }

  JsonView object_;
  std::string path_, fault_, field_;
  std::vector<std::string> known_;
};

Result<void> read_global(JsonView object, HostConfig& config) {
  Section in(object, "global");
  in.text("username", config.username);
  in.text("groupname", config.groupname);
  in.text("server-string", config.server_string);
  in.flag("init-ssl", config.ssl);
  in.number("timeout-secs", config.timeout_s, 1, 3600);
  in.number("rlimit-nofile", config.descriptors_max, 256, 1'000'000);
  in.number("max-header-bytes", config.header_bytes_max, 2048, 65'535);
  in.text("event-loop", config.loop);
  if (config.loop != "poll" && config.loop != "libuv") in.fail("event-loop", "must be \"poll\" or \"libuv\"");
  int threads = 1;
  in.number("count-threads", threads, 1, 1);
  (void)in.has("ws-pingpong-secs");  // without effect in lwsws too
  std::string alpn;
  in.text("default-alpn", alpn);
  if (!alpn.empty() && alpn != "http/1.1") in.fail("default-alpn", "must be http/1.1");
  if (object.get("plugin-dir").is_array()) {
    for (JsonView dir = in.array("plugin-dir").first(); dir.exists(); dir = dir.next())
      config.plugin_dirs.emplace_back(dir.string().value_or(""));
  } else if (in.has("plugin-dir")) {
    in.text("plugin-dir", config.plugin_dirs.emplace_back());
  }
  in.refuse({"uid", "gid", "reject-service-keywords", "ip-limit-ah", "ip-limit-wsi"});
  return in.finish();
}

Result<Mount> read_mount(JsonView object, const std::string& path) {
  Mount mount;
  Section in(object, path);
  std::string origin;
  in.text("mountpoint", mount.mountpoint);
  in.text("origin", origin);
  in.text("default", mount.fallback);
  in.text("basic-auth", mount.basic_auth);
  in.number("cache-max-age", mount.cache_max_age_s, 0, 31'536'000);
  in.flag("cache-reuse", mount.cache_reuse);
  in.flag("cache-revalidate", mount.cache_revalidate);
  in.flag("cache-intermediaries", mount.cache_intermediaries);
  in.pairs("extra-mimetypes", mount.extra_mimetypes);
  in.refuse({"protocol", "auth-mask", "cgi-timeout", "cgi-env", "interpret", "pmo"});
  if (!mount.mountpoint.starts_with('/') || mount.mountpoint.size() > 255) in.fail("mountpoint", "is required and begins with /");
  if (origin.starts_with("file://")) {
    mount.origin = origin.substr(7);
  } else if (origin.starts_with("callback://")) {
    mount.kind = Mount::Kind::callback;
    mount.origin = origin.substr(11);
  } else {
    in.fail("origin", "must be file:///directory or callback://protocol, not \"" + origin + "\"");
  }
  if (auto done = in.finish(); !done) return done.error();
  return mount;
}

Result<VhostConfig> read_vhost(JsonView object, const std::string& path) {
  VhostConfig vhost;
  Section in(object, path);
  in.text("name", vhost.name);
  if (!in.has("port")) in.fail("port", "is required (0 picks a free one)");
  in.number("port", vhost.port, 0, 65'535);
  in.text("interface", vhost.interface);
  in.flag("unix-socket", vhost.unix_socket);
  in.text("unix-socket-perms", vhost.unix_socket_perms);
  in.flag("sts", vhost.sts);
  in.text("host-ssl-key", vhost.ssl_key);
  in.text("host-ssl-cert", vhost.ssl_cert);
  in.text("host-ssl-ca", vhost.ssl_ca);
  in.text("ciphers", vhost.ciphers);
  in.text("tls13-ciphers", vhost.tls13_ciphers);
  in.text("error-document-404", vhost.error_document_404);
  bool without_ipv6 = false;
  in.flag("noipv6", without_ipv6);
  vhost.ipv6 = !without_ipv6;
  in.flag("strict-host-check", vhost.strict_host);
  in.flag("disable-no-protocol-ws-upgrades", vhost.needs_subprotocol);
  in.number("keepalive_timeout", vhost.keepalive_s, 1, 3600);
  in.pairs("headers", vhost.headers);
  std::string alpn;
  in.text("alpn", alpn);
  if (!alpn.empty() && alpn != "http/1.1") in.fail("alpn", "must be http/1.1: HTTP/2 of libwebsockets 4.1 has unmended faults");
  in.refuse({"access-log",
             "enable-client-ssl",
             "client-ssl-key",
             "client-ssl-cert",
             "client-ssl-ca",
             "client-ssl-ciphers",
             "client-tls13-ciphers",
             "ecdh-curve",
             "ipv6only",
             "ssl-option-set",
             "ssl-option-clear",
             "ssl-client-option-set",
             "ssl-client-option-clear",
             "onlyraw",
             "client-cert-required",
             "ignore-missing-cert",
             "listen-accept-role",
             "listen-accept-protocol",
             "apply-listen-accept",
             "fallback-listen-accept",
             "allow-non-tls",
             "redirect-http",
             "allow-http-on-https",
             "h2-half-closed-long-poll"});
  int index = 0;
  for (JsonView entry = in.array("mounts").first(); entry.exists(); entry = entry.next()) {
    auto mount = read_mount(entry, in.path("mounts") + "[" + std::to_string(index++) + "]");
    if (!mount) return mount.error();
    vhost.mounts.push_back(std::move(*mount));
  }
  index = 0;
  for (JsonView entry = in.array("ws-protocols").first(); entry.exists(); entry = entry.next(), ++index)
    for (JsonView member = entry.first(); member.exists(); member = member.next()) {
      Protocol protocol{std::string(member.key()), {}};
      Section wrapped(entry, in.path("ws-protocols") + "[" + std::to_string(index) + "]");
      wrapped.pairs(protocol.name.c_str(), protocol.options);
      if (!member.is_object()) wrapped.fail(protocol.name.c_str(), "must be an object with the protocol's options");
      for (JsonView other = entry.first(); other.exists(); other = other.next()) (void)wrapped.has(std::string(other.key()).c_str());
      if (auto done = wrapped.finish(); !done) return done.error();
      vhost.protocols.push_back(std::move(protocol));
    }
  for (size_t i = 0; i < vhost.mounts.size(); ++i)
    if (vhost.mounts[i].kind == Mount::Kind::callback &&
        std::ranges::find(vhost.protocols, vhost.mounts[i].origin, &Protocol::name) == vhost.protocols.end())
      in.fail(("mounts[" + std::to_string(i) + "].origin").c_str(),
              "names a protocol that \"ws-protocols\" does not enable: " + vhost.mounts[i].origin);
  if (auto done = in.finish(); !done) return done.error();
  return vhost;
}

Result<void> read_file_into(const std::string& path, HostConfig& config) {
  const auto wrap = [&](const Error& error) {
    return Error{error.code, error.code == Errc::invalid && !error.field.empty() ? path + ": " + error.detail : error.detail, error.field};
  };
  auto json = read_json_file(path);
  if (!json) return wrap(json.error());
  Section in(json->view(), "");
  if (in.has("global"))
    if (auto done = read_global(json->view().get("global"), config); !done) return wrap(done.error());
  int index = 0;
  for (JsonView entry = in.array("vhosts").first(); entry.exists(); entry = entry.next()) {
    auto vhost = read_vhost(entry, "vhosts[" + std::to_string(index++) + "]");
    if (!vhost) return wrap(vhost.error());
    config.vhosts.push_back(std::move(*vhost));
  }
  if (auto done = in.finish(); !done) return wrap(done.error());
  return {};
}

}  // namespace

Result<HostConfig> read_config(const std::string& dir_or_file) {
  HostConfig config;
  struct stat info = {};
  if (stat(dir_or_file.c_str(), &info) != 0)
    return {Errc::not_found, dir_or_file + " cannot be opened: give lwsws's configuration directory, or a file"};
  std::vector<std::string> files;
  if (S_ISDIR(info.st_mode)) {
    files.push_back(dir_or_file + "/conf");
    if (DIR* dir = opendir((dir_or_file + "/conf.d").c_str())) {
      while (const dirent* entry = readdir(dir))
        if (entry->d_name[0] != '.') files.push_back(dir_or_file + "/conf.d/" + entry->d_name);
      closedir(dir);
    }
    std::sort(files.begin() + 1, files.end());
  } else {
    files.push_back(dir_or_file);
  }
  for (const std::string& file : files)
    if (auto done = read_file_into(file, config); !done) return done.error();
  if (config.vhosts.empty())
    return {Errc::invalid, dir_or_file + ": there is no vhost: \"vhosts\": [{\"name\": …, \"port\": …}]", "vhosts"};
  return config;
}

}  // namespace jobcast::host
