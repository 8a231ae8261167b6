#include "target/target.h"

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/text.h"

namespace pare::target {

using base::Json;

namespace {

std::vector<privilege::PortGrant> asked_ports(const Target& target) {
  std::vector<privilege::PortGrant> grants;
  for (const PublishedPort& port : target.ports) {
    grants.push_back({port.port, port.protocol, "unknown"});
  }
  return grants;
}

std::optional<uint64_t> memlock_of(const Target& target) {
  for (const Ulimit& limit : target.ulimits) {
    if (limit.name == "memlock") return static_cast<uint64_t>(limit.hard);
  }
  return std::nullopt;
}

privilege::CapabilitySet asked_capabilities(const Target& target,
                                            const privilege::Platform& platform) {
  if (target.privileged) return privilege::CapabilitySet::all();
  privilege::CapabilitySet set = target.capabilities.value_or(platform.default_capabilities);
  auto dropped = privilege::CapabilitySet::parse(target.cap_drop);
  auto added = privilege::CapabilitySet::parse(target.cap_add);
  // As moby's TweakCapabilities: with ALL added, what is dropped stays away; else adds win.
  privilege::CapabilitySet all = privilege::CapabilitySet::all();
  if (added && dropped && *added == all && *dropped != all) return *added - *dropped;
  if (dropped) set = set - *dropped;
  if (added) set = set | *added;
  return set;
}

bool asks_exec(const std::string& tmpfs_options) {
  std::vector<std::string> words = base::split(tmpfs_options, ',');
  return std::find(words.begin(), words.end(), "exec") != words.end();
}

std::vector<std::string> asked_host_namespaces(const Target& target) {
  std::vector<std::string> out;
  if (target.host_ipc) out.emplace_back("ipc");
  if (target.network == "host") out.emplace_back("network");
  if (target.host_pid) out.emplace_back("pid");
  if (target.host_uts) out.emplace_back("uts");
  return out;
}

std::optional<uint32_t> named_id(const std::string& text, const std::vector<PasswdEntry>& passwd,
                                 const PasswdEntry** entry) {
  for (const PasswdEntry& e : passwd) {
    if (e.name == text || std::to_string(e.uid) == text) {
      *entry = &e;
      return e.uid;
    }
  }
  auto number = base::parse_u64(text);
  if (number && *number <= UINT32_MAX) return static_cast<uint32_t>(*number);
  return std::nullopt;
}

}  // namespace

std::vector<std::string> entry_point(const Target& target) {
  const auto& words = target.entrypoint.empty() ? target.facts.entrypoint : target.entrypoint;
  return words == std::vector<std::string>{""} ? std::vector<std::string>{} : words;
}

std::vector<std::string> argv_of(const Target& target) {
  // --entrypoint resets the image's CMD.
  bool own = !target.command.empty() || !target.entrypoint.empty();
  return argv_of(target, own ? target.command : target.facts.command);
}

std::vector<std::string> argv_of(const Target& target,
                                 const std::optional<std::vector<std::string>>& arguments) {
  if (!arguments) return target.argv;
  std::vector<std::string> argv = entry_point(target);
  argv.insert(argv.end(), arguments->begin(), arguments->end());
  return argv;
}

privilege::Policy asked_policy(const Target& target, const privilege::Platform& platform) {
  privilege::Policy policy;
  policy.user = target.resolved_user;
  policy.capabilities = asked_capabilities(target, platform);
  policy.no_new_privileges = target.no_new_privileges && !target.privileged;
  policy.rootfs_writable = !target.read_only_rootfs;
  for (const std::string& path : target.tmpfs) {
    privilege::Writable writable;
    writable.path = path;
    auto options = target.tmpfs_options.find(path);
    writable.exec = platform.tmpfs_exec ||
                    (options != target.tmpfs_options.end() && asks_exec(options->second));
    policy.writable.push_back(writable);
  }
  for (const Volume& volume : target.volumes) {
    policy.volumes.push_back({volume.path, !volume.read_only});
  }
  policy.ports = asked_ports(target);
  policy.egress_any = target.network != "none";
  bool filtered = target.seccomp_runtime_default || platform.default_seccomp != "unconfined";
  policy.seccomp_default =
      target.kind == Kind::kImage && !target.seccomp_unconfined && !target.privileged && filtered;
  policy.devices = target.devices;
  policy.host_namespaces = asked_host_namespaces(target);
  policy.pids_max = target.pids_limit;
  policy.memlock_bytes = memlock_of(target);
  policy.shm_bytes = target.shm_bytes;
  policy.sysctls = target.sysctls;
  return policy;
}

bool looks_secret(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kParts = {
      "TOKEN", "SECRET", "PASSWORD", "PASSWD", "_KEY", "APIKEY", "CREDENTIAL", "AUTH"};
  std::string upper = base::upper(name);
  if (base::starts_with(upper, "TOKENIZERS_")) return false;  // a library's settings
  return std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return upper.find(part) != std::string::npos; });
}

