// A compose service as the `docker run` line that it stands for: each key becomes options, which
// the table of docker run's options reads.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <tuple>

#include "base/text.h"
#include "target/compose.h"
#include "target/docker_run_options.h"

namespace pare::target::compose {

namespace {

using Means = KeyRule::Means;

// A key whose value is an option's, as it stands.
struct Plain {
  std::string_view key;
  std::string_view option;
};

constexpr std::array<Plain, 43> kPlain = {{
    {"user", "user"},
    {"working_dir", "workdir"},
    {"container_name", "name"},
    {"privileged", "privileged"},
    {"read_only", "read-only"},
    {"shm_size", "shm-size"},
    {"ipc", "ipc"},
    {"pid", "pid"},
    {"uts", "uts"},
    {"runtime", "runtime"},
    {"pids_limit", "pids-limit"},
    {"init", "init"},
    {"tty", "tty"},
    {"stdin_open", "interactive"},
    {"userns_mode", "userns"},
    {"isolation", "isolation"},
    {"hostname", "hostname"},
    {"domainname", "domainname"},
    {"mac_address", "mac-address"},
    {"mem_limit", "memory"},
    {"mem_reservation", "memory-reservation"},
    {"memswap_limit", "memory-swap"},
    {"mem_swappiness", "memory-swappiness"},
    {"oom_kill_disable", "oom-kill-disable"},
    {"oom_score_adj", "oom-score-adj"},
    {"cpus", "cpus"},
    {"cpu_shares", "cpu-shares"},
    {"cpu_quota", "cpu-quota"},
    {"cpu_period", "cpu-period"},
    {"cpu_rt_runtime", "cpu-rt-runtime"},
    {"cpu_rt_period", "cpu-rt-period"},
    {"cpuset", "cpuset-cpus"},
    {"cgroup", "cgroupns"},
    {"cgroup_parent", "cgroup-parent"},
    {"stop_signal", "stop-signal"},
    {"cap_add", "cap-add"},
    {"cap_drop", "cap-drop"},
    {"group_add", "group-add"},
    {"security_opt", "security-opt"},
    {"expose", "expose"},
    {"dns", "dns"},
    {"dns_search", "dns-search"},
    {"dns_opt", "dns-option"},
}};

constexpr std::array<KeyRule, 34> kServiceRules = {{
    {"profiles"},
    {"restart"},
    {"labels"},
    {"label_file"},
    {"annotations"},
    {"logging"},
    {"scale"},
    {"attach"},
    {"platform"},
    {"pull_policy"},
    {"stop_grace_period"},
    {"develop"},
    {"cpu_count"},
    {"cpu_percent"},
    {"blkio_config"},
    {"storage_opt"},
    {"external_links"},
    {"links"},
    {"memswap"},
    {"log_driver"},
    {"log_opt"},
    {"build", Means::kNoted, "the image has to be built before (docker compose build)"},
    {"healthcheck", Means::kNoted,
     "it runs a command in the container; trials do not, --check 'exec:...' does"},
    {"depends_on", Means::kNoted, "other services do not run in trials"},
    {"post_start", Means::kNoted, "hooks do not run in trials"},
    {"pre_start", Means::kNoted, "hooks do not run in trials"},
    {"pre_stop", Means::kNoted, "hooks do not run in trials"},
    {"models", Means::kNoted, "models are served by another program"},
    {"volumes_from", Means::kRefused, "name each volume under volumes: instead"},
    {"volume_driver", Means::kRefused, "name the volume under the file's volumes: instead"},
    {"device_cgroup_rules", Means::kRefused, "name the devices under devices: instead"},
    {"credential_spec", Means::kRefused, "it is for Windows"},
    {"provider", Means::kRefused, "no container runs for such a service"},
    {"use_api_socket", Means::kRefused,
     "it hands the engine's socket to the container: mount it under volumes: if it must be"},
}};

class ServiceReader {
 public:
  ServiceReader(const Project& project, const Tree::Entry& service, Reader& reader, Workload& out)
      : project_(project),
        service_(service.value),
        name_(service.key),
        reader_(reader),
        out_(out),
        line_{Target{}, project.environment, {}, {}} {}

