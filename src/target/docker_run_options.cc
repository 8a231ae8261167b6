#include "target/docker_run_options.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "base/file.h"
#include "base/text.h"

namespace pare::target::docker_run {

namespace {

auto usage(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

constexpr bool kFlag = false, kValue = true;

Status set_volume(Line& line, const std::string& value) {
  Volume volume;
  PARE_TRY(volume, parse_volume(value));
  line.target.volumes.push_back(volume);
  return {};
}

Status set_tmpfs(Line& line, const std::string& where, const std::string& options) {
  std::string path;
  PARE_TRY(path, parse_container_path(where));
  line.target.tmpfs.push_back(path);
  if (!options.empty()) line.target.tmpfs_options[path] = options;
  return {};
}

Status set_mount(Line& line, const std::string& value) {
  Mount mount;
  PARE_TRY(mount, parse_mount(value));
  if (mount.tmpfs) return set_tmpfs(line, mount.volume.path, mount.tmpfs_options);
  line.target.volumes.push_back(mount.volume);
  return {};
}

Status set_variable(Line& line, const std::string& value) {
  EnvVar variable;
  PARE_TRY(variable, parse_env(value, line.environment));
  if (variable.secret) line.masked = variable.name;
  set_env(line.target.env, variable);
  return {};
}

Status set_env_file(Line& line, const std::string& path) {
  std::string text;
  PARE_TRY(text, base::read_file(path));
  std::vector<EnvVar> env;
  PARE_TRY(env, parse_env_file(text, path, line.environment));
  for (EnvVar& variable : env) set_env(line.file_env, std::move(variable));
  return {};
}

Status set_publish(Line& line, const std::string& value) {
  std::vector<PublishedPort> ports;
  PARE_TRY(ports, parse_ports(value));
  for (const PublishedPort& port : ports) line.target.ports.push_back(port);
  return {};
}

Status set_expose(Line& line, const std::string& value) {
  std::vector<std::string> ports;
  PARE_TRY(ports, parse_expose(value));
  for (std::string& port : ports) line.target.expose.push_back(std::move(port));
  return {};
}

Status set_group_add(Line& line, const std::string& value) {
  return add_group(line.target, value);
}

Status set_capability(std::vector<std::string>& list, const std::string& value) {
  PARE_CHECK_OK(privilege::CapabilitySet::parse({value}));
  list.push_back(value);
  return {};
}

Status set_security(Line& line, const std::string& value) {
  Target& t = line.target;
  size_t cut = value.find_first_of("=:");
  std::string key = value.substr(0, cut);
  std::string text = cut == std::string::npos ? "" : value.substr(cut + 1);
  if (key == "no-new-privileges") {
    PARE_TRY(t.no_new_privileges, cut == std::string::npos ? Result<bool>(true) : parse_bool(text));
  } else if (key == "seccomp" && !text.empty()) {
    t.seccomp_unconfined = text == "unconfined";
    bool file = text != "unconfined" && text != "builtin";
    t.seccomp_file = file ? std::filesystem::absolute(text).string() : "";
  } else if ((key == "apparmor" || key == "label") && !text.empty()) {
    t.lsm_options.push_back(key + "=" + text);
  } else {
    return usage("'" + value + "' is not supported: only no-new-privileges, seccomp=, apparmor= " +
                 "and label= are");
  }
  return {};
}

constexpr std::string_view kJoins =
    "joining another container's namespace is not supported: prove each container by itself";

Status set_network(Line& line, const std::string& value) {
  std::string name = value;
  if (value.find('=') != std::string::npos) {
    std::vector<std::string> fields;
    PARE_TRY(fields, split_csv(value));
    auto named = std::find_if(fields.begin(), fields.end(),
                              [](const std::string& f) { return base::starts_with(f, "name="); });
    if (named == fields.end()) return usage("'" + value + "' lacks name=NETWORK");
    name = named->substr(5);
  }
  if (name.find(':') != std::string::npos) return usage(std::string(kJoins));
  line.target.network = name == "default" ? "" : name;
  return {};
}

// For the options whose only values are "host" and some that mean the default.
Status set_namespace(bool& host, const std::string& value,
                     std::initializer_list<std::string_view> own) {
  host = value == "host";
  if (host || std::find(own.begin(), own.end(), value) != own.end()) return {};
  if (base::starts_with(value, "container:")) return usage(std::string(kJoins));
  return usage("'" + value + "' is not supported: use host or leave the option out");
}

Status set_device(Line& line, const std::string& value) {
  // A path, or a CDI name like nvidia.com/gpu=all.
  if (value.empty() || (value[0] != '/' && value.find('=') == std::string::npos)) {
    return usage("'" + value + "' is neither a device's path nor a CDI name");
  }
  line.target.devices.push_back(value);
  return {};
}

Status set_sysctl(Line& line, const std::string& value) {
  size_t equals = value.find('=');
  if (equals == std::string::npos || equals == 0) return usage("'" + value + "' is not NAME=VALUE");
  line.target.sysctls[value.substr(0, equals)] = value.substr(equals + 1);
  return {};
}

Status set_pids_limit(Line& line, const std::string& value) {
  auto number = base::parse_u64(value);
  if (!number && value != "-1") return usage("'" + value + "' is not a number, or -1 for no limit");
  line.target.pids_limit = number && *number > 0 ? number : std::nullopt;
  return {};
}

Status set_ulimit(Line& line, const std::string& value) {
  Ulimit limit;
  PARE_TRY(limit, parse_ulimit(value));
  auto& all = line.target.ulimits;
  all.erase(
      std::remove_if(all.begin(), all.end(), [&](const Ulimit& u) { return u.name == limit.name; }),
      all.end());
  all.push_back(limit);
  return {};
}

Status set_workdir(Line& line, const std::string& value) {
  if (value.empty() || value[0] != '/') return usage("'" + value + "' is not an absolute path");
  line.target.workdir = value;
  return {};
}

Status set_bool(bool& field, const std::string& value) {
  PARE_TRY(field, parse_bool(value));
  return {};
}

}  // namespace

// docs.docker.com/reference/cli/docker/container/run, Docker 20.10 to 28.
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {"volume", 'v', kValue, set_volume},
      {"mount", 0, kValue, set_mount},
      {"tmpfs", 0, kValue,
       [](Line& l, const std::string& v) {
         size_t colon = std::min(v.find(':'), v.size());
         return set_tmpfs(l, v.substr(0, colon), v.substr(std::min(colon + 1, v.size())));
       }},
      {"env", 'e', kValue, set_variable},
      {"env-file", 0, kValue, set_env_file},
      {"publish", 'p', kValue, set_publish},
      {"publish-all", 'P', kFlag,
       [](Line& l, const std::string& v) { return set_bool(l.target.publish_all, v); }},
      {"expose", 0, kValue, set_expose},
      {"user", 'u', kValue,
       [](Line& l, const std::string& v) { return l.target.user = v, Status(); }},
      {"group-add", 0, kValue, set_group_add},
      {"cap-add", 0, kValue,
       [](Line& l, const std::string& v) { return set_capability(l.target.cap_add, v); }},
      {"cap-drop", 0, kValue,
       [](Line& l, const std::string& v) { return set_capability(l.target.cap_drop, v); }},
      {"privileged", 0, kFlag,
       [](Line& l, const std::string& v) { return set_bool(l.target.privileged, v); }},
      {"read-only", 0, kFlag,
       [](Line& l, const std::string& v) { return set_bool(l.target.read_only_rootfs, v); }},
      {"security-opt", 0, kValue, set_security},
      {"shm-size", 0, kValue,
       [](Line& l, const std::string& v) -> Status {
         PARE_TRY(l.target.shm_bytes, parse_bytes(v));
         return {};
       }},
      {"network", 0, kValue, set_network},
      {"net", 0, kValue, set_network},
      {"entrypoint", 0, kValue,
       [](Line& l, const std::string& v) { return l.target.entrypoint = {v}, Status(); }},
      {"workdir", 'w', kValue, set_workdir},
      {"gpus", 0, kValue,
       [](Line& l, const std::string& v) { return l.target.gpus = v, Status(); }},
      {"runtime", 0, kValue,
       [](Line& l, const std::string& v) { return l.target.runtime = v, Status(); }},
      {"name", 0, kValue,
       [](Line& l, const std::string& v) { return l.target.name = v, Status(); }},
      {"ulimit", 0, kValue, set_ulimit},
      {"pids-limit", 0, kValue, set_pids_limit},
      {"init", 0, kFlag, [](Line& l, const std::string& v) { return set_bool(l.target.init, v); }},
      {"tty", 't', kFlag, [](Line& l, const std::string& v) { return set_bool(l.target.tty, v); }},
      {"interactive", 'i', kFlag,
       [](Line& l, const std::string& v) { return set_bool(l.target.open_stdin, v); }},
      {"ipc", 0, kValue,
       [](Line& l, const std::string& v) {
         return set_namespace(l.target.host_ipc, v, {"private", "shareable"});
       }},
      {"pid", 0, kValue,
       [](Line& l, const std::string& v) {
         return set_namespace(l.target.host_pid, v, {"private"});
       }},
      {"uts", 0, kValue,
       [](Line& l, const std::string& v) {
         return set_namespace(l.target.host_uts, v, {"private"});
       }},
      {"device", 0, kValue, set_device},
      {"sysctl", 0, kValue, set_sysctl},

