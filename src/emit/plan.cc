#include "emit/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "base/json.h"
#include "base/text.h"

namespace pare::emit {

namespace {

// Above this a directory's contents go to disk where the platform has both.
constexpr uint64_t kLargestInMemory = uint64_t{512} << 20;

std::string unique_name(std::string_view path, std::set<std::string>& taken) {
  std::string base = dns_label(path).substr(0, 58);
  std::string name = base;
  for (int n = 2; !taken.insert(name).second; ++n) name = fmt::format("{}-{}", base, n);
  return name;
}

std::string last_component(std::string_view path) {
  return std::string(path.substr(path.find_last_of('/') + 1));
}

bool looks_like_file(std::string_view path) {
  std::string last = last_component(path);
  size_t dot = last.find_last_of('.');
  return dot != std::string::npos && dot > 0 && last.size() - dot <= 8 && dot + 1 < last.size();
}

// "registry/name:tag" -> "registry/name"; a port's colon is before the last slash.
std::string without_tag(const std::string& image) {
  std::string name = image.substr(0, image.find('@'));
  size_t slash = name.find_last_of('/');
  size_t colon = name.find_last_of(':');
  bool tag = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tag ? name.substr(0, colon) : name;
}

// Of a root file system: whatever image is made from it.
std::string stand_in_image(const std::string& name) {
  return "registry.invalid/" + name + ":proved";
}

std::string image_of(const target::Target& target, const std::string& name) {
  if (target.kind == target::Kind::kRootfs) {
    return target.image.empty() ? stand_in_image(name) : target.image;
  }
  return target.facts.pinned.empty() ? target.image : target.facts.pinned;
}

// Short enough for what is appended to it ("-verify-inference"), begins with a letter (Services:
// RFC 1035) and has two characters (Docker).
std::string plan_name(const target::Target& target) {
  std::string name = target.name;
  if (name.empty()) name = last_component(without_tag(target.image));
  if (name.empty() && !target.argv.empty()) name = last_component(target.argv[0]);
  std::string label = dns_label(dns_label(name).substr(0, 40));
  bool fits = std::isalpha(static_cast<unsigned char>(label[0])) != 0 && label.size() > 1;
  return fits ? label : "server-" + label;
}

void add_arguments(const verdict::Proof& proof, Plan& plan) {
  const target::Target& target = proof.target;
  if (target.kind == target::Kind::kRootfs) {
    plan.entrypoint = proof.policy.arguments.value_or(target.argv);
    return;
  }
  plan.entrypoint = target.entrypoint;
  plan.arguments = proof.policy.arguments.value_or(target.command);
}

void add_environment(const verdict::Proof& proof, Plan& plan) {
  plan.env = proof.target.env;
  for (const auto& [name, value] : proof.policy.environment) {
    auto same = [&, &key = name](const target::EnvVar& v) { return v.name == key; };
    auto old = std::find_if(plan.env.begin(), plan.env.end(), same);
    if (old == plan.env.end()) {
      plan.env.push_back({name, value, false});
    } else {
      *old = {name, value, false};
    }
  }
}

void add_mounts(const verdict::Proof& proof, Plan& plan) {
  std::set<std::string> names;
  for (const target::Volume& volume : proof.target.volumes) {
    Mounted m{unique_name(volume.path, names), volume.source, volume.path, volume.named, false,
              looks_like_file(volume.path)};
    for (const privilege::VolumeAccess& access : proof.policy.volumes) {
      if (access.path != volume.path) continue;
      m.writable = access.writable;
      m.owned = access.owned;
    }
    plan.volumes.push_back(m);
  }
  for (const privilege::Writable& writable : proof.policy.writable) {
    Scratch s;
    s.name = unique_name(writable.path, names);
    s.path = writable.path;
    s.peak = writable.peak_bytes;
    s.limit = privilege::tmpfs_bytes(writable);
    s.memory = s.limit <= kLargestInMemory;
    s.used_exec = writable.exec;
    s.exec = writable.exec || proof.platform.tmpfs_exec;
    auto options = proof.target.tmpfs_options.find(writable.path);
    if (options != proof.target.tmpfs_options.end()) s.options = options->second;
    s.copy_up = writable.copy_up;
    plan.scratch.push_back(s);
  }
}

void add_ports(const verdict::Proof& proof, const Options& options, Plan& plan) {
  const auto& grants = proof.policy.ports;
  bool labelled = std::any_of(grants.begin(), grants.end(),
                              [](const privilege::PortGrant& g) { return g.role == "inference"; });
  for (const privilege::PortGrant& grant : grants) {
    bool inference = grant.role == "inference" || (!labelled && grant.role == "unknown");
    bool metrics = grant.role == "metrics" && !options.metrics_from.empty();
    auto& list = inference ? plan.ports : metrics ? plan.metrics_ports : plan.closed_ports;
    std::string role = inference ? "inference" : grant.role;
    std::string name = role;
    if (!list.empty()) {
      name = fmt::format("{}-{}", role == "inference" ? "infer" : role, grant.port);
    }
    uint16_t outside = grant.instead == 0 ? grant.port : grant.instead;
    list.push_back({grant.port, grant.protocol, name, role, outside});
  }
}

// "models.example:443" -> its parts; a name alone, or an IPv6 address alone, has port 0.
privilege::EgressGrant parse_egress(const std::string& value) {
  size_t colon = value.find_last_of(':');
  bool address = value.find(':') != colon && value[0] != '[';
  if (colon == std::string::npos || address) return {value, 0};
  auto port = base::parse_u64(value.substr(colon + 1));
  std::string name = value.substr(0, colon);
  if (name.size() > 2 && name[0] == '[') name = name.substr(1, name.size() - 2);
  return {name, static_cast<uint16_t>(port.value_or(0))};
}

void grant(const privilege::Privilege& privilege, privilege::Policy& policy) {
  switch (privilege.axis) {
    case privilege::Axis::kEgress:
      if (privilege.value == "any") {
        policy.egress_any = true;
      } else {
        policy.egress.push_back(parse_egress(privilege.value));
      }
      break;
    case privilege::Axis::kVolumeWrite:
      for (privilege::VolumeAccess& v : policy.volumes) {
        v.writable = v.writable || v.path == privilege.value;
      }
      break;
    case privilege::Axis::kCapability:
      if (auto number = privilege::capability_number(privilege.value)) {
        policy.capabilities.add(*number);
      }
      break;
    case privilege::Axis::kUser:
      policy.user.uid = policy.user.gid = 0;
      break;
    case privilege::Axis::kGroup:
      if (auto gid = base::parse_u64(privilege.value)) {
        policy.user.groups.push_back(static_cast<uint32_t>(*gid));
      }
      break;
    case privilege::Axis::kWrite: {
      privilege::Writable writable;
      writable.path = privilege.value;
      policy.writable.push_back(writable);
      break;
    }
    default:
      break;  // no other axis is judged by phase
  }
}

struct SpecUrl {
  std::string scheme;
  uint16_t port = 0;
  std::string path;
  bool modified = false;  // a method, body, header or status that a probe has no word for
};

// "http://:8000/health;expect=200" as --check takes it (docs/checks.md).
std::optional<SpecUrl> parse_spec(const std::string& spec) {
  size_t mark = spec.find("://:");
  if (mark == std::string::npos) return std::nullopt;
  SpecUrl url;
  url.scheme = spec.substr(0, mark);
  std::vector<std::string> parts = base::split(spec.substr(mark + 4), ';');
  size_t slash = parts[0].find('/');
  auto port = base::parse_u64(parts[0].substr(0, slash));
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  url.port = static_cast<uint16_t>(*port);
  url.path = slash == std::string::npos ? "" : parts[0].substr(slash);
  for (size_t i = 1; i < parts.size(); ++i) {
    for (const char* word : {"body=", "header=", "method=POST", "method=PUT"}) {
      url.modified = url.modified || base::starts_with(parts[i], word);
    }
    bool status = base::starts_with(parts[i], "expect=");
    url.modified = url.modified || (status && !base::starts_with(parts[i], "expect=2"));
  }
  return url;
}

// What a GET of readiness looks like for each kind of check; preferred first.
std::optional<Probe> probe_of(const verdict::CheckEntry& check) {
  auto url = parse_spec(check.spec);
  if (!url) return std::nullopt;
  if ((url->scheme == "http" || url->scheme == "https") && !url->modified) {
    return Probe{Probe::Kind::kHttp, url->scheme, url->path.empty() ? "/" : url->path, url->port,
                 check.name};
  }
  if (url->scheme == "openai") {
    return Probe{Probe::Kind::kHttp, "http", "/v1/models", url->port, check.name};
  }
  if (url->scheme == "kserve") {
    return Probe{Probe::Kind::kHttp, "http", "/v2/health/ready", url->port, check.name};
  }
  if (url->scheme == "grpc-health") {
    return Probe{Probe::Kind::kGrpc, "", "", url->port, check.name};
  }
  return std::nullopt;
}

void add_probe(const verdict::Proof& proof, Plan& plan) {
  for (const verdict::CheckEntry& check : proof.checks) {
    auto probe = probe_of(check);
    if (!probe) continue;
    for (const Port& port : plan.ports) {
      if (port.outside == probe->port) probe->port = port.port;
    }
    bool plain_http = base::starts_with(check.spec, "http");
    if (!plan.probe || plain_http) plan.probe = probe;
    if (plain_http) break;
  }
  if (!plan.probe && !plan.ports.empty()) {
    plan.probe = Probe{Probe::Kind::kTcp, "", "", plan.ports[0].port, ""};
  }
  for (const verdict::TrialEntry& trial : proof.trials) {
    if (trial.kind == "baseline" && trial.starts > 0) {
      plan.startup_seconds = std::max(plan.startup_seconds, trial.seconds / trial.starts);
    }
  }
}

void add_list(std::string& text, const char* title, const std::vector<std::string>& items) {
  if (items.empty()) return;
  text += fmt::format("{}\n", title);
  for (const std::string& item : items) text += "  - " + item + "\n";
}

}  // namespace

std::string dns_label(std::string_view text) {
  std::string label;
  for (char c : base::lower(text)) {
    bool word = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (word) label += c;
    if (!word && !label.empty() && label.back() != '-') label += '-';
  }
  label = label.substr(0, 63);
  while (!label.empty() && label.back() == '-') label.pop_back();
  return label.empty() ? "server" : label;
}

std::string human_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  bool whole = value == static_cast<double>(static_cast<uint64_t>(value));
  return whole ? fmt::format("{:.0f}{}", value, kUnits[unit])
               : fmt::format("{:.1f}{}", value, kUnits[unit]);
}