  void read() {
    tell_remarks(service_);
    Keys keys(reader_, &service_, "service " + name_);
    Target& t = line_.target;
    t.kind = Kind::kImage;
    t.image = keys.text("image").value_or("");
    read_image();
    read_words(keys);
    for (const Plain& plain : kPlain) {
      if (const Tree* value = keys.get(plain.key)) options(plain.option, *value);
    }
    read_environment(keys);
    read_volumes(keys);
    read_tmpfs(keys);
    read_ports(keys);
    read_network(keys);
    read_devices(keys);
    read_limits(keys);
    read_deploy(keys);
    read_files(keys, "secrets");
    read_files(keys, "configs");
    drop_extensions(keys);
    keys.finish(kServiceRules);
    if (t.name.empty()) t.name = name_;
    t.written = {out_.where, out_.object};
    for (EnvVar& variable : t.env) set_env(line_.file_env, std::move(variable));
    t.env = std::move(line_.file_env);
    out_.target = std::move(line_.target);
    check_paths();
  }

 private:
  // ---- options

  void option(std::string_view name, const std::string& value, const Tree& at) {
    const auto& rows = docker_run::rows();
    auto row = std::find_if(rows.begin(), rows.end(),
                            [&](const docker_run::Row& r) { return r.name == name; });
    if (row == rows.end()) return;
    if (!row->refused.empty()) return reader_.refuse(at, std::string(row->refused));
    if (row->set == nullptr) {
      line_.target.kept.push_back({"--" + std::string(name), value});
      return;
    }
    if (auto done = row->set(line_, value); !done) reader_.refuse(at, done.error().message);
  }

  // A word, or a list of them.
  void options(std::string_view name, const Tree& value) {
    if (value.is_scalar()) {
      // What an unset variable left empty says nothing.
      if (!value.text.empty()) option(name, value.text, value);
      return;
    }
    for (const std::string& one : reader_.texts(value, std::string(name))) {
      if (!one.empty()) option(name, one, value);
    }
  }

  void tell_remarks(const Tree& tree) {
    if (tree.broken) reader_.refuse(tree, tree.remark);
    if (!tree.broken && !tree.remark.empty()) reader_.note(tree, tree.remark);
    for (const Tree& item : tree.seq) tell_remarks(item);
    for (const Tree::Entry& entry : tree.map) tell_remarks(entry.value);
  }

  void read_image() {
    Target& t = line_.target;
    if (t.image.find_first_of(" \t\n") != std::string::npos) {
      return reader_.refuse(service_, "image: '" + t.image + "' is no image reference");
    }
    if (!t.image.empty()) return;
    if (service_.get("build") == nullptr) {
      return reader_.refuse(service_, "service " + name_ + " names neither image nor build");
    }
    t.image = project_.name + "-" + name_;  // as docker compose calls what it builds
  }

  void read_words(Keys& keys) {
    for (auto [key, words] : {std::pair("entrypoint", &line_.target.entrypoint),
                              std::pair("command", &line_.target.command)}) {
      const Tree* value = keys.get(key);
      if (value == nullptr) continue;
      if (value->is_seq()) {
        *words = reader_.texts(*value, key);
      } else {
        auto split = reader_.take(*value, split_words(value->text_or()), key);
        if (split) *words = std::move(*split);
      }
      // An empty entry point means: none, not the image's.
      if (words->empty() && std::string_view(key) == "entrypoint") *words = {""};
    }
  }

  // ---- environment

  void read_environment(Keys& keys) {
    if (const Tree* files = keys.get("env_file")) read_env_files(*files);
    const Tree* env = keys.get("environment");
    if (env == nullptr) return;
    for (const Tree& item : env->seq) {
      std::string text = item.text_or();
      size_t cut = text.find('=');
      if (cut == std::string::npos) {
        pass_through(text);
      } else {
        put(text.substr(0, cut), text.substr(cut + 1));
      }
    }
    for (const Tree::Entry& entry : env->map) {
      if (entry.value.is_null()) {
        pass_through(entry.key);
      } else if (entry.value.is_scalar()) {
        put(entry.key, entry.value.text);
      } else {
        reader_.refuse(entry.value, "environment." + entry.key + " is not text");
      }
    }
    if (env->is_scalar()) reader_.refuse(*env, "environment is neither a mapping nor a list");
  }

  void put(const std::string& name, const std::string& value) {
    const auto& secrets = reader_.options().secrets;
    auto given = secrets.find(name);
    bool secret = given != secrets.end();
    set_env(line_.target.env, {name, secret ? given->second : value, secret || looks_secret(name)});
  }