std::vector<PasswdEntry> parse_passwd(const std::string& text) {
  std::vector<PasswdEntry> entries;
  for (const std::string& line : base::split(text, '\n')) {
    std::vector<std::string> fields = base::split(line, ':');
    if (fields.size() < 7 || fields[0].empty()) continue;
    auto uid = base::parse_u64(fields[2]);
    auto gid = base::parse_u64(fields[3]);
    if (!uid || !gid || *uid > UINT32_MAX || *gid > UINT32_MAX) continue;
    entries.push_back(
        {fields[0], static_cast<uint32_t>(*uid), static_cast<uint32_t>(*gid), fields[5]});
  }
  return entries;
}

Status add_group(Target& target, const std::string& group) {
  auto number = base::parse_u64(group);
  if (number && *number <= UINT32_MAX) {
    target.group_add.push_back(static_cast<uint32_t>(*number));
  } else if (group.empty() || number) {
    return fail(ErrorKind::kUsage, "'" + group + "' is not a group");
  } else {
    target.group_add_names.push_back(group);
  }
  return {};
}

Result<privilege::User> resolve_user(const std::string& user,
                                     const std::vector<PasswdEntry>& passwd) {
  privilege::User resolved;
  if (user.empty()) return resolved;
  size_t colon = user.find(':');
  const PasswdEntry* entry = nullptr;
  auto uid = named_id(user.substr(0, colon), passwd, &entry);
  if (!uid) {
    return fail(ErrorKind::kUsage, "user '" + user.substr(0, colon) +
                                       "' is not in the image's /etc/passwd: give a number");
  }
  resolved.uid = *uid;
  resolved.gid = entry != nullptr ? entry->gid : 0;
  if (colon == std::string::npos) return resolved;
  std::string group = user.substr(colon + 1);
  auto gid = named_id(group, passwd, &entry);
  if (!gid || *gid > UINT32_MAX) {
    return fail(ErrorKind::kUsage, "group '" + group + "' is not known: give a number");
  }
  resolved.gid = base::parse_u64(group) ? *gid : entry->gid;
  return resolved;
}

static Json env_json(const std::vector<EnvVar>& env) {
  Json list = Json::array();
  for (const EnvVar& variable : env) {
    Json entry = {{"name", variable.name}};
    if (variable.secret || looks_secret(variable.name)) {
      entry["secretSha256"] = base::sha256_hex(variable.value);
    } else {
      entry["value"] = variable.value;
    }
    list.push_back(entry);
  }
  return list;
}

static Json volumes_json(const std::vector<Volume>& volumes) {
  Json list = Json::array();
  for (const Volume& v : volumes) {
    list.push_back({{"source", v.source},
                    {"path", v.path},
                    {"named", v.named},
                    {"mode", v.read_only ? "ro" : "rw"}});
  }
  return list;
}

static Json ports_json(const std::vector<PublishedPort>& ports) {
  Json list = Json::array();
  for (const PublishedPort& p : ports) {
    list.push_back({{"hostAddress", p.host_address},
                    {"hostPort", p.host_port},
                    {"port", p.port},
                    {"protocol", p.protocol}});
  }
  return list;
}