std::vector<std::string> tmpfs_options(const Scratch& scratch, const privilege::User& user) {
  std::vector<std::string> options = {"nosuid",
                                      "nodev",
                                      scratch.exec ? "exec" : "noexec",
                                      fmt::format("uid={}", user.uid),
                                      fmt::format("gid={}", user.gid),
                                      "mode=1777"};
  if (scratch.limit != 0) options.push_back(fmt::format("size={}", scratch.limit));
  return options;
}

const verdict::Verdict* find_verdict(const verdict::Proof& proof, const std::string& privilege) {
  for (const verdict::Verdict& v : proof.verdicts) {
    if (privilege::to_string(v.privilege) == privilege) return &v;
  }
  return nullptr;
}

std::vector<std::string> egress_clauses(const privilege::Policy& policy) {
  if (policy.egress_any) return {"any destination"};
  std::vector<std::string> clauses;
  for (const privilege::EgressGrant& e : policy.egress) {
    clauses.push_back(e.port == 0 ? e.name : fmt::format("{}:{}", e.name, e.port));
  }
  return clauses;
}

Plan make_plan(const verdict::Proof& proof, const Options& options) {
  Plan plan;
  plan.name = plan.claims_of = plan_name(proof.target);
  plan.selector = "app.kubernetes.io/name";
  plan.seccomp_name = plan.name + ".seccomp.json";
  plan.image = image_of(proof.target, plan.name);
  plan.assumptions = proof.assumptions;
  if (proof.target.kind == target::Kind::kImage && proof.target.facts.pinned.empty()) {
    plan.assumptions.push_back(proof.target.image +
                               " still names the image that was proved: no "
                               "registry's digest is known for it");
  }
  plan.proof_digest = options.proof_digest.empty()
                          ? base::sha256_hex(base::write_json(verdict::to_json(proof), 2) + "\n")
                          : options.proof_digest;
  add_arguments(proof, plan);
  add_environment(proof, plan);
  add_mounts(proof, plan);
  add_ports(proof, options, plan);
  add_probe(proof, plan);
  return plan;
}