  // A name without a value: the caller's, and where it has none, none.
  void pass_through(const std::string& name) {
    auto found = project_.environment.find(name);
    if (found != project_.environment.end()) return put(name, found->second);
    if (reader_.options().secrets.count(name) != 0) put(name, "");
  }

  void read_env_files(const Tree& files) {
    std::vector<Tree> list = files.is_seq() ? files.seq : std::vector<Tree>{files};
    for (const Tree& item : list) {
      Keys keys(reader_, item.is_map() ? &item : nullptr, "env_file");
      std::string path = item.is_map() ? keys.text("path").value_or("") : item.text_or();
      bool required = keys.boolean("required").value_or(true);
      bool raw = keys.text("format").value_or("") == "raw";
      keys.finish();
      auto text = reader_.options().read_file(absolute(path, item));
      if (!text) {
        if (required && !reader_.options().not_to_run) reader_.refuse(item, text.error().message);
        continue;
      }
      auto env = raw ? parse_env_file(*text, path, project_.environment)
                     : parse_dotenv(*text, path, project_.environment);
      if (!env) {
        reader_.refuse(item, env.error().message);
        continue;
      }
      for (EnvVar& variable : *env) set_env(line_.file_env, std::move(variable));
    }
  }

  // ---- places on the host

  std::string absolute(const std::string& path, const Tree& at) const {
    if (!path.empty() && path[0] == '/') return path;
    std::filesystem::path out = path;
    if (base::starts_with(path, "~")) {
      auto home = project_.environment.find("HOME");
      out = (home == project_.environment.end() ? "/root" : home->second) + path.substr(1);
    } else {
      out = std::filesystem::path(project_.directories[at.file]) / path;
    }
    std::error_code ec;
    std::string clean = std::filesystem::absolute(out, ec).lexically_normal().string();
    while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
    return clean;
  }

  static bool is_path(const std::string& source) {
    return !source.empty() && (source[0] == '/' || source[0] == '.' || source[0] == '~');
  }

  // ---- volumes

  void read_volumes(Keys& keys) {
    const Tree* list = keys.get("volumes");
    if (list == nullptr) return;
    if (!list->is_seq()) return reader_.refuse(*list, "volumes is not a list");
    for (const Tree& item : list->seq) {
      if (item.is_map()) {
        long_volume(item);
      } else {
        short_volume(item);
      }
    }
  }

  void short_volume(const Tree& item) {
    std::string text = item.text_or();
    size_t colon = text.find(':');
    std::string source = colon == std::string::npos ? "" : text.substr(0, colon);
    if (is_path(source)) text = absolute(source, item) + text.substr(colon);
    if (colon == 0) {
      return reader_.refuse(item, "a volume without its source: " +
                                      (item.remark.empty() ? "'" + text + "'" : item.remark));
    }
    auto volume = reader_.take(item, parse_volume(text), "volumes");
    if (volume) add_volume(std::move(*volume), item);
  }

  void long_volume(const Tree& item) {
    Keys keys(reader_, &item, "volumes");
    std::string type = keys.text("type").value_or("volume");
    std::string source = keys.text("source").value_or("");
    auto path = keys.text("target");
    bool read_only = keys.boolean("read_only").value_or(false);
    const Tree* tmpfs = keys.get("tmpfs");
    Keys bind(reader_, keys.get("bind"), "volumes.bind");
    std::string propagation = bind.text("propagation").value_or("rprivate");
    if (propagation != "rprivate" && propagation != "private") {
      reader_.refuse(item, "bind.propagation " + propagation + " is not supported");
    }
    static constexpr std::array<KeyRule, 3> kBind = {
        {{"create_host_path"}, {"selinux"}, {"recursive"}}};
    bind.finish(kBind);
    static constexpr std::array<KeyRule, 3> kRules = {{{"volume"}, {"consistency"}, {"image"}}};
    keys.finish(kRules);
    auto clean = reader_.take(item, parse_container_path(path.value_or("")), "volumes.target");
    if (!clean) return;
    if (const Tree* sub = item.get({"volume", "subpath"})) {
      reader_.refuse(*sub, "subpath is not supported: bind the directory itself");
    }
    if (type == "tmpfs") return long_tmpfs(*clean, tmpfs, item);
    if (type != "bind" && type != "volume") {
      return reader_.refuse(item, "volume type " + type + " is not supported");
    }
    if (type == "bind") source = absolute(source, item);
    add_volume({source, *clean, type == "volume" && !source.empty(), read_only}, item);
  }

