// Reads back config.json of a bundle, a seccomp profile, and a Dockerfile.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "emit/check_read.h"
#include "privilege/seccomp.h"

namespace pare::emit {

using base::Json;

namespace {

bool has_option(const Json& mount, const std::string& option) {
  for (const Json& o : mount.value("options", Json::array())) {
    if (o == option) return true;
  }
  return false;
}

void read_mounts(const Json& config, const privilege::Platform& platform,
                 privilege::Policy& policy) {
  static const std::set<std::string> kOwn = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
  for (const Json& mount : config.value("mounts", Json::array())) {
    std::string path = mount.at("destination");
    bool given = std::any_of(platform.mounts.begin(), platform.mounts.end(),
                             [&](const privilege::PlatformMount& m) { return m.path == path; });
    if (path == "/dev/shm") {
      for (const Json& o : mount.value("options", Json::array())) {
        std::string option = o;
        if (!base::starts_with(option, "size=")) continue;
        auto bytes = base::parse_u64(option.substr(5));
        if (bytes && *bytes != platform.shm_bytes) policy.shm_bytes = bytes;
      }
    }
    if (given || (kOwn.count(path) > 0 && has_option(mount, "ro"))) continue;
    if (mount.value("type", "") == "tmpfs") {
      privilege::Writable writable;
      writable.path = path;
      writable.exec = !has_option(mount, "noexec");
      writable.copy_up = has_option(mount, "tmpcopyup");
      policy.writable.push_back(writable);
    } else {
      policy.volumes.push_back({path, !has_option(mount, "ro")});
    }
  }
}

// What an execve ends up with, when the bounding set and what is held say different things.
privilege::CapabilitySet read_capabilities(const Json& process) {
  privilege::CapabilitySet all;
  const Json sets = process.value("capabilities", Json::object());
  for (const auto& [set, names] : sets.items()) {
    for (const Json& name : names) {
      if (auto number = privilege::capability_number(name.get<std::string>())) all.add(*number);
    }
  }
  return all;
}

void read_process(const Json& config, privilege::Policy& policy) {
  const Json& process = config.at("process");
  const Json& user = process.at("user");
  policy.user.uid = user.at("uid");
  policy.user.gid = user.at("gid");
  policy.user.groups = user.value("additionalGids", std::vector<uint32_t>{});
  policy.no_new_privileges = process.value("noNewPrivileges", false);
  policy.capabilities = read_capabilities(process);
  for (const Json& limit : process.value("rlimits", Json::array())) {
    if (limit.value("type", "") == "RLIMIT_MEMLOCK") policy.memlock_bytes = limit.at("hard");
  }
}

// `asked`: the proof's, which may say what the platform gives anyway.
void read_linux(const Json& config, const privilege::Platform& platform,
                const privilege::Policy& asked, privilege::Policy& policy) {
  const Json& part = config.at("linux");
  std::set<std::string> own;
  for (const Json& ns : part.value("namespaces", Json::array())) {
    // One that is joined is somebody else's.
    if (!ns.contains("path")) own.insert(ns.at("type"));
  }
  for (const char* name : {"ipc", "network", "pid", "uts"}) {
    if (own.count(name) == 0) policy.host_namespaces.emplace_back(name);
  }
  policy.egress_any = own.count("network") == 0;
  for (const Json& device : part.value("devices", Json::array())) {
    policy.devices.push_back(device.at("path"));
  }
  Json resources = part.value("resources", Json::object());
  if (resources.contains("pids")) policy.pids_max = resources["pids"].at("limit");
  const Json sysctls = part.value("sysctl", Json::object());
  for (const auto& [name, value] : sysctls.items()) {
    auto given = platform.sysctls.find(name);
    bool said = asked.sysctls.count(name) > 0;
    if (said || given == platform.sysctls.end() || given->second != value) {
      policy.sysctls[name] = value;
    }
  }
}

// Of a secret its name alone: which value is right the proof does not know, and it is never shown.
std::string environment_words(const Json& list, const std::map<std::string, std::string>& secrets) {
  std::set<std::string> words;
  for (const std::string& word : list.get<std::vector<std::string>>()) {
    std::string name = word.substr(0, word.find('='));
    if (secrets.count(name) > 0) continue;  // written in by who runs the bundle
    words.insert(target::looks_secret(name) ? name + " (a secret)" : word);
  }
  return base::join({words.begin(), words.end()}, ", ");
}

// A Dockerfile's instructions, in order; comments and continued lines are not what pare writes.
std::vector<std::pair<std::string, std::string>> instructions(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& line : base::split(text, '\n')) {
    std::string_view trimmed = base::trim(line);
    if (trimmed.empty() || trimmed[0] == '#') continue;
    size_t space = trimmed.find(' ');
    out.emplace_back(
        base::upper(trimmed.substr(0, space)),
        space == std::string_view::npos ? "" : std::string(base::trim(trimmed.substr(space + 1))));
  }
  return out;
}

const char* const kBelongsToRunner =
    "it belongs to who runs the image; use that platform's emitter beside this";

}  // namespace