std::optional<verdict::Proof> pull_phase(const verdict::Proof& proof) {
  verdict::Proof pull = proof;
  bool any = false;
  for (const verdict::Verdict& v : proof.verdicts) {
    bool needed = v.kind == verdict::Kind::kNeeded || v.kind == verdict::Kind::kFixable;
    if (v.phase != evidence::Phase::kPull || !needed) continue;
    // Without one of these it is the server's own start that fills the volume.
    any = any || v.privilege.axis == privilege::Axis::kEgress ||
          v.privilege.axis == privilege::Axis::kGroup;
    grant(v.privilege, pull.policy);
  }
  if (!any) return std::nullopt;
  std::string name = plan_name(proof.target);
  pull.target.name = name + "-pull";
  // The server's own image, under another name.
  if (pull.target.kind == target::Kind::kRootfs) pull.target.image = stand_in_image(name);
  return pull;
}

Plan pull_plan(const verdict::Proof& pull, const Plan& serving, const Options& options) {
  Plan plan = make_plan(pull, options);
  plan.proof_digest = serving.proof_digest;
  plan.seccomp_name = serving.seccomp_name;
  plan.claims_of = serving.name;
  return plan;
}

bool has_namespace(const privilege::Policy& policy, std::string_view name) {
  return std::find(policy.host_namespaces.begin(), policy.host_namespaces.end(), name) !=
         policy.host_namespaces.end();
}