static Json kept_json(const std::vector<KeptOption>& kept) {
  Json list = Json::array();
  for (const KeptOption& k : kept) list.push_back({{"option", k.option}, {"value", k.value}});
  return list;
}

Json to_json(const Target& target, const privilege::Policy& asked) {
  Json json = {
      {"kind", target.kind == Kind::kImage ? "image" : "rootfs"},
      {"image", target.image},
      {"rootfs", target.rootfs},
      {"digest", target.facts.digest},
      {"name", target.name},
      {"command", target.argv},
      {"arguments", target.command},
      {"entrypoint", target.entrypoint},
      {"imageEntrypoint", target.facts.entrypoint},
      {"imageUser", target.facts.user},
      {"imageEnv", env_json(target.facts.env)},
      {"imageWorkdir", target.facts.workdir},
      {"imagePinned", target.facts.pinned},
      {"env", env_json(target.env)},
      {"workdir", target.workdir},
      {"volumes", volumes_json(target.volumes)},
      {"tmpfsOptions", target.tmpfs_options},
      {"ports", ports_json(target.ports)},
      {"gpus", target.gpus},
      {"init", target.init},
      {"network", target.network},
      {"runtime", target.runtime},
      {"kept", kept_json(target.kept)},
      {"written", target.written},
  };
  json["asked"] = privilege::to_json(asked);
  json["asked"]["user"] =
      asked.user.uid == 0 && asked.user.gid == 0
          ? "root"
          : std::to_string(asked.user.uid) + ":" + std::to_string(asked.user.gid);
  return json;
}

static std::vector<EnvVar> read_env(const Json& json) {
  std::vector<EnvVar> env;
  for (const Json& e : json) {
    bool secret = e.contains("secretSha256");
    env.push_back({e.at("name"), secret ? "" : e.at("value").get<std::string>(), secret});
  }
  return env;
}

static Target read_target(const Json& json) {
  Target t;
  t.kind = json.at("kind") == "image" ? Kind::kImage : Kind::kRootfs;
  t.image = json.at("image");
  t.rootfs = json.at("rootfs");
  t.facts.digest = json.value("digest", "");
  t.facts.entrypoint = json.value("imageEntrypoint", std::vector<std::string>{});
  t.facts.user = json.value("imageUser", "");
  t.name = json.value("name", "");
  t.argv = json.at("command").get<std::vector<std::string>>();
  t.command = json.value("arguments", std::vector<std::string>{});
  t.entrypoint = json.value("entrypoint", std::vector<std::string>{});
  t.env = read_env(json.at("env"));
  t.facts.env = read_env(json.value("imageEnv", Json::array()));
  t.facts.workdir = json.value("imageWorkdir", "");
  t.facts.pinned = json.value("imagePinned", "");
  t.tmpfs_options = json.value("tmpfsOptions", std::map<std::string, std::string>{});
  t.workdir = json.value("workdir", "");
  for (const Json& v : json.at("volumes")) {
    t.volumes.push_back(
        {v.at("source"), v.at("path"), v.value("named", false), v.at("mode") == "ro"});
  }
  for (const Json& p : json.at("ports")) {
    t.ports.push_back({p.at("hostAddress"), p.at("hostPort"), p.at("port"), p.at("protocol")});
  }
  t.gpus = json.value("gpus", "");
  t.init = json.value("init", false);
  t.network = json.value("network", "");
  t.runtime = json.value("runtime", "");
  for (const Json& k : json.value("kept", Json::array())) {
    t.kept.push_back({k.at("option"), k.at("value")});
  }
  t.written = json.value("written", std::vector<std::string>{});
  return t;
}

Result<Target> target_from_json(const Json& json, const std::string& what) {
  static const base::NumberBounds kBounds = {{"hostPort", base::kPortBound},
                                             {"port", base::kPortBound}};
  PARE_CHECK_OK(base::check_numbers(json, kBounds, what));
  return base::read_json(what, [&] { return read_target(json); });
}

}  // namespace pare::target