Result<std::vector<std::pair<Granted, Terms>>> read_oci(const Reading& reading) {
  PARE_TRY(const File* file, need_file(reading.files, "config.json"));
  PARE_TRY(Json config, base::parse_json(file->content, file->name));
  Granted granted{file->name, {}, {}};
  Terms wanted = proof_terms(reading.proof, reading.plan);
  const privilege::Platform& platform = reading.proof.platform;
  // The same words made from the proof, as config.json spells them: argv and the whole environment.
  PARE_TRY(const File* own, need_file(reading.fresh, "config.json"));
  PARE_TRY(Json again, base::parse_json(own->content, own->name));
  const auto secrets = secret_values(reading.plan);
  auto read = base::read_json(file->name, [&] {
    privilege::Policy policy;
    read_process(config, policy);
    policy.rootfs_writable = !config.at("root").value("readonly", false);
    read_mounts(config, platform, policy);
    read_linux(config, platform, reading.proof.policy, policy);
    granted.terms = policy_terms(policy);
    granted.terms["command"] = base::shell_join(config["process"].at("args"));
    granted.terms["environment"] = environment_words(config["process"]["env"], secrets);
    granted.terms["image"] = config["root"].at("path");
    return true;
  });
  if (!read) return tl::unexpected(read.error());
  wanted["command"] = base::shell_join(again["process"]["args"]);
  wanted["environment"] = environment_words(again["process"]["env"], secrets);
  wanted["image"] = again["root"]["path"];
  PARE_TRY(const File* script, need_file(reading.files, "run.sh"));
  PARE_TRY(const File* own_script, need_file(reading.fresh, "run.sh"));
  granted.terms["script"] = script_term(script->content);
  wanted["script"] = script_term(own_script->content);
  if (config["linux"].contains("seccomp")) {
    PARE_TRY(granted.terms["syscall"], seccomp_term(config["linux"]["seccomp"], file->name));
  }
  if (!reading.proof.policy.seccomp && reading.proof.policy.seccomp_default) {
    granted.cannot["syscall"] = "runc has no profile of its own";
  }
  granted.cannot["port"] = "the network namespace has only its loopback";
  if (!reading.proof.policy.egress.empty() || reading.proof.policy.egress_any) {
    granted.cannot["egress"] = "the network namespace has only its loopback";
  }
  wanted.erase("gpus");
  wanted.erase("lsm");
  return std::vector<std::pair<Granted, Terms>>{{granted, wanted}};
}

Result<std::vector<std::pair<Granted, Terms>>> read_seccomp(const Reading& reading) {
  PARE_TRY(const File* file, need_file(reading.files, reading.plan.seccomp_name));
  PARE_TRY(Json profile, base::parse_json(file->content, file->name));
  Granted granted{file->name, {}, {}};
  PARE_TRY(granted.terms["syscall"], seccomp_term(profile, file->name));
  Terms wanted = proof_terms(reading.proof, reading.plan);
  for (const auto& [axis, text] : wanted) {
    if (axis != "syscall") granted.cannot[axis] = "a profile knows system calls alone";
  }
  return std::vector<std::pair<Granted, Terms>>{{granted, wanted}};
}

Result<std::vector<std::pair<Granted, Terms>>> read_dockerfile(const Reading& reading) {
  PARE_TRY(const File* file, need_file(reading.files, "Dockerfile"));
  Terms all = proof_terms(reading.proof, reading.plan);
  Granted granted{file->name, {}, {}};
  Terms wanted;
  for (const auto& [axis, text] : all) {
    bool said = axis == "user" || axis == "image" || axis == "command" || axis == "environment";
    if (said) continue;
    wanted[axis] = text;
    granted.cannot[axis] = kBelongsToRunner;
  }
  // The last USER counts; all other instructions as they are, in their order.
  auto read = [&](const std::string& text, Terms& terms) {
    for (const auto& [name, value] : instructions(text)) {
      std::string axis = base::lower(name);
      if (name == "LABEL") continue;
      if (name == "USER" || terms.count(axis) == 0) {
        terms[axis] = value;
      } else {
        terms[axis] += " | " + value;
      }
    }
  };
  read(reading.fresh[0].content, wanted);
  read(file->content, granted.terms);
  wanted["user"] =
      fmt::format("{}:{}", reading.proof.policy.user.uid, reading.proof.policy.user.gid);
  for (const auto& [axis, text] : granted.terms) wanted.emplace(axis, "");
  return std::vector<std::pair<Granted, Terms>>{{granted, wanted}};
}

}  // namespace pare::emit
