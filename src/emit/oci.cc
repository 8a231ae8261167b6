// An OCI runtime-spec 1.0.2 bundle for runc: config.json and the command that runs it.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "base/text.h"
#include "emit/emitters.h"
#include "emit/yaml.h"
#include "privilege/seccomp.h"

namespace pare::emit {

using Json = nlohmann::ordered_json;

namespace {

constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// runtime-spec namespace types by our names; mount and cgroup are always the container's own.
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kNamespaces = {{
    {"", "mount"},
    {"", "cgroup"},
    {"pid", "pid"},
    {"network", "network"},
    {"ipc", "ipc"},
    {"uts", "uts"},
}};

Json environment(const verdict::Proof& proof, const Plan& plan) {
  std::vector<target::EnvVar> merged = proof.target.facts.env;
  for (const target::EnvVar& variable : plan.env) {
    auto same = [&](const target::EnvVar& v) { return v.name == variable.name; };
    merged.erase(std::remove_if(merged.begin(), merged.end(), same), merged.end());
    merged.push_back(variable);
  }
  Json list = Json::array();
  bool path = false;
  for (const target::EnvVar& variable : merged) {
    if (variable.secret) continue;
    path = path || variable.name == "PATH";
    list.push_back(variable.name + "=" + variable.value);
  }
  if (!path) list.push_back(kDefaultPath);
  return list;
}

Json process(const verdict::Proof& proof, const Plan& plan) {
  const privilege::Policy& policy = proof.policy;
  std::vector<std::string> names;
  for (const std::string& name : policy.capabilities.names()) names.push_back("CAP_" + name);
  // execve(2) of another uid than 0 keeps what is ambient, and nothing else (capabilities(7)).
  std::vector<std::string> none;
  bool root = policy.user.uid == 0;
  const auto& raised = !root && proof.platform.ambient_capabilities ? names : none;
  const auto& held = root ? names : raised;
  Json json;
  json["terminal"] = false;
  json["user"] = {{"uid", policy.user.uid}, {"gid", policy.user.gid}};
  if (!policy.user.groups.empty()) json["user"]["additionalGids"] = policy.user.groups;
  json["args"] = target::argv_of(proof.target, policy.arguments);
  json["env"] = environment(proof, plan);
  std::string workdir =
      proof.target.workdir.empty() ? proof.target.facts.workdir : proof.target.workdir;
  json["cwd"] = workdir.empty() ? "/" : workdir;
  json["capabilities"] = {{"bounding", names},
                          {"effective", held},
                          {"permitted", held},
                          {"inheritable", raised},
                          {"ambient", raised}};
  if (policy.memlock_bytes) {
    json["rlimits"] = Json::array({{{"type", "RLIMIT_MEMLOCK"},
                                    {"hard", *policy.memlock_bytes},
                                    {"soft", *policy.memlock_bytes}}});
  }
  json["noNewPrivileges"] = policy.no_new_privileges;
  return json;
}

Json mount(const std::string& path, const std::string& type, const std::string& source,
           const std::vector<std::string>& options) {
  return {{"destination", path}, {"type", type}, {"source", source}, {"options", options}};
}

Json mounts(const verdict::Proof& proof, const Plan& plan) {
  Json list = Json::array();
  for (const privilege::PlatformMount& m : proof.platform.mounts) {
    std::vector<std::string> options = m.options;
    uint64_t bytes = m.bytes;
    if (m.path == "/dev/shm") bytes = proof.policy.shm_bytes.value_or(bytes);
    if (bytes != 0) options.push_back(fmt::format("size={}", bytes));
    list.push_back(
        mount(m.path, m.type, m.type == "tmpfs" && m.path == "/dev/shm" ? "shm" : m.type, options));
  }
  for (const Scratch& s : plan.scratch) {
    std::vector<std::string> options = tmpfs_options(s, proof.policy.user);
    if (s.copy_up) options.emplace_back("tmpcopyup");
    for (const std::string& option : base::split(s.options, ',')) {
      if (option != "exec" && option != "noexec" && !option.empty()) options.push_back(option);
    }
    list.push_back(mount(s.path, "tmpfs", "tmpfs", options));
  }
  for (const Mounted& m : plan.volumes) {
    list.push_back(
        mount(m.path, "bind", m.source, {"rbind", "rprivate", m.writable ? "rw" : "ro"}));
  }
  // Beside config.json; runc looks for relative sources there.
  for (const char* name : {"hosts", "hostname", "resolv.conf"}) {
    list.push_back(mount(std::string("/etc/") + name, "bind", name, {"rbind", "rprivate", "ro"}));
  }
  std::stable_sort(list.begin(), list.end(), [](const Json& a, const Json& b) {
    auto depth = [](const Json& m) {
      std::string path = m["destination"];
      return std::count(path.begin(), path.end(), '/');
    };
    return depth(a) < depth(b);  // what stands on another mount comes after it
  });
  return list;
}

Json linux_part(const verdict::Proof& proof, const Plan& plan) {
  const privilege::Policy& policy = proof.policy;
  Json json;
  json["cgroupsPath"] = "/pare/" + plan.name;
  json["namespaces"] = Json::array();
  bool own_network = true;
  for (const auto& [name, type] : kNamespaces) {
    bool shared = has_namespace(policy, name);
    if (!shared) json["namespaces"].push_back({{"type", type}});
    if (type == "network") own_network = !shared;
  }
  Json sysctls = Json::object();
  for (const auto* set : {&proof.platform.sysctls, &policy.sysctls}) {
    for (const auto& [name, value] : *set) {
      if (own_network || !base::starts_with(name, "net.")) sysctls[name] = value;
    }
  }
  if (!sysctls.empty()) json["sysctl"] = sysctls;
  json["resources"] = {{"devices", Json::array({{{"allow", false}, {"access", "rwm"}}})}};
  if (policy.pids_max) json["resources"]["pids"] = {{"limit", *policy.pids_max}};
  if (policy.seccomp) json["seccomp"] = privilege::oci_seccomp(*policy.seccomp);
  json["maskedPaths"] = proof.platform.masked_paths;
  json["readonlyPaths"] = proof.platform.readonly_paths;
  return json;
}

Status can_express(const verdict::Proof& proof) {
  if (!proof.policy.devices.empty()) {
    return fail(ErrorKind::kUsage,
                "--to oci cannot express the device " + proof.policy.devices[0] +
                    ": its numbers are the host's; use --to docker, or add it to linux.devices");
  }
  for (const target::Volume& volume : proof.target.volumes) {
    if (volume.named || volume.source.empty()) {
      return fail(ErrorKind::kUsage, "--to oci cannot express the Docker volume at " + volume.path +
                                         ": use --to docker, or bind a host directory there");
    }
  }
  return {};
}

std::string script(const verdict::Proof& proof, const Plan& plan) {
  Header header;
  header.title = plan.name + ": the least privilege that pare proved, as an OCI bundle for runc.";
  bool image = proof.target.kind == target::Kind::kImage;
  if (image) {
    header.extra.push_back("Its root file system goes into rootfs/ beside config.json:");
    header.extra.push_back("  mkdir rootfs && docker export \"$(docker create " +
                           base::shell_quote(proof.target.image) + ")\" | tar -C rootfs -xf -");
  }
  header.assumptions = {
      "the sources of the bind mounts are where they were when the proof ran",
      "the network namespace has only its loopback; a server is reached from inside it: nsenter "
      "--net=/proc/PID/ns/net, with PID from runc list"};
  for (const target::EnvVar& variable : plan.env) {
    if (!variable.secret) continue;
    header.inexpressible.push_back(variable.name +
                                   ": an OCI config has no references to secrets; add it to "
                                   "process.env when the container is made");
  }
  auto egress = egress_clauses(proof.policy);
  if (!egress.empty()) {
    header.inexpressible.push_back("egress to " + base::join(egress, ", ") +
                                   ": put the path of a network namespace that has it into "
                                   "linux.namespaces");
  }
  header.check = {"runc list", "runc state " + plan.name};
  return "#!/bin/sh\n" + comment_lines(header_text(proof, plan, header)) +
         "set -eu\ncd \"$(dirname \"$0\")\"\n"
         "ulimit -S -n \"$(ulimit -H -n)\"\n\n" +
         base::shell_join({"exec", "runc", "run", "--bundle", ".", plan.name}) + "\n";
}

}  // namespace

Result<std::vector<File>> emit_oci(const verdict::Proof& proof, const Options& options) {
  PARE_CHECK_OK(can_express(proof));
  Plan plan = make_plan(proof, options);
  Json config;
  config["ociVersion"] = "1.0.2";
  config["process"] = process(proof, plan);
  bool image = proof.target.kind == target::Kind::kImage;
  config["root"] = {{"path", image ? "rootfs" : proof.target.rootfs},
                    {"readonly", !proof.policy.rootfs_writable}};
  config["hostname"] = plan.name;
  config["mounts"] = mounts(proof, plan);
  config["linux"] = linux_part(proof, plan);
  config["annotations"] = {{"pare.proof", "sha256:" + plan.proof_digest},
                           {"pare.confirmed", proof.confirmed ? "true" : "false"}};
  return std::vector<File>{
      {"config.json", base::write_json(config, 2) + "\n"},
      {"run.sh", script(proof, plan)},
      {"hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" +
                    plan.name + "\n"},
      {"hostname", plan.name + "\n"},
      // Documentation's address (RFC 5737): questions fail at once where there is no way out.
      {"resolv.conf", "nameserver 192.0.2.53\n"}};
}

}  // namespace pare::emit
