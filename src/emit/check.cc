#include "emit/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "emit/check_read.h"
#include "emit/kubernetes.h"
#include "privilege/seccomp.h"
#include "target/tree_json.h"

namespace pare::emit {

using base::Json;

namespace {

struct ReaderRow {
  std::string_view to;
  Reader read;
};
const std::vector<ReaderRow>& reader_table() {
  static const std::vector<ReaderRow> kTable = {
      {"kubernetes", read_kubernetes},
      {"kustomize", read_overlay},
      {"helm", read_overlay},
      {"docker", read_docker},
      {"compose", read_compose},
      {"dockerfile", read_dockerfile},
      {"oci", read_oci},
      {"seccomp", read_seccomp},
      {"cilium", read_cilium},
  };
  return kTable;
}

std::string joined(std::vector<std::string> items, const char* nothing) {
  std::sort(items.begin(), items.end());
  return items.empty() ? nothing : base::join(items, ", ");
}

std::string user_term(const privilege::User& user) {
  std::string text = fmt::format("{}:{}", user.uid, user.gid);
  std::set<uint32_t> groups(user.groups.begin(), user.groups.end());
  for (uint32_t group : groups) text += fmt::format(" +{}", group);
  return text;
}

std::string egress_term(const privilege::Policy& policy) {
  return policy.egress_any ? "any" : joined(egress_clauses(policy), "none");
}

std::string bytes_term(const std::optional<uint64_t>& bytes) {
  if (!bytes) return "the platform's own";
  return *bytes == UINT64_MAX ? "unlimited" : fmt::format("{} bytes", *bytes);
}

// One line for every way that a rule of the profile lets one call through, or refuses it.
void add_rule(const Json& rule, std::set<std::string>& lines, std::set<std::string>& allowed) {
  std::string action = rule.at("action");
  if (rule.contains("errnoRet")) action += fmt::format(" {}", rule["errnoRet"].get<int>());
  std::set<std::string> conditions;
  for (const Json& arg : rule.value("args", Json::array()))
    conditions.insert(base::write_json(arg));
  std::string when;
  for (const std::string& condition : conditions) when += " " + condition;
  for (const Json& name : rule.at("names")) {
    lines.insert(name.get<std::string>() + " " + action + when);
    if (rule["action"] == "SCMP_ACT_ALLOW") allowed.insert(name.get<std::string>());
  }
}

}  // namespace

std::string_view to_string(CheckRow::State state) {
  static constexpr std::string_view kNames[] = {"same", "drift", "inexpressible"};
  return kNames[static_cast<size_t>(state)];
}

const File* find_file(const std::vector<File>& files, const std::string& name) {
  for (const File& file : files) {
    if (file.name == name) return &file;
  }
  return nullptr;
}

Result<const File*> need_file(const std::vector<File>& files, const std::string& name) {
  const File* file = find_file(files, name);
  if (file == nullptr) {
    return fail(ErrorKind::kUnread, name + ": it is not there; emit it again without --check");
  }
  return file;
}

std::string words_term(const std::vector<std::string>& entrypoint,
                       const std::vector<std::string>& arguments) {
  if (entrypoint.empty() && arguments.empty()) return "the image's own";
  std::string first = entrypoint.empty() ? "the image's entry point" : base::shell_join(entrypoint);
  return arguments.empty() ? first : first + " " + base::shell_join(arguments);
}

std::string environment_term(const std::vector<target::EnvVar>& env) {
  std::vector<std::string> items;
  for (const target::EnvVar& v : env) {
    items.push_back(v.secret ? v.name + " (a secret)" : base::shell_quote(v.name + "=" + v.value));
  }
  return joined(items, "none");
}

std::map<std::string, std::string> secret_values(const Plan& plan) {
  std::map<std::string, std::string> values;
  for (const target::EnvVar& v : plan.env) {
    if (v.secret) values[v.name] = "";
  }
  return values;
}

std::string others(const target::Tree& map, const std::vector<std::string_view>& known) {
  std::string text;
  for (const target::Tree::Entry& entry : map.map) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    text += " " + entry.key + " " + base::write_json(target::json_of<Json>(entry.value));
  }
  return text;
}