std::string header_text(const verdict::Proof& proof, const Plan& plan, const Header& header) {
  std::string text = header.title + "\n";
  for (const std::string& line : header.extra) text += line + "\n";
  if (!proof.confirmed) {
    text += "\nUNCONFIRMED: the proof behind this file was not confirmed; do not rely on it.\n";
  }
  const target::Target& target = proof.target;
  text += fmt::format("\nproof: sha256:{}\n", plan.proof_digest);
  text += fmt::format(
      "image: {}\n",
      target.kind == target::Kind::kRootfs
          ? "none; the proof ran a root file system"
          : target.image + (target.facts.digest.empty() ? "" : " (" + target.facts.digest + ")"));
  text += fmt::format("proved with: pare {}, {}, kernel {}, for {}, {}\n", proof.pare_version,
                      proof.runtime, proof.kernel, proof.platform.name, proof.date);
  text += proof.minimal ? "minimal: yes, with any one privilege less a check failed\n"
                        : "minimal: no, " + proof.not_minimal_because + "\n";
  std::vector<std::string> assumptions = plan.assumptions;
  assumptions.insert(assumptions.end(), header.assumptions.begin(), header.assumptions.end());
  add_list(text, "\nIt assumes:", assumptions);
  add_list(text, "\nWhat cannot be expressed here:", header.inexpressible);
  if (!header.check.empty()) {
    text += "\nHow to check it:\n";
    for (const std::string& line : header.check) text += "  " + line + "\n";
  }
  return text;
}

}  // namespace pare::emit