  void long_tmpfs(const std::string& path, const Tree* tmpfs, const Tree& item) {
    Keys keys(reader_, tmpfs, "volumes.tmpfs");
    std::vector<std::string> words;
    if (auto size = keys.text("size"); size && !size->empty()) {
      auto bytes = reader_.take(item, parse_bytes(*size), "tmpfs.size");
      if (bytes) words.push_back(fmt::format("size={}", *bytes));
    }
    if (auto mode = keys.text("mode")) words.push_back("mode=" + *mode);
    keys.finish();
    option("tmpfs", words.empty() ? path : path + ":" + base::join(words, ","), item);
  }

  // A named volume by the name that the engine knows it by.
  void add_volume(Volume volume, const Tree& item) {
    if (volume.named) {
      const auto& binds = reader_.options().binds;
      auto bound = binds.find("volume/" + volume.source);
      const Tree* volumes = project_.root.get("volumes");
      const Tree::Entry* entry = volumes == nullptr ? nullptr : volumes->find(volume.source);
      if (bound != binds.end()) {
        volume = {bound->second, volume.path, false, volume.read_only};
      } else if (entry == nullptr) {
        return reader_.refuse(item, "volume " + volume.source +
                                        " is not among the file's volumes: write ./" +
                                        volume.source + " for a directory");
      } else {
        name_volume(entry->value, &volume);
      }
    }
    line_.target.volumes.push_back(std::move(volume));
  }

  void name_volume(const Tree& definition, Volume* volume) {
    tell_remarks(definition);
    const Tree* own = definition.get("name");
    const Tree* external = definition.get("external");
    const Tree* device = definition.get({"driver_opts", "device"});
    const Tree* how = definition.get({"driver_opts", "o"});
    if (device != nullptr && how != nullptr && how->text_or().find("bind") != std::string::npos) {
      volume->source = absolute(device->text_or(), definition);
      volume->named = false;
      return;
    }
    if (own != nullptr) {
      volume->source = own->text_or();
    } else if (external == nullptr || external->text_or() == "false") {
      volume->source = project_.name + "_" + volume->source;
    }
  }

  void read_tmpfs(Keys& keys) {
    if (const Tree* value = keys.get("tmpfs")) options("tmpfs", *value);
  }

  // ---- network

  void read_ports(Keys& keys) {
    const Tree* list = keys.get("ports");
    if (list == nullptr) return;
    if (!list->is_seq()) return reader_.refuse(*list, "ports is not a list");
    for (const Tree& item : list->seq) {
      if (!item.is_map()) {
        option("publish", item.text_or(), item);
        continue;
      }
      Keys port(reader_, &item, "ports");
      std::string text = port.text("target").value_or("");
      std::string published = port.text("published").value_or("");
      std::string address = port.text("host_ip").value_or("");
      if (address.find(':') != std::string::npos) address = "[" + address + "]";
      if (!published.empty() || !address.empty()) text = published + ":" + text;
      if (!address.empty()) text = address + ":" + text;
      if (auto protocol = port.text("protocol")) text += "/" + *protocol;
      static constexpr std::array<KeyRule, 3> kRules = {{{"mode"}, {"name"}, {"app_protocol"}}};
      port.finish(kRules);
      option("publish", text, item);
    }
  }

  void read_network(Keys& keys) {
    const Tree* hosts = keys.get("extra_hosts");
    if (hosts != nullptr && hosts->is_seq()) options("add-host", *hosts);
    if (hosts != nullptr) {
      for (const Tree::Entry& entry : hosts->map) {
        option("add-host", entry.key + ":" + entry.value.text_or(), entry.value);
      }
    }
    if (const Tree* mode = keys.get("network_mode")) {
      std::string text = mode->text_or();
      if (base::starts_with(text, "service:")) {
        reader_.refuse(
            *mode, "network_mode " + text + ": sharing another service's network is not supported");
      } else {
        option("network", text, *mode);
      }
    }
    const Tree* networks = keys.get("networks");
    if (networks == nullptr) return;
    std::vector<std::string> names;
    for (const Tree& item : networks->seq) names.push_back(item.text_or());
    for (const Tree::Entry& entry : networks->map) names.push_back(entry.key);
    bool internal = !names.empty();
    for (const std::string& name : names) {
      const Tree* one = project_.root.get({"networks", name, "internal"});
      internal &= one != nullptr && one->text_or() == "true";
    }
    if (internal) line_.target.network = "none";  // Docker gives such a network no way out
  }

