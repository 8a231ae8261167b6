// One `docker run` command in a small POSIX shell script.
#include "emit/docker.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "emit/emitters.h"
#include "emit/yaml.h"

namespace pare::emit {

namespace {

// The command's words, one line of the script each: an option with its value.
using Lines = std::vector<std::vector<std::string>>;

// One field of --mount's CSV (docs.docker.com, "bind mounts"; RFC 4180 quoting).
std::string mount_field(const std::string& key, const std::string& value) {
  std::string field = key + "=" + value;
  if (field.find_first_of(",\"\n") == std::string::npos) return field;
  std::string quoted = "\"";
  for (char c : field) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

void add_privileges(const privilege::Policy& policy, const Plan& plan, Lines& lines) {
  lines.push_back({"--user", fmt::format("{}:{}", policy.user.uid, policy.user.gid)});
  for (uint32_t group : policy.user.groups) {
    lines.push_back({"--group-add", std::to_string(group)});
  }
  lines.push_back({"--cap-drop", "ALL"});
  for (const std::string& name : policy.capabilities.names()) lines.push_back({"--cap-add", name});
  if (policy.no_new_privileges) lines.push_back({"--security-opt", "no-new-privileges"});
  if (policy.seccomp) {
    lines.push_back({"--security-opt", "seccomp=" + plan.seccomp_name});
  } else if (!policy.seccomp_default) {
    lines.push_back({"--security-opt", "seccomp=unconfined"});
  }
  if (policy.pids_max) lines.push_back({"--pids-limit", std::to_string(*policy.pids_max)});
  if (policy.memlock_bytes) {
    bool all = *policy.memlock_bytes == UINT64_MAX;
    std::string bytes = all ? "-1" : std::to_string(*policy.memlock_bytes);
    lines.push_back({"--ulimit", fmt::format("memlock={0}:{0}", bytes)});
  }
  if (policy.shm_bytes) lines.push_back({"--shm-size", std::to_string(*policy.shm_bytes)});
  for (const auto& [name, value] : policy.sysctls) {
    lines.push_back({"--sysctl", name + "=" + value});
  }
  for (const std::string& device : policy.devices) lines.push_back({"--device", device});
  for (const char* name : {"pid", "ipc", "uts"}) {
    if (has_namespace(policy, name)) lines.push_back({std::string("--") + name, "host"});
  }
}

void add_files(const privilege::Policy& policy, const Plan& plan, Lines& lines) {
  if (!policy.rootfs_writable) lines.push_back({"--read-only"});
  for (const Scratch& s : plan.scratch) {
    if (s.copy_up) {
      // Docker fills a new volume with what the image has at the path; a tmpfs would hide it.
      lines.push_back({"--mount", "type=volume," + mount_field("target", s.path)});
      continue;
    }
    std::string own = "rw," + base::join(tmpfs_options(s, policy.user), ",");
    lines.push_back({"--tmpfs", s.path + ":" + (s.options.empty() ? own : s.options)});
  }
  for (const Mounted& m : plan.volumes) {
    std::string mount = m.named || m.source.empty() ? "type=volume" : "type=bind";
    if (!m.source.empty()) mount += "," + mount_field("source", m.source);
    mount += "," + mount_field("target", m.path) + (m.writable ? "" : ",readonly");
    lines.push_back({"--mount", mount});
  }
}

void add_network(const verdict::Proof& proof, const Plan& plan, Lines& lines) {
  switch (network_of(proof.policy, plan)) {
    case Network::kHost:
      lines.push_back({"--network", "host"});
      return;
    case Network::kNone:
      lines.push_back({"--network", "none"});
      return;
    case Network::kInternal:
      lines.push_back({"--network", network_name(plan)});
      return;
    case Network::kOpen:
      break;
  }
  const std::string& asked = proof.target.network;
  bool named = !asked.empty() && asked != "none" && asked != "host" && asked != "bridge";
  if (named) lines.push_back({"--network", asked});
  for (const Port& port : plan.ports) {
    uint16_t host_port = published_port(proof.target, port.outside);
    std::string suffix = port.protocol == "tcp" ? "" : "/" + port.protocol;
    lines.push_back({"--publish", fmt::format("127.0.0.1:{}:{}{}", host_port, port.port, suffix)});
  }
}

// What grants nothing, or is the platform's own business, stays as the target had it.
void add_target(const target::Target& target, const Plan& plan, Lines& lines) {
  if (target.init) lines.push_back({"--init"});
  if (target.tty) lines.push_back({"--tty"});
  if (target.open_stdin) lines.push_back({"--interactive"});
  if (!target.runtime.empty()) lines.push_back({"--runtime", target.runtime});
  if (!target.gpus.empty()) lines.push_back({"--gpus", target.gpus});
  for (const std::string& option : target.lsm_options) lines.push_back({"--security-opt", option});
  for (const target::KeptOption& kept : kept_options(target)) {
    lines.push_back({kept.option + "=" + kept.value});  // right for flags and values alike
  }
  for (const target::EnvVar& variable : plan.env) {
    lines.push_back(
        {"--env", variable.secret ? variable.name : variable.name + "=" + variable.value});
  }
  if (!target.workdir.empty()) lines.push_back({"--workdir", target.workdir});
}

std::vector<std::string> image_and_arguments(const Plan& plan) {
  std::vector<std::string> words = {plan.image};
  // --entrypoint takes one word; the rest of an entry point goes before the arguments.
  if (!plan.entrypoint.empty()) {
    words.insert(words.end(), plan.entrypoint.begin() + 1, plan.entrypoint.end());
  }
  words.insert(words.end(), plan.arguments.begin(), plan.arguments.end());
  return words;
}

std::string command_text(const verdict::Proof& proof, const Plan& plan) {
  Lines lines = {{"docker", "run", "--detach", "--name", plan.name}};
  add_privileges(proof.policy, plan, lines);
  add_files(proof.policy, plan, lines);
  add_network(proof, plan, lines);
  add_target(proof.target, plan, lines);
  if (!plan.entrypoint.empty()) lines.push_back({"--entrypoint", plan.entrypoint[0]});
  lines.push_back(image_and_arguments(plan));
  std::string text;
  for (const auto& line : lines) {
    text += (text.empty() ? "" : " \\\n  ") + base::shell_join(line);
  }
  return text + "\n";
}

std::string network_text(const Plan& plan) {
  std::string port = std::to_string(plan.ports[0].port);
  std::string text = fmt::format(
      "An --internal network has no way out, and Docker publishes no port on it: the server is "
      "reached\n"
      "at its own address, by the host and by containers of the same network:\n"
      "  curl \"http://$(docker inspect --format '{{{{range .NetworkSettings.Networks}}}}"
      "{{{{.IPAddress}}}}{{{{end}}}}' {0}):{1}/\"\n"
      "It does not stop what listens on the host's own side of the bridge; as root:\n"
      "  iptables -I INPUT -i {2} -m conntrack --ctstate NEW -j DROP\n"
      "To have it on 127.0.0.1:{1} instead, create the network without --internal, put\n"
      "  --publish 127.0.0.1:{1}:{1}\n"
      "into the command, and close the way out by hand (it is open again after a reboot):\n"
      "  iptables -I DOCKER-USER -i {2} -m conntrack --ctstate NEW -j DROP\n",
      plan.name, port, bridge_name(network_name(plan)));
  return comment_lines(text) + fmt::format(
                                   "docker network inspect {0} >/dev/null 2>&1 ||\n"
                                   "  docker network create --internal --opt "
                                   "com.docker.network.bridge.name={1} {0} >/dev/null\n\n",
                                   network_name(plan), bridge_name(network_name(plan)));
}

std::string secret_checks(const Plan& plan) {
  std::string text;
  for (const target::EnvVar& variable : plan.env) {
    if (variable.secret) text += fmt::format(": \"${{{}:?export it first}}\"\n", variable.name);
  }
  return text;
}

// Runs the server with what its pull needs, until it is ready, and ends it.
std::optional<File> pull_script(const verdict::Proof& proof, const Plan& serving,
                                const Options& options) {
  auto pull = pull_phase(proof);
  if (!pull) return std::nullopt;
  Plan plan = pull_plan(*pull, serving, options);
  Header header;
  header.title = "Fills the volumes of " + serving.name + ": run it once, before run.sh.";
  header.inexpressible = docker_inexpressible(*pull, plan);
  std::string wait =
      "echo 'when " + plan.name + " is ready: docker rm --force " + plan.name + "'\n";
  bool published = network_of(pull->policy, plan) != Network::kInternal;
  if (published && plan.probe && plan.probe->kind == Probe::Kind::kHttp) {
    uint16_t port = published_port(proof.target, plan.probe->port);
    std::string url =
        fmt::format("{}://127.0.0.1:{}{}", plan.probe->scheme, port, plan.probe->path);
    wait = fmt::format(
        "until curl --fail --silent --output /dev/null {1}; do\n"
        "  [ \"$(docker inspect --format '{{{{.State.Running}}}}' {0})\" = true ] ||\n"
        "    {{ docker logs {0} >&2; exit 1; }}\n"
        "  sleep 5\n"
        "done\n"
        "docker stop {0} >/dev/null\n"
        "docker rm {0} >/dev/null\n",
        plan.name, base::shell_quote(url));
  }
  return File{"pull.sh", "#!/bin/sh\n" + comment_lines(header_text(*pull, plan, header)) +
                             "set -eu\ncd \"$(dirname \"$0\")\"\n\n" + secret_checks(plan) +
                             (published ? "" : network_text(plan)) + command_text(*pull, plan) +
                             "\n" + wait};
}

}  // namespace

Result<std::vector<File>> emit_docker(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  Header header;
  header.title = plan.name + ": the least privilege that pare proved, as one docker run command.";
  if (pull_phase(proof)) header.extra.push_back("Fill the volumes first: sh pull.sh");
  header.assumptions = docker_assumptions(proof, plan);
  header.inexpressible = docker_inexpressible(proof, plan);
  header.check = {"docker inspect " + plan.name, "docker logs " + plan.name};
  std::string text = "#!/bin/sh\n" + comment_lines(header_text(proof, plan, header)) +
                     "set -eu\ncd \"$(dirname \"$0\")\"\n\n";
  text += secret_checks(plan);
  if (network_of(proof.policy, plan) == Network::kInternal) text += network_text(plan);
  text += command_text(proof, plan);
  std::vector<File> files = {{"run.sh", text}};
  if (auto pull = pull_script(proof, plan, options)) files.push_back(*pull);
  if (auto profile = seccomp_file(proof, plan, plan.seccomp_name)) {
    files.push_back(*profile);
  }
  return files;
}

}  // namespace pare::emit
