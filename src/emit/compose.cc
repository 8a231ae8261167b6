// A compose file (compose-spec) with one service.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "emit/docker.h"
#include "emit/emitters.h"
#include "emit/yaml.h"

namespace pare::emit {

namespace {

// docker run's options that grant nothing, by their keys in compose-spec; others are named in the
// file's head.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> kKeptKeys = {{
    {"--cgroup-parent", "cgroup_parent"},
    {"--cpu-shares", "cpu_shares"},
    {"--cpus", "cpus"},
    {"--cpuset-cpus", "cpuset"},
    {"--domainname", "domainname"},
    {"--hostname", "hostname"},
    {"--memory", "mem_limit"},
    {"--memory-reservation", "mem_reservation"},
    {"--memory-swap", "memswap_limit"},
    {"--memory-swappiness", "mem_swappiness"},
    {"--oom-score-adj", "oom_score_adj"},
    {"--platform", "platform"},
    {"--restart", "restart"},
    {"--stop-signal", "stop_signal"},
}};

// Compose takes $NAME and ${NAME} in every value; $$ stands for one $.
std::string literal(const std::string& text) {
  std::string out;
  for (char c : text) out += c == '$' ? std::string("$$") : std::string(1, c);
  return out;
}

Yaml literals(const std::vector<std::string>& words) {
  Yaml list = Yaml::list();
  for (const std::string& word : words) list.add(literal(word));
  return list;
}

void set_privileges(const privilege::Policy& policy, const Plan& plan, Yaml& service) {
  service.set("user", fmt::format("{}:{}", policy.user.uid, policy.user.gid));
  if (!policy.user.groups.empty()) {
    Yaml groups = Yaml::list();
    for (uint32_t group : policy.user.groups) groups.add(std::to_string(group));
    service.set("group_add", groups);
  }
  service.set("privileged", false).set("cap_drop", std::vector<std::string>{"ALL"});
  if (!policy.capabilities.empty()) service.set("cap_add", policy.capabilities.names());
  Yaml security = Yaml::list();
  if (policy.no_new_privileges) security.add("no-new-privileges:true");
  if (policy.seccomp) {
    security.add("seccomp:./" + plan.seccomp_name);
  } else if (!policy.seccomp_default) {
    security.add("seccomp:unconfined");
  }
  if (!security.empty()) service.set("security_opt", security);
  if (policy.pids_max) service.set("pids_limit", *policy.pids_max);
  if (policy.memlock_bytes) {
    bool all = *policy.memlock_bytes == UINT64_MAX;
    Yaml limit = all ? Yaml(-1) : Yaml(*policy.memlock_bytes);
    service.set("ulimits",
                Yaml::map().set("memlock", Yaml::map().set("soft", limit).set("hard", limit)));
  }
  if (policy.shm_bytes) service.set("shm_size", std::to_string(*policy.shm_bytes));
  if (!policy.sysctls.empty()) {
    Yaml sysctls = Yaml::map();
    for (const auto& [name, value] : policy.sysctls) sysctls.set(name, value);
    service.set("sysctls", sysctls);
  }
  if (!policy.devices.empty()) service.set("devices", literals(policy.devices));
  for (const char* name : {"pid", "ipc", "uts"}) {
    if (has_namespace(policy, name)) service.set(name, "host");
  }
}

Yaml mount(const Mounted& m) {
  Yaml entry = Yaml::map();
  entry.set("type", m.named || m.source.empty() ? "volume" : "bind");
  if (!m.source.empty()) entry.set("source", literal(m.source));
  entry.set("target", literal(m.path));
  if (!m.writable) entry.set("read_only", true);
  if (!m.named && !m.source.empty()) {
    entry.set("bind", Yaml::map().set("create_host_path", false));
  }
  return entry;
}

void set_files(const privilege::Policy& policy, const Plan& plan, Yaml& service) {
  service.set("read_only", !policy.rootfs_writable);
  Yaml tmpfs = Yaml::list();
  Yaml volumes = Yaml::list();
  for (const Scratch& s : plan.scratch) {
    if (s.copy_up) {
      volumes.add(Yaml::map().set("type", "volume").set("target", literal(s.path)),
                  "Filled with what the image has there; a tmpfs would hide it.");
      continue;
    }
    std::string own = "rw," + base::join(tmpfs_options(s, policy.user), ",");
    tmpfs.add(literal(s.path) + ":" + (s.options.empty() ? own : s.options));
  }
  for (const Mounted& m : plan.volumes) volumes.add(mount(m));
  if (!tmpfs.empty()) service.set("tmpfs", tmpfs);
  if (!volumes.empty()) service.set("volumes", volumes);
}