  // ---- devices and limits

  void read_devices(Keys& keys) {
    if (const Tree* gpus = keys.get("gpus")) {
      if (gpus->is_scalar()) {
        option("gpus", gpus->text, *gpus);
      } else {
        for (const Tree& item : gpus->seq) add_gpu(item);
      }
    }
    const Tree* devices = keys.get("devices");
    if (devices == nullptr) return;
    for (const Tree& item : devices->seq) {
      if (item.is_scalar()) {
        option("device", item.text, item);
        continue;
      }
      Keys device(reader_, &item, "devices");
      std::string source = device.text("source").value_or("");
      std::string target = device.text("target").value_or(source);
      std::string rights = device.text("permissions").value_or("rwm");
      device.finish();
      option("device", source + ":" + target + ":" + rights, item);
    }
  }

  // An entry of gpus or deploy.resources.reservations.devices.
  void add_gpu(const Tree& item) {
    Keys keys(reader_, &item, "devices");
    std::string driver = keys.text("driver").value_or("nvidia");
    auto count = keys.text("count");
    std::vector<std::string> ids = keys.texts("device_ids");
    keys.get("capabilities");
    keys.get("options");
    keys.finish();
    if (driver == "cdi") {
      for (const std::string& id : ids) option("device", id, item);
    } else if (driver != "nvidia") {
      reader_.refuse(item, "device driver " + driver + " is not supported: use nvidia or cdi");
    } else {
      line_.target.gpus = ids.empty() ? count.value_or("all") : "device=" + base::join(ids, ",");
    }
  }

  void read_limits(Keys& keys) {
    for (auto [key, name, separator] :
         {std::tuple("ulimits", "ulimit", "="), std::tuple("sysctls", "sysctl", "=")}) {
      const Tree* all = keys.get(key);
      if (all == nullptr) continue;
      if (all->is_seq()) options(name, *all);
      for (const Tree::Entry& entry : all->map) {
        std::string value = entry.value.text_or();
        if (entry.value.is_map()) {
          Keys limit(reader_, &entry.value, key);
          std::string soft = limit.text("soft").value_or("");
          value = soft + ":" + limit.text("hard").value_or(soft);
          limit.finish();
        }
        option(name, entry.key + separator + value, entry.value);
      }
    }
  }

  void read_deploy(Keys& keys) {
    Keys deploy(reader_, keys.get("deploy"), "deploy");
    Keys resources(reader_, deploy.get("resources"), "deploy.resources");
    Keys limits(reader_, resources.get("limits"), "deploy.resources.limits");
    for (const Plain& plain :
         {Plain{"memory", "memory"}, Plain{"cpus", "cpus"}, Plain{"pids", "pids-limit"}}) {
      if (const Tree* value = limits.get(plain.key)) options(plain.option, *value);
    }
    for (const Tree* device : limits.maps("devices")) add_gpu(*device);
    limits.finish();
    Keys reserved(reader_, resources.get("reservations"), "deploy.resources.reservations");
    for (const Tree* device : reserved.maps("devices")) add_gpu(*device);
    static constexpr std::array<KeyRule, 4> kReserved = {
        {{"memory"}, {"cpus"}, {"pids"}, {"generic_resources"}}};
    reserved.finish(kReserved);
    resources.finish();
    static constexpr std::array<KeyRule, 8> kDeploy = {{{"replicas"},
                                                        {"mode"},
                                                        {"placement"},
                                                        {"update_config"},
                                                        {"rollback_config"},
                                                        {"restart_policy"},
                                                        {"labels"},
                                                        {"endpoint_mode"}}};
    deploy.finish(kDeploy);
  }

  // ---- secrets and configs