std::string paths_term(std::vector<std::string> paths) {
  return joined(std::move(paths), "none");
}

Result<std::string> seccomp_term(const Json& profile, const std::string& file) {
  return base::read_json(file, [&] {
    std::set<std::string> lines, allowed;
    lines.insert(fmt::format("default {} {}", profile.at("defaultAction").get<std::string>(),
                             profile.value("defaultErrnoRet", 1)));
    for (const Json& arch : profile.value("architectures", Json::array())) {
      lines.insert("architecture " + arch.get<std::string>());
    }
    for (const Json& rule : profile.value("syscalls", Json::array())) {
      add_rule(rule, lines, allowed);
    }
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return fmt::format("a list of {} calls (sha256:{})", allowed.size(),
                       base::sha256_hex(text).substr(0, 12));
  });
}

Terms policy_terms(const privilege::Policy& policy) {
  std::vector<std::string> ports, volumes, writable, exec, filled, sysctls;
  for (const privilege::PortGrant& p : policy.ports) {
    ports.push_back(fmt::format("{}/{}", p.port, p.protocol));
  }
  for (const privilege::VolumeAccess& v : policy.volumes) {
    volumes.push_back(v.path + (v.writable ? " rw" : " ro"));
  }
  for (const privilege::Writable& w : policy.writable) {
    writable.push_back(w.path);
    if (w.exec) exec.push_back(w.path);
    if (w.copy_up) filled.push_back(w.path);
  }
  for (const auto& [name, value] : policy.sysctls) sysctls.push_back(name + "=" + value);
  return {
      {"user", user_term(policy.user)},
      {"capability", joined(policy.capabilities.names(), "none")},
      {"escalation", policy.no_new_privileges ? "refused" : "allowed"},
      {"rootfs", policy.rootfs_writable ? "writable" : "read-only"},
      {"write", joined(writable, "none")},
      {"write-exec", joined(exec, "none")},
      {"write-filled", joined(filled, "none")},
      {"volume-write", joined(volumes, "none")},
      {"port", joined(ports, "none")},
      {"egress", egress_term(policy)},
      {"syscall", policy.seccomp_default ? "the platform's own profile" : "no filter"},
      {"device", joined(policy.devices, "none")},
      {"namespace", joined(policy.host_namespaces, "none")},
      {"pids", policy.pids_max ? std::to_string(*policy.pids_max) : "the platform's own"},
      {"memlock", bytes_term(policy.memlock_bytes)},
      {"shm", bytes_term(policy.shm_bytes)},
      {"sysctl", joined(sysctls, "none")},
  };
}

Terms proof_terms(const verdict::Proof& proof, const Plan& plan) {
  privilege::Policy policy = proof.policy;
  policy.writable.clear();
  for (const Scratch& s : plan.scratch) {
    privilege::Writable writable;
    writable.path = s.path;
    writable.exec = s.exec;
    writable.copy_up = s.copy_up;
    policy.writable.push_back(writable);
  }
  policy.volumes.clear();
  for (const Mounted& m : plan.volumes) policy.volumes.push_back({m.path, m.writable});
  policy.ports.clear();
  for (const auto* list : {&plan.ports, &plan.metrics_ports}) {
    for (const Port& p : *list) policy.ports.push_back({p.port, p.protocol, p.role});
  }
  Terms terms = policy_terms(policy);
  if (policy.seccomp) {
    terms["syscall"] =
        seccomp_term(privilege::docker_seccomp(*policy.seccomp), "proof").value_or("");
  }
  terms["image"] = plan.image;
  terms["command"] = words_term(plan.entrypoint, plan.arguments);
  terms["environment"] = environment_term(plan.env);
  terms["gpus"] = proof.target.gpus.empty() ? "none" : proof.target.gpus;
  terms["lsm"] = joined(proof.target.lsm_options, "the platform's own");
  return terms;
}

