// Every key of lwsws's format, taken or refused by name.
#include "lws-plugin/host/config.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "base/config_file.h"
#include "base/fields.h"
#include "base/text.h"
#include "base/unit.h"
#include "lws-plugin/auth.h"
#include "lws-plugin/host/surroundings.h"
#include "lws-plugin/options.h"

namespace jobcast::host {
namespace {

// One object of the configuration. lwsws has every value as a string ("port": "7681"); JSON's own kinds are taken too.
class Section : public Fields {
 public:
  Section(JsonView object, std::string path, ConfigFile& file) : Fields(object, std::move(path), &file) {}

  void text(const char* key, std::string& out) {
    const JsonView value = take(key);
    if (!value.exists()) return;
    if (auto text = plain(value))
      out = *text;
    else
      fail(key, std::string("must be a string, not ") + value.type_name());
  }

  template <class Int>
  void number(const char* key, Int& out, int64_t min, int64_t max) {
    std::string word;
    text(key, word);
    if (word.empty()) return;
    int64_t n = 0;
    const auto [end, trouble] = std::from_chars(word.data(), word.data() + word.size(), n);
    if (trouble != std::errc() || end != word.data() + word.size() || n < min || n > max) {
      const std::string meant = in_unit(word, unit_of_key(key));
      return fail(key, "must be a whole number from " + std::to_string(min) + " to " + std::to_string(max) + ", not \"" + printable(word) +
                           "\"" + (meant.empty() || meant == word ? "" : ": write \"" + meant + "\""));
    }
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
    fail(key, "must be \"on\" or \"off\", not \"" + printable(word) + "\"");
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

  // Known to lwsws, not to this host.
  void refuse(std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (take(key).exists()) fail(key, "is lwsws's, but jobcast-host does not serve it: remove it, or use lwsws");
  }

 private:
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
      fail(key, value, "has \"" + printable(name) + "\", which must be a string, not " + value.type_name());
  }
};

void read_global(JsonView object, HostConfig& config, ConfigFile& file) {
  Section in(object, "global", file);
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
  (void)in.finish();
}

Mount read_mount(JsonView object, const std::string& path, ConfigFile& file) {
  Mount mount;
  Section in(object, path, file);
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
  if (!mount.mountpoint.starts_with('/') || mount.mountpoint.size() > 255)
    in.fail("mountpoint", "is required: a path of at most 255 bytes that begins with /");
  if (origin.starts_with("file://")) {
    mount.origin = origin.substr(7);
  } else if (origin.starts_with("callback://")) {
    mount.kind = Mount::Kind::callback;
    mount.origin = origin.substr(11);
  } else {
    in.fail("origin", "must be file:///directory or callback://protocol, not \"" + printable(origin) + "\"");
  }
  (void)in.finish();
  return mount;
}

// A faulty option or key disables the plugin on its vhost, as in lwsws, and leaves the rest of the server alone.
void check_options(Section& in, const Protocol& protocol, JsonView at) {
  std::vector<plugin::Pvo> pvos;
  for (const auto& [name, value] : protocol.options) pvos.push_back({name, value});
  std::vector<Error> faults;
  const plugin::Options options = plugin::Options::parse(pvos, faults);
  const auto member = [&](const std::string& name) { return at.get(name.c_str()).exists() ? at.get(name.c_str()) : at; };
  for (const Error& fault : faults) in.fail("jobcast", member(fault.field), fault.detail, Severity::error);
  std::vector<std::string> told;
  for (const std::string& key : options.auth.keys) {
    plugin::AuthOptions one = options.auth;
    one.keys = {key};
    if (auto auth = plugin::Auth::create(one); !auth)
      in.fail("jobcast", member("key"), "option \"key\": " + told.emplace_back(auth.error().detail), Severity::error);
  }
  if (!told.empty() || options.auth.keys.empty()) return;
  if (auto auth = plugin::Auth::create(options.auth); !auth)
    in.fail("jobcast", member("key"), "option \"key\": " + auth.error().detail, Severity::error);
}

void read_protocols(Section& in, VhostConfig& vhost, ConfigFile& file) {
  int index = 0;
  for (JsonView entry = in.array("ws-protocols").first(); entry.exists(); entry = entry.next(), ++index) {
    Section wrapped(entry, in.path("ws-protocols") + "[" + std::to_string(index) + "]", file);
    for (JsonView member = entry.first(); member.exists(); member = member.next()) {
      Protocol protocol{std::string(member.key()), {}};
      wrapped.pairs(protocol.name.c_str(), protocol.options);
      if (!member.is_object())
        wrapped.fail(protocol.name.c_str(), member, "must be an object with the protocol's options");
      else if (protocol.name == "jobcast")
        check_options(wrapped, protocol, member);
      vhost.protocols.push_back(std::move(protocol));
    }
    (void)wrapped.finish();
  }
}

VhostConfig read_vhost(JsonView object, const std::string& path, ConfigFile& file) {
  VhostConfig vhost;
  Section in(object, path, file);
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
  for (const auto& [name, value] : vhost.headers)
    if (name.empty() || name.find_first_of(": \t\r\n") != std::string::npos || value.find_first_of("\r\n") != std::string::npos)
      in.fail("headers", "holds \"" + printable(name) + "\": a header's name is one word without a colon, and its value one line");
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
  for (JsonView entry = in.array("mounts").first(); entry.exists(); entry = entry.next())
    vhost.mounts.push_back(read_mount(entry, in.path("mounts") + "[" + std::to_string(index++) + "]", file));
  read_protocols(in, vhost, file);
  (void)in.finish();
  return vhost;
}

// What has been read of one file, and of where its parts stand.
struct FileParts {
  std::unique_ptr<ConfigFile> file;
  std::vector<std::pair<JsonView, size_t>> vhosts;  // the second: the place in HostConfig::vhosts
};

FileParts read_one(const std::string& path, HostConfig& config, Faults& faults) {
  FileParts parts{std::make_unique<ConfigFile>(path, faults), {}};
  const JsonView view = parts.file->view();
  if (!view.exists()) return parts;
  Section in(view, "", *parts.file);
  if (in.has("global")) read_global(view.get("global"), config, *parts.file);
  int index = 0;
  for (JsonView entry = in.array("vhosts").first(); entry.exists(); entry = entry.next()) {
    parts.vhosts.emplace_back(entry, config.vhosts.size());
    config.vhosts.push_back(read_vhost(entry, "vhosts[" + std::to_string(index++) + "]", *parts.file));
  }
  (void)in.finish();
  return parts;
}

std::vector<std::string> files_of(const std::string& dir_or_file) {
  struct stat info = {};
  if (stat(dir_or_file.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return {dir_or_file};
  std::vector<std::string> files = {dir_or_file + "/conf"};
  if (DIR* dir = opendir((dir_or_file + "/conf.d").c_str())) {
    while (const dirent* entry = readdir(dir))
      if (entry->d_name[0] != '.') files.push_back(dir_or_file + "/conf.d/" + entry->d_name);
    closedir(dir);
  }
  std::sort(files.begin() + 1, files.end());
  return files;
}

}  // namespace

HostConfig read_config(const std::string& dir_or_file, Faults& faults, bool starting) {
  HostConfig config;
  std::vector<FileParts> files;
  for (const std::string& path : files_of(dir_or_file)) files.push_back(read_one(path, config, faults));
  if (config.vhosts.empty() && faults.list().empty())
    faults.add({Severity::fatal, dir_or_file, 0, 0, "vhosts", "are missing: \"vhosts\": [{\"name\": …, \"port\": …}] must be there"});
  for (const FileParts& parts : files) {
    check_server(config, *parts.file);
    for (size_t i = 0; i < parts.vhosts.size(); ++i)
      check_vhost(config, parts.vhosts[i].second, {*parts.file, parts.vhosts[i].first, "vhosts[" + std::to_string(i) + "]"}, starting);
  }
  faults.sort();
  return config;
}

}  // namespace jobcast::host