      {"userns", 0, kValue, nullptr, "user namespaces are not modelled: leave the option out"},
      {"volumes-from", 0, kValue, nullptr, "name each volume with -v instead"},
      {"volume-driver", 0, kValue, nullptr,
       "make the volume first (docker volume create) and name it with -v"},
      {"device-cgroup-rule", 0, kValue, nullptr, "name the devices with --device instead"},
      {"isolation", 0, kValue, nullptr, "it is for Windows"},

      {"detach", 'd', kFlag},
      {"rm", 0, kFlag},
      {"no-healthcheck", 0, kFlag},
      {"oom-kill-disable", 0, kFlag},
      {"sig-proxy", 0, kFlag},
      {"disable-content-trust", 0, kFlag},
      {"quiet", 'q', kFlag},
      {"add-host"},
      {"annotation"},
      {"attach", 'a'},
      {"blkio-weight"},
      {"blkio-weight-device"},
      {"cgroup-parent"},
      {"cgroupns"},
      {"cidfile"},
      {"cpu-period"},
      {"cpu-quota"},
      {"cpu-rt-period"},
      {"cpu-rt-runtime"},
      {"cpu-shares", 'c'},
      {"cpus"},
      {"cpuset-cpus"},
      {"cpuset-mems"},
      {"detach-keys"},
      {"device-read-bps"},
      {"device-read-iops"},
      {"device-write-bps"},
      {"device-write-iops"},
      {"dns"},
      {"dns-opt"},
      {"dns-option"},
      {"dns-search"},
      {"domainname"},
      {"health-cmd"},
      {"health-interval"},
      {"health-retries"},
      {"health-start-interval"},
      {"health-start-period"},
      {"health-timeout"},
      {"hostname", 'h'},
      {"ip"},
      {"ip6"},
      {"kernel-memory"},
      {"label", 'l'},
      {"label-file"},
      {"link"},
      {"link-local-ip"},
      {"log-driver"},
      {"log-opt"},
      {"mac-address"},
      {"memory", 'm'},
      {"memory-reservation"},
      {"memory-swap"},
      {"memory-swappiness"},
      {"net-alias"},
      {"network-alias"},
      {"oom-score-adj"},
      {"platform"},
      {"pull"},
      {"restart"},
      {"stop-signal"},
      {"stop-timeout"},
      {"storage-opt"},
  };
  return kRows;
}

}  // namespace pare::target::docker_run