// The profile of a path on the node or beside the files: one of them, or the operator's object.
static Result<Json> named_profile(const Reading& reading, const std::string& path) {
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (path.find("/operator/" + reading.options.seccomp_operator + "/") != std::string::npos) {
    PARE_TRY(const File* object, need_file(reading.files, kOperatorFile));
    PARE_TRY(auto documents, target::read_trees({object->name, object->content}, 0,
                                                target::yaml::Dialect::kKubernetes));
    for (const target::Tree& document : documents) {
      const target::Tree* own = document.get({"metadata", "name"});
      const target::Tree* spec = document.get("spec");
      if (own != nullptr && spec != nullptr && own->text + ".json" == name) {
        return target::json_of<Json>(*spec);
      }
    }
    return fail(ErrorKind::kUnread, object->name + ": it has no profile for " + path);
  }
  const File* below = find_file(reading.files, "seccomp/" + name);
  PARE_TRY(const File* profile, below != nullptr ? below : need_file(reading.files, name));
  return base::parse_json(profile->content, name);
}

Result<Terms> target_terms(target::Target target, const privilege::Platform& platform,
                           const Reading& reading, const std::string& file) {
  auto user = target::resolve_user(target.user, {});
  if (!user) return fail(ErrorKind::kUnread, file + ": " + user.error().message);
  target.resolved_user = *user;
  target.resolved_user.groups = target.group_add;
  // An fsGroup that is the server's own group gives it nothing more.
  auto& groups = target.resolved_user.groups;
  groups.erase(std::remove(groups.begin(), groups.end(), target.resolved_user.gid), groups.end());
  privilege::Policy policy = target::asked_policy(target, platform);
  // A new volume of Docker's is filled with what the image has at its path.
  for (const Scratch& s : reading.plan.scratch) {
    auto filled =
        std::find_if(target.volumes.begin(), target.volumes.end(), [&](const target::Volume& v) {
          return s.copy_up && v.path == s.path && v.source.empty() && !v.named && !v.read_only;
        });
    if (filled == target.volumes.end()) continue;
    privilege::Writable writable;
    writable.path = s.path;
    writable.exec = writable.copy_up = true;
    policy.writable.push_back(writable);
    auto same = [&](const privilege::VolumeAccess& v) { return v.path == s.path; };
    policy.volumes.erase(std::remove_if(policy.volumes.begin(), policy.volumes.end(), same),
                         policy.volumes.end());
  }
  Terms terms = policy_terms(policy);
  for (const std::string& name : target.group_add_names) terms["user"] += " +" + name;
  if (!target.seccomp_file.empty()) {
    PARE_TRY(Json profile, named_profile(reading, target.seccomp_file));
    PARE_TRY(terms["syscall"], seccomp_term(profile, target.seccomp_file));
  }
  terms["image"] = target.image;
  terms["command"] = words_term(target.entrypoint, target.command);
  terms["environment"] = environment_term(target.env);
  terms["gpus"] = target.gpus.empty() ? "none" : target.gpus;
  terms["lsm"] = joined(target.lsm_options, "the platform's own");
  return terms;
}

Result<std::vector<CheckRow>> check(const verdict::Proof& proof, const std::string& to,
                                    const Options& options, const std::vector<File>& files) {
  PARE_TRY(std::vector<File> fresh, emit(proof, to, options));  // the same refusals, in its words
  auto row = std::find_if(reader_table().begin(), reader_table().end(),
                          [&](const ReaderRow& r) { return r.to == to; });
  Plan plan = make_plan(proof, options);
  PARE_TRY(auto readings, row->read({proof, plan, options, files, fresh}));
  std::vector<CheckRow> rows;
  for (const auto& [granted, wanted] : readings) {
    for (const auto& [axis, proved] : wanted) {
      CheckRow r{granted.file, axis, CheckRow::State::kSame, proved, "", ""};
      if (auto it = granted.terms.find(axis); it != granted.terms.end()) r.found = it->second;
      if (auto it = granted.cannot.find(axis); it != granted.cannot.end()) {
        r.state = CheckRow::State::kInexpressible;
        r.why = it->second;
      } else if (r.found != proved) {
        r.state = CheckRow::State::kDrift;
      }
      rows.push_back(r);
    }
  }
  PARE_TRY(std::vector<CheckRow> rest, rest_rows(files, fresh));
  rows.insert(rows.end(), rest.begin(), rest.end());
  return rows;
}

}  // namespace pare::emit