  void read_files(Keys& keys, const char* key) {
    const Tree* list = keys.get(key);
    if (list == nullptr) return;
    bool secret = std::string_view(key) == "secrets";
    for (const Tree& item : list->seq) {
      Keys one(reader_, item.is_map() ? &item : nullptr, key);
      std::string source = item.is_map() ? one.text("source").value_or("") : item.text_or();
      std::string target = one.text("target").value_or(source);
      std::string mode = one.text("mode").value_or("0444");
      VolumeContent content;
      content.uid = id_of(one, "uid");
      content.gid = id_of(one, "gid");
      one.finish();
      if (target.empty() || target[0] != '/') target = (secret ? "/run/secrets/" : "/") + target;
      content.single = true;
      content.secret = secret;
      unsigned long bits = std::strtoul(mode.c_str(), nullptr, 8);
      std::string text;
      if (!file_text(item, key, source, &text)) continue;
      content.files = {
          {target.substr(target.rfind('/') + 1), text, static_cast<unsigned>(bits & 0777)}};
      content.volume = line_.target.volumes.size();
      auto path = reader_.take(item, parse_container_path(target), key);
      if (!path) continue;
      line_.target.volumes.push_back({"", *path, false, true});
      out_.contents.push_back(std::move(content));
    }
  }

  uint32_t id_of(Keys& keys, std::string_view key) {
    auto id = base::parse_u64(keys.text(key).value_or("0"));
    return id && *id <= UINT32_MAX ? static_cast<uint32_t>(*id) : 0;
  }

  // What a top-level secret or config holds.
  bool file_text(const Tree& item, const char* key, const std::string& source, std::string* text) {
    const Tree* definition = project_.root.get({key, source});
    if (definition == nullptr) {
      reader_.refuse(item, fmt::format("{} is not among the file's {}", source, key));
      return false;
    }
    tell_remarks(*definition);
    const auto& given = reader_.options().secrets;
    if (auto found = given.find(source); found != given.end()) {
      *text = found->second;
      return true;
    }
    Keys keys(reader_, definition, key);
    auto file = keys.text("file"), variable = keys.text("environment"),
         content = keys.text("content");
    static constexpr std::array<KeyRule, 4> kRules = {
        {{"name"}, {"external"}, {"labels"}, {"driver"}}};
    keys.finish(kRules);
    if (content) {
      *text = *content;
    } else if (variable) {
      auto found = project_.environment.find(*variable);
      if (found != project_.environment.end()) *text = found->second;
    } else if (file) {
      auto read = reader_.options().read_file(absolute(*file, *definition));
      if (read) *text = std::move(*read);
      if (!read && !reader_.options().not_to_run) reader_.refuse(item, read.error().message);
    } else if (!reader_.options().not_to_run) {
      reader_.refuse(item, fmt::format("{} is kept outside of this file: give it with "
                                       "--secret {}=FILE",
                                       source, source));
    }
    return true;
  }

  // ---- the rest

  void drop_extensions(Keys& keys) {
    for (const Tree::Entry& entry : service_.map) {
      if (base::starts_with(entry.key, "x-")) keys.get(entry.key);
    }
  }

  void check_paths() {
    std::vector<std::string> paths = out_.target.tmpfs;
    for (const Volume& volume : out_.target.volumes) paths.push_back(volume.path);
    std::sort(paths.begin(), paths.end());
    auto twice = std::adjacent_find(paths.begin(), paths.end());
    if (twice != paths.end()) reader_.refuse(service_, "two things are mounted at " + *twice);
  }

  const Project& project_;
  const Tree& service_;
  std::string name_;
  Reader& reader_;
  Workload& out_;
  docker_run::Line line_;
};

}  // namespace

Workload read_service(const Project& project, const Tree::Entry& service,
                      const FileOptions& options) {
  Workload out;
  out.kind = FileKind::kCompose;
  out.platform = "docker";
  out.object = "service/" + service.key;
  out.container = service.key;
  Reader reader(project.files, options, false);
  out.where = reader.where(service.value.file, service.line);
  if (!service.value.is_map()) {
    reader.refuse(out.where, "service " + service.key + " is not a mapping");
  } else {
    ServiceReader(project, service, reader, out).read();
  }
  out.refused = reader.refused();
  out.assumptions = reader.notes();
  return out;
}

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  char quote = '\0';
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    bool escapes = c == '\\' && quote != '\'' && at + 1 < text.size();
    if (escapes) {
      word += text[++at];
      open = true;
    } else if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      open = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (open) words.push_back(std::move(word));
      word.clear();
      open = false;
    } else {
      word += c;
      open = true;
    }
  }
  if (quote != '\0') return fail(ErrorKind::kUsage, "a quote is not closed");
  if (open) words.push_back(std::move(word));
  return words;
}

}  // namespace pare::target::compose
