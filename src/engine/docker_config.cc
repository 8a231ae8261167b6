#include "engine/docker_config.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "privilege/seccomp.h"
#include "target/docker_values.h"

namespace pare::engine {

using base::Json;
using Request = DockerContainerRequest;

namespace {

bool shares_host(const Request& r, std::string_view name) {
  const auto& shared = r.policy.host_namespaces;
  return std::find(shared.begin(), shared.end(), name) != shared.end();
}

// --privileged gives more than pare's axes know (devices, unmasked /proc); only the asked policy of
// a target that asks for it is that.
bool is_privileged(const Request& r) {
  return r.target.privileged && r.policy.capabilities == privilege::CapabilitySet::all() &&
         !r.policy.no_new_privileges && !r.policy.seccomp && !r.policy.seccomp_default;
}

Json env_json(const Request& r) {
  std::vector<target::EnvVar> env;
  std::set<std::string> withheld(r.options.withheld.begin(), r.options.withheld.end());
  for (const target::EnvVar& variable : r.target.facts.env) {
    if (withheld.count(variable.name) == 0) env.push_back(variable);
  }
  for (const target::EnvVar& variable : r.target.env) target::set_env(env, variable);
  for (const auto& [name, value] : r.policy.environment) target::set_env(env, {name, value});
  Json list = Json::array();
  for (const target::EnvVar& variable : env) {
    list.push_back(variable.name + "=" + variable.value);
    withheld.erase(variable.name);
  }
  // A name alone takes the variable away (Engine API, ContainerCreate); Podman would look the name
  // up in its own environment (pkg/env), so there it is empty.
  for (const std::string& name : withheld) list.push_back(r.podman ? name + "=" : name);
  return list;
}

void set_capabilities(const Request& r, Json& host) {
  if (r.policy.capabilities == privilege::CapabilitySet::all()) {
    host["CapAdd"] = {"ALL"};
    return;
  }
  host["CapDrop"] = {"ALL"};
  host["CapAdd"] = r.policy.capabilities.names();
}

void set_security(const Request& r, Json& host) {
  Json options = r.target.lsm_options;
  if (r.policy.no_new_privileges) options.push_back("no-new-privileges");
  if (!r.options.seccomp.empty()) {
    options.push_back("seccomp=" + r.options.seccomp);
  } else if (r.policy.seccomp) {
    options.push_back("seccomp=" + base::write_json(privilege::docker_seccomp(*r.policy.seccomp)));
  } else if (!r.policy.seccomp_default) {
    options.push_back("seccomp=unconfined");
  } else if (!r.seccomp_profile.empty()) {
    options.push_back("seccomp=" + r.seccomp_profile);
  }
  host["SecurityOpt"] = options;
}

std::string tmpfs_options(const Request& r, const privilege::Writable& writable) {
  auto own = r.target.tmpfs_options.find(writable.path);
  if (own != r.target.tmpfs_options.end()) return own->second;
  std::vector<std::string> options = {
      "rw", "nosuid", "nodev", writable.exec || r.platform.tmpfs_exec ? "exec" : "noexec",
      // runc before 1.2 puts the mode of the image's own directory in the place of mode=, so the
      // user also gets to be the owner.
      "uid=" + std::to_string(r.policy.user.uid), "gid=" + std::to_string(r.policy.user.gid),
      "mode=1777"};
  if (uint64_t bytes = privilege::tmpfs_bytes(writable); bytes > 0) {
    options.push_back("size=" + std::to_string(bytes));
  }
  return base::join(options, ",");
}

bool volume_writable(const Request& r, const std::string& path) {
  return std::any_of(
      r.policy.volumes.begin(), r.policy.volumes.end(),
      [&](const privilege::VolumeAccess& v) { return v.path == path && v.writable; });
}

void set_mounts(const Request& r, Json& host) {
  std::set<std::string> taken;
  Json mounts = Json::array();
  for (const VolumeMount& volume : r.options.volumes) {
    if (!taken.insert(volume.path).second) continue;
    Json mount = {{"Type", volume.source.empty() ? "volume" : "bind"},
                  {"Target", volume.path},
                  {"ReadOnly", !volume_writable(r, volume.path)}};
    // Propagation is left to the daemon: rprivate, but what lies in its own root it takes only as
    // rslave (moby daemon/volumes_unix.go validateBindDaemonRoot).
    if (!volume.source.empty()) mount["Source"] = volume.source;
    mounts.push_back(mount);
  }
  Json tmpfs = Json::object();
  for (const privilege::Writable& writable : r.policy.writable) {
    if (!taken.insert(writable.path).second) continue;
    if (writable.copy_up) {
      // Docker's tmpfs starts empty; a new anonymous volume is filled from the image.
      mounts.push_back({{"Type", "volume"}, {"Target", writable.path}});
    } else {
      tmpfs[writable.path] = tmpfs_options(r, writable);
    }
  }
  host["Mounts"] = mounts;
  host["Tmpfs"] = tmpfs;
}

// What Docker sets in a container with its own network (moby daemon/oci_linux.go, 20.10), as the
// kernel has it without Docker.
const std::map<std::string, std::string>& kernel_defaults() {
  static const std::map<std::string, std::string> kDefaults = {
      {"net.ipv4.ip_unprivileged_port_start", "1024"}, {"net.ipv4.ping_group_range", "1 0"}};
  return kDefaults;
}

Json sysctls_json(const Request& r, bool own_network) {
  std::map<std::string, std::string> all = r.policy.sysctls;
  all.insert(r.platform.sysctls.begin(), r.platform.sysctls.end());
  all.insert(kernel_defaults().begin(), kernel_defaults().end());
  Json json = Json::object();
  for (const auto& [name, value] : all) {
    if (base::starts_with(name, "net.") && !own_network) continue;
    json[name] = value;
  }
  return json;
}

Json ulimits_json(const Request& r) {
  Json list = Json::array();
  for (const target::Ulimit& limit : r.target.ulimits) {
    if (limit.name == "memlock") continue;
    list.push_back({{"Name", limit.name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
  }
  if (r.policy.memlock_bytes) {
    // All ones is "unlimited", which the API spells -1.
    auto bytes = static_cast<int64_t>(*r.policy.memlock_bytes);
    list.push_back({{"Name", "memlock"}, {"Soft", bytes}, {"Hard", bytes}});
  }
  return list;
}

void set_namespaces(const Request& r, Json& host) {
  std::string network = "none";
  if (r.options.open_network) {
    bool host_network = r.target.network == "host";
    network = r.target.network.empty() || host_network ? "bridge" : r.target.network;
    if (host_network && shares_host(r, "network")) network = "host";
  }
  host["NetworkMode"] = network;
  host["IpcMode"] = shares_host(r, "ipc") ? "host" : "private";
  host["PidMode"] = shares_host(r, "pid") ? "host" : "";
  host["UTSMode"] = shares_host(r, "uts") ? "host" : "";
  host["Sysctls"] = sysctls_json(r, network != "host");
}

void set_devices(const Request& r, Json& host) {
  Json devices = Json::array();
  Json requests = Json::array();
  for (const std::string& text : r.policy.devices) {
    if (text.empty() || text[0] != '/') {
      requests.push_back({{"Driver", "cdi"}, {"DeviceIDs", {text}}});
      continue;
    }
    std::vector<std::string> parts = base::split(text, ':');
    bool path = parts.size() > 1 && base::starts_with(parts[1], "/");
    devices.push_back(
        {{"PathOnHost", parts[0]},
         {"PathInContainer", path ? parts[1] : parts[0]},
         {"CgroupPermissions", parts.size() > (path ? 2u : 1u) ? parts.back() : "rwm"}});
  }
  host["Devices"] = devices;
  host["DeviceRequests"] = requests;
}

enum class Form { kText, kTextList, kBytes, kInteger, kCpus };

// Options that grant nothing, and where the API has them.
struct AppliedRow {
  std::string_view option;
  std::string_view field;
  Form form;
  bool host = true;  // in HostConfig
};
constexpr AppliedRow kApplied[] = {
    {"--add-host", "ExtraHosts", Form::kTextList},
    {"--cgroupns", "CgroupnsMode", Form::kText},
    {"--cpu-period", "CpuPeriod", Form::kInteger},
    {"--cpu-quota", "CpuQuota", Form::kInteger},
    {"--cpu-shares", "CpuShares", Form::kInteger},
    {"--cpus", "NanoCpus", Form::kCpus},
    {"--cpuset-cpus", "CpusetCpus", Form::kText},
    {"--cpuset-mems", "CpusetMems", Form::kText},
    {"--dns", "Dns", Form::kTextList},
    {"--dns-opt", "DnsOptions", Form::kTextList},
    {"--dns-option", "DnsOptions", Form::kTextList},
    {"--dns-search", "DnsSearch", Form::kTextList},
    {"--domainname", "Domainname", Form::kText, false},
    {"--hostname", "Hostname", Form::kText, false},
    {"--memory", "Memory", Form::kBytes},
    {"--memory-reservation", "MemoryReservation", Form::kBytes},
    {"--memory-swap", "MemorySwap", Form::kBytes},
    {"--oom-score-adj", "OomScoreAdj", Form::kInteger},
    {"--stop-signal", "StopSignal", Form::kText, false},
};

Result<Json> applied_value(Form form, const std::string& text) {
  char* end = nullptr;
  switch (form) {
    case Form::kText:
    case Form::kTextList:
      return text;
    case Form::kBytes: {
      if (text == "-1") return -1;
      uint64_t bytes = 0;
      PARE_TRY(bytes, target::parse_bytes(text));
      return bytes;
    }
    case Form::kInteger: {
      long long value = std::strtoll(text.c_str(), &end, 10);
      if (!text.empty() && *end == '\0') return value;
      break;
    }
    case Form::kCpus: {
      double value = std::strtod(text.c_str(), &end);
      if (!text.empty() && *end == '\0' && value >= 0 && value < 1e6) {
        return std::llround(value * 1e9);
      }
      break;
    }
  }
  return fail(ErrorKind::kUsage, "'" + text + "' is not a number");
}

Status apply_kept(const Request& r, Json& json) {
  for (const target::KeptOption& kept : r.target.kept) {
    const auto* row = std::find_if(std::begin(kApplied), std::end(kApplied),
                                   [&](const AppliedRow& a) { return a.option == kept.option; });
    if (row == std::end(kApplied)) continue;
    if (row->field == "Hostname" && shares_host(r, "uts")) continue;  // the host's own is shared
    auto value = applied_value(row->form, kept.value);
    if (!value) {
      return fail(ErrorKind::kUsage,
                  "docker run option " + kept.option + ": " + value.error().message);
    }
    Json& field = (row->host ? json["HostConfig"] : json)[std::string(row->field)];
    if (row->form == Form::kTextList) {
      field.push_back(*value);
    } else {
      field = *value;
    }
  }
  return {};
}

}  // namespace

Result<Json> docker_gpus(const std::string& gpus) {
  if (gpus.empty()) return Json::array();
  Json request = {{"Driver", ""}, {"Capabilities", Json::array()}};
  Json capabilities = {"gpu"};
  std::vector<std::string> fields;
  PARE_TRY(fields, target::split_csv(gpus));
  Json ids = Json::array();
  for (const std::string& field : fields) {
    size_t equals = field.find('=');
    std::string key = equals == std::string::npos ? "count" : field.substr(0, equals);
    std::string value = equals == std::string::npos ? field : field.substr(equals + 1);
    auto number = base::parse_u64(value);
    if (key == "count" && !ids.empty()) {
      ids.push_back(value);  // device=0,1 without the inner quotes
    } else if (key == "count" && (value == "all" || (number && *number < 1024))) {
      request["Count"] = value == "all" ? -1 : static_cast<int>(*number);
    } else if (key == "device") {
      for (const std::string& id : base::split(value, ',')) ids.push_back(id);
    } else if (key == "driver") {
      request["Driver"] = value;
    } else if (key == "capabilities") {
      for (const std::string& name : base::split(value, ',')) capabilities.push_back(name);
    } else {
      return fail(ErrorKind::kUsage, "docker run option --gpus: '" + field +
                                         "' is not supported: use all, a number or device=ID");
    }
  }
  if (!ids.empty()) request["DeviceIDs"] = ids;
  if (ids.empty() && !request.contains("Count")) request["Count"] = -1;
  request["Capabilities"].push_back(capabilities);
  return Json::array({request});
}

Result<Json> docker_container(const Request& r) {
  const target::Target& t = r.target;
  std::vector<std::string> argv = target::argv_of(r.target, r.policy.arguments);
  if (argv.empty()) {
    return fail(ErrorKind::kUsage, "image " + t.image + " names no command: write one behind it");
  }
  Json host = {{"Privileged", is_privileged(r)},
               {"ReadonlyRootfs", !r.policy.rootfs_writable},
               {"GroupAdd", Json::array()},
               {"ShmSize", r.policy.shm_bytes.value_or(r.platform.shm_bytes)},
               {"Ulimits", ulimits_json(r)},
               {"Init", t.init},
               {"AutoRemove", false},
               {"PublishAllPorts", false},
               {"RestartPolicy", {{"Name", "no"}}},
               // The daemon's default may be a driver that hands nothing back.
               {"LogConfig", {{"Type", "json-file"}, {"Config", Json::object()}}}};
  // Somebody reads along, for as long as the server lives: the daemon's copy need not grow.
  if (r.options.output >= 0) host["LogConfig"]["Config"] = {{"max-size", "16m"}};
  for (uint32_t group : r.policy.user.groups) host["GroupAdd"].push_back(std::to_string(group));
  if (r.policy.pids_max) {
    host["PidsLimit"] = static_cast<int64_t>(
        std::min<uint64_t>(*r.policy.pids_max, std::numeric_limits<int64_t>::max()));
  }
  if (r.options.memory_bytes) host["Memory"] = *r.options.memory_bytes;
  if (!t.runtime.empty()) host["Runtime"] = t.runtime;
  set_capabilities(r, host);
  set_security(r, host);
  set_mounts(r, host);
  set_namespaces(r, host);
  set_devices(r, host);
  Json gpus;
  PARE_TRY(gpus, docker_gpus(t.gpus));
  for (Json& gpu : gpus) host["DeviceRequests"].push_back(std::move(gpu));
  Json json = {
      {"Image", r.image_id},
      {"User", std::to_string(r.policy.user.uid) + ":" + std::to_string(r.policy.user.gid)},
      {"Env", env_json(r)},
      {"Entrypoint", Json::array({argv.at(0)})},
      {"Cmd", std::vector<std::string>(argv.begin() + 1, argv.end())},
      {"WorkingDir", t.workdir.empty() ? t.facts.workdir : t.workdir},
      {"Tty", t.tty},
      {"OpenStdin", t.open_stdin},
      // The image's own would run besides the checks.
      {"Healthcheck", {{"Test", {"NONE"}}}},
      {"Labels", {{"pare.session", r.session}, {"pare.id", r.options.id}}},
      {"HostConfig", std::move(host)}};
  PARE_CHECK_OK(apply_kept(r, json));
  return json;
}

}  // namespace pare::engine