void set_network(const verdict::Proof& proof, const Plan& plan, Yaml& service) {
  switch (network_of(proof.policy, plan)) {
    case Network::kHost:
      service.set("network_mode", "host");
      return;
    case Network::kNone:
      service.set("network_mode", "none");
      return;
    case Network::kInternal:
      service.set("networks", std::vector<std::string>{"closed"});
      return;
    case Network::kOpen:
      break;
  }
  Yaml ports = Yaml::list();
  for (const Port& port : plan.ports) {
    std::string suffix = port.protocol == "tcp" ? "" : "/" + port.protocol;
    ports.add(fmt::format("127.0.0.1:{}:{}{}", published_port(proof.target, port.outside),
                          port.port, suffix));
  }
  if (!ports.empty()) service.set("ports", ports);
}

void set_gpus(const target::Target& target, Yaml& service) {
  if (target.gpus.empty()) return;
  Yaml device = Yaml::map().set("driver", "nvidia");
  if (auto count = base::parse_u64(target.gpus)) {
    device.set("count", *count);
  } else {
    device.set("count", "all");
  }
  device.set("capabilities", std::vector<std::string>{"gpu"});
  Yaml reservations = Yaml::map().set("devices", Yaml::list().add(device));
  service.set("deploy",
              Yaml::map().set("resources", Yaml::map().set("reservations", reservations)));
}

std::string_view kept_key(const std::string& option) {
  for (const auto& [name, key] : kKeptKeys) {
    if (name == option) return key;
  }
  return "";
}

void set_target(const target::Target& target, const Plan& plan, Yaml& service) {
  if (!plan.entrypoint.empty()) service.set("entrypoint", literals(plan.entrypoint));
  if (!plan.arguments.empty()) service.set("command", literals(plan.arguments));
  if (!target.workdir.empty()) service.set("working_dir", literal(target.workdir));
  Yaml environment = Yaml::list();
  for (const target::EnvVar& v : plan.env) {
    environment.add(v.secret ? v.name : v.name + "=" + literal(v.value),
                    v.secret ? "From the environment of docker compose." : "");
  }
  if (!environment.empty()) service.set("environment", environment);
  if (target.init) service.set("init", true);
  if (target.tty) service.set("tty", true);
  if (target.open_stdin) service.set("stdin_open", true);
  if (!target.runtime.empty()) service.set("runtime", target.runtime);
  set_gpus(target, service);
  for (const target::KeptOption& kept : kept_options(target)) {
    std::string_view key = kept_key(kept.option);
    if (!key.empty()) service.set(std::string(key), literal(kept.value));
  }
}

Yaml labels_of(const verdict::Proof& proof, const Plan& plan) {
  Yaml labels = Yaml::map().set("pare.proof", "sha256:" + plan.proof_digest);
  if (!proof.confirmed) labels.set("pare.unconfirmed", "true");
  return labels;
}

Yaml service_of(const verdict::Proof& proof, const Plan& plan) {
  Yaml service = Yaml::map();
  service.set("image", literal(plan.image)).set("container_name", plan.name);
  set_target(proof.target, plan, service);
  set_privileges(proof.policy, plan, service);
  set_files(proof.policy, plan, service);
  set_network(proof, plan, service);
  service.set("labels", labels_of(proof, plan));
  return service;
}

std::vector<std::string> inexpressible(const verdict::Proof& proof, const Plan& plan) {
  std::vector<std::string> out = docker_inexpressible(proof, plan);
  for (const target::KeptOption& kept : kept_options(proof.target)) {
    if (kept_key(kept.option).empty()) {
      out.push_back(kept.option + "=" + kept.value + ": write it in by hand where it matters");
    }
  }
  for (const std::string& option : proof.target.lsm_options) {
    out.push_back("--security-opt " + option + ": write it in by hand where it matters");
  }
  return out;
}

std::string head(const verdict::Proof& proof, const Plan& plan, bool pulls) {
  Header header;
  header.title = plan.name + ": the least privilege that pare proved, as a compose file.";
  if (pulls) {
    header.extra.push_back("Fill the volumes first: docker compose run --rm --service-ports " +
                           plan.name + "-pull, and end it once it is ready.");
  }
  if (network_of(proof.policy, plan) == Network::kInternal) {
    header.extra.push_back(
        "Its network has no way out, and Docker publishes no port on it: the "
        "server is reached at its own address,");
    header.extra.push_back(
        "by the host and by services of the same network. It does not stop what "
        "listens on the host's side; as root:");
    header.extra.push_back("  iptables -I INPUT -i " + bridge_name(plan.name + "_closed") +
                           " -m conntrack --ctstate NEW -j DROP");
  }
  header.assumptions = docker_assumptions(proof, plan);
  header.inexpressible = inexpressible(proof, plan);
  header.check = {"docker compose config --quiet", "docker compose up --detach",
                  "docker inspect " + plan.name};
  return comment_lines(header_text(proof, plan, header));
}

// Keys that a service may have and that the policy does not grant.
void take_away(const verdict::Proof& proof, const Plan& plan, Yaml& service) {
  const privilege::Policy& policy = proof.policy;
  Network network = network_of(policy, plan);
  if (policy.capabilities.empty()) service.set("cap_add", Yaml::null());
  if (policy.devices.empty()) service.set("devices", Yaml::null());
  if (policy.sysctls.empty()) service.set("sysctls", Yaml::null());
  if (policy.user.groups.empty()) service.set("group_add", Yaml::null());
  if (network == Network::kInternal || network == Network::kOpen) {
    service.set("network_mode", Yaml::null());
  }
  if (network == Network::kInternal) service.set("ports", Yaml::null());
  for (const char* name : {"pid", "ipc", "uts"}) {
    if (!has_namespace(policy, name)) service.set(name, Yaml::null());
  }
}

// `networks` of the document, where the service has one of its own.
Yaml closed_network(const Plan& plan) {
  Yaml driver =
      Yaml::map().set("com.docker.network.bridge.name", bridge_name(plan.name + "_closed"));
  return Yaml::map().set("closed", Yaml::map().set("internal", true).set("driver_opts", driver));
}

Yaml named_volumes(const Plan& plan) {
  Yaml volumes = Yaml::map();
  for (const Mounted& m : plan.volumes) {
    if (m.named) volumes.set(m.source, Yaml::map().set("external", true));
  }
  return volumes;
}

}  // namespace

std::string compose_patch(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  Yaml service = Yaml::map();
  if (proof.policy.arguments) service.set("command", literals(*proof.policy.arguments));
  Yaml environment = Yaml::map();
  for (const auto& [name, value] : proof.policy.environment) environment.set(name, literal(value));
  if (!environment.empty()) service.set("environment", environment);
  set_privileges(proof.policy, plan, service);
  set_files(proof.policy, plan, service);
  set_network(proof, plan, service);
  take_away(proof, plan, service);
  service.set("labels", labels_of(proof, plan));
  std::string name = options.workload.empty() ? plan.name : options.workload;
  Yaml document = Yaml::map().set("services", Yaml::map().set(name, service));
  if (network_of(proof.policy, plan) == Network::kInternal) {
    document.set("networks", closed_network(plan));
  }
  return document.text();
}

Result<std::vector<File>> emit_compose(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  auto pull = pull_phase(proof);
  Yaml services = Yaml::map().set(plan.name, service_of(proof, plan));
  if (pull) {
    Plan pulling = pull_plan(*pull, plan, options);
    Yaml service = service_of(*pull, pulling);
    service.set("profiles", std::vector<std::string>{"pull"});
    services.set(pulling.name, service, "With the network and the writes that filling takes.");
  }
  Yaml document = Yaml::map();
  document.set("name", plan.name).set("services", services);
  if (network_of(proof.policy, plan) == Network::kInternal) {
    document.set("networks", closed_network(plan));
  }
  if (Yaml volumes = named_volumes(plan); !volumes.empty()) document.set("volumes", volumes);
  std::vector<File> files = {
      {"compose.yaml", head(proof, plan, pull.has_value()) + document.text()}};
  if (auto profile = seccomp_file(proof, plan, plan.seccomp_name)) files.push_back(*profile);
  return files;
}

}  // namespace pare::emit
