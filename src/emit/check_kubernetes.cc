// Reads back what the kubernetes, kustomize and helm emitters write: the Pod as the reader of
// Kubernetes files takes it, and what the NetworkPolicies that select it let through.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "emit/check_read.h"
#include "emit/kubernetes.h"
#include "privilege/seccomp.h"
#include "target/files.h"
#include "target/tree_json.h"

namespace pare::emit {

using base::Json;
using target::Tree;

namespace {

using Labels = std::map<std::string, std::string>;

Result<std::vector<Tree>> trees_of(const File& file) {
  return target::read_trees({file.name, file.content}, 0, target::yaml::Dialect::kKubernetes);
}

const Tree* of_kind(const std::vector<Tree>& documents, std::string_view kind) {
  for (const Tree& document : documents) {
    const Tree* own = document.get("kind");
    if (own != nullptr && own->text == kind) return &document;
  }
  return nullptr;
}

Labels labels_of(const Tree* map) {
  Labels labels;
  if (map == nullptr) return labels;
  for (const Tree::Entry& entry : map->map) labels[entry.key] = entry.value.text;
  return labels;
}

std::string selector_text(const char* what, const Tree& selector) {
  std::string text = what;
  for (const auto& [key, value] : labels_of(selector.get("matchLabels"))) {
    text += " " + key + "=" + value;
  }
  bool more = selector.get("matchExpressions") != nullptr;
  if (text == what) text = std::string("all ") + what;
  return more ? text + " and more" : text;
}

std::string peer_text(const Tree& peer) {
  std::vector<std::string> parts;
  if (const Tree* block = peer.get("ipBlock")) {
    const Tree* cidr = block->get("cidr");
    parts.push_back(cidr == nullptr ? "?" : cidr->text);
    if (const Tree* except = block->get("except")) {
      std::vector<std::string> out;
      for (const Tree& item : except->seq) out.push_back(item.text);
      parts.push_back("but not " + base::join(out, " "));
    }
  }
  if (const Tree* pods = peer.get("podSelector")) parts.push_back(selector_text("Pods", *pods));
  if (const Tree* spaces = peer.get("namespaceSelector")) {
    parts.push_back("of " + selector_text("namespaces", *spaces));
  }
  return base::join(parts, " ") + others(peer, {"ipBlock", "podSelector", "namespaceSelector"});
}

// "8000/tcp from Pods embed-client=true": every port of a rule with every peer.
void add_rule(const Tree& rule, const char* peers_key, const char* word,
              std::set<std::string>& out) {
  std::vector<std::string> ports, peers;
  if (const Tree* list = rule.get("ports")) {
    for (const Tree& port : list->seq) {
      const Tree* number = port.get("port");
      const Tree* protocol = port.get("protocol");
      const Tree* last = port.get("endPort");
      ports.push_back((number == nullptr ? "every port" : number->text) +
                      (last == nullptr ? "" : "-" + last->text) + "/" +
                      base::lower(protocol == nullptr ? "tcp" : protocol->text) +
                      others(port, {"port", "protocol", "endPort"}));
    }
  }
  if (const Tree* list = rule.get(peers_key)) {
    for (const Tree& peer : list->seq) peers.push_back(peer_text(peer));
  }
  if (ports.empty()) ports.emplace_back("every port");
  if (peers.empty()) peers.push_back("anybody" + others(rule, {"ports", peers_key}));
  for (const std::string& port : ports) {
    for (const std::string& peer : peers) out.insert(port + " " + word + " " + peer);
  }
}

// Empty where kubectl's own decides.
std::string space_of(const Tree& document) {
  const Tree* space = document.get({"metadata", "namespace"});
  return space == nullptr ? "" : space->text;
}

// Where a Pod is, and what selects it.
struct Place {
  std::string space;
  Labels labels;
};

Place place_of(const Tree& workload) {
  return {space_of(workload), labels_of(workload.get({"spec", "template", "metadata", "labels"}))};
}

// What one direction of all policies that select a Pod there admits.
std::string direction(const std::vector<Tree>& documents, const Place& pod, const char* type,
                      const char* rules_key, const char* peers_key, const char* word) {
  bool isolated = false;
  std::set<std::string> admitted;
  for (const Tree& document : documents) {
    const Tree* kind = document.get("kind");
    const Tree* spec = document.get("spec");
    if (kind == nullptr || kind->text != "NetworkPolicy" || spec == nullptr) continue;
    if (space_of(document) != pod.space) continue;
    const Tree* types = spec->get("policyTypes");
    bool of_type = types != nullptr && std::any_of(types->seq.begin(), types->seq.end(),
                                                   [&](const Tree& t) { return t.text == type; });
    if (!of_type) continue;
    // Whom such a policy selects is not known, so neither is what it takes away or gives.
    const Tree* selector = spec->get("podSelector");
    std::string unknown = selector == nullptr ? "" : others(*selector, {"matchLabels"});
    unknown += others(*spec, {"podSelector", "policyTypes", "ingress", "egress"});
    if (!unknown.empty()) {
      admitted.insert("not understood:" + unknown);
      continue;
    }
    Labels wanted = labels_of(spec->get({"podSelector", "matchLabels"}));
    if (!std::includes(pod.labels.begin(), pod.labels.end(), wanted.begin(), wanted.end()))
      continue;
    isolated = true;
    const Tree* rules = spec->get(rules_key);
    if (rules == nullptr) continue;
    for (const Tree& rule : rules->seq) add_rule(rule, peers_key, word, admitted);
  }
  if (!isolated) return "any";
  std::vector<std::string> lines(admitted.begin(), admitted.end());
  return lines.empty() ? "none" : base::join(lines, ", ");
}

std::string ingress_of(const std::vector<Tree>& documents, const Place& pod) {
  return direction(documents, pod, "Ingress", "ingress", "from", "from");
}

std::string egress_of(const std::vector<Tree>& documents, const Place& pod) {
  std::string text = direction(documents, pod, "Egress", "egress", "to", "to");
  return text == "every port to anybody" ? "any" : text;
}

// Names in their order; of all but the server also what they are, as a digest.
std::string containers_in(const Tree* list, const std::string& server) {
  std::vector<std::string> names;
  if (list == nullptr) return "";
  for (const Tree& item : list->seq) {
    const Tree* name = item.get("name");
    std::string text = name == nullptr ? "?" : name->text;
    if (text != server)
      text += "@" +
              base::sha256_hex(base::write_json(target::without_nulls(target::json_of<Json>(item))))
                  .substr(0, 8);
    names.push_back(text);
  }
  return base::join(names, " ");
}

// Who is in the Pod, the server and who else.
std::string containers_term(const Tree& spec, const std::string& server) {
  std::string init = containers_in(spec.get("initContainers"), server);
  return containers_in(spec.get("containers"), server) + (init.empty() ? "" : " after " + init);
}

// Paths that an init container copies from the image, as copy_containers() writes it.
std::string filled_term(const Tree& spec) {
  std::vector<std::string> paths;
  const Tree* list = spec.get("initContainers");
  if (list == nullptr) return paths_term({});
  for (const Tree& container : list->seq) {
    const Tree* command = container.get("command");
    bool copies = command != nullptr && command->seq.size() == 4 && command->seq[0].text == "cp";
    if (!copies || !base::ends_with(command->seq[2].text, "/.")) continue;
    paths.push_back(command->seq[2].text.substr(0, command->seq[2].text.size() - 2));
  }
  return paths_term(paths);
}

std::string token_term(const Tree& spec) {
  const Tree* mounts = spec.get("automountServiceAccountToken");
  return mounts != nullptr && mounts->text == "false" ? "none" : "mounted";
}

// A volume that the target bound anonymously is an emptyDir here, as scratch space is.
void part_volumes(const Plan& plan, target::Target& target) {
  for (const Mounted& m : plan.volumes) {
    auto at = std::find(target.tmpfs.begin(), target.tmpfs.end(), m.path);
    if (!m.source.empty() || at == target.tmpfs.end()) continue;
    target.tmpfs.erase(at);
    target.volumes.push_back({"", m.path, false, !m.writable});
  }
  // So that no option of the emptyDir says more than its path.
  target.tmpfs_options.clear();
}

void set_cannot(const Reading& reading, Granted& granted, Terms& wanted) {
  const privilege::Policy& policy = reading.proof.policy;
  auto& cannot = granted.cannot;
  cannot["pids"] = "a Pod has no field for it: the kubelet's podPidsLimit";
  if (policy.memlock_bytes) cannot["memlock"] = "a Pod has no field for it";
  if (wanted["write"] != "none") cannot["write-exec"] = "an emptyDir always allows it";
  if (!policy.devices.empty()) cannot["device"] = "it needs a device plugin";
  bool list = policy.seccomp.has_value() && !wants_localhost(reading.proof, reading.options);
  if (list && granted.terms["syscall"] == "the platform's own profile") {
    cannot["syscall"] =
        "RuntimeDefault needs no file on the node and is wider than the list; "
        "--localhost-seccomp names the list";
  }
  if (policy.seccomp && !reading.options.seccomp_operator.empty()) {
    auto wider = privilege::oci_seccomp(without_fallbacks(*policy.seccomp));
    if (granted.terms["syscall"] == seccomp_term(wider, kOperatorFile).value_or("")) {
      cannot["syscall"] = "the operator's rules cannot answer \"no such call\": " +
                          base::join(policy.seccomp->enosys, ", ") + " are allowed";
    }
  }
  if (has_namespace(policy, "uts")) {
    cannot["namespace"] = "a Pod cannot have the host's UTS namespace";
  }
  // Devices are counted: "all" is what the node has.
  if (!base::parse_u64(wanted["gpus"]) && wanted["gpus"] != "none") wanted["gpus"] = "1";
}

// Rules are compared as they stand; a proof that names hosts is wider as a NetworkPolicy.
void set_network(const Reading& reading, const std::vector<Tree>& found, const Place& pod,
                 const std::vector<Tree>& fresh, const Place& own, Granted& granted,
                 Terms& wanted) {
  granted.terms["port"] = ingress_of(found, pod);
  wanted["port"] = ingress_of(fresh, own);
  granted.terms["egress"] = egress_of(found, pod);
  std::string again = egress_of(fresh, own);
  auto nameless = nameless_egress(reading.proof.policy);
  if (nameless.empty()) {
    wanted["egress"] = again;
  } else if (granted.terms["egress"] == again) {
    granted.cannot["egress"] = base::join(nameless, "; ");
  }
}

Result<target::Target> target_of(const File& file, const std::string& text, const Plan& plan,
                                 const std::string& container) {
  target::FileOptions options;
  options.not_to_run = true;
  options.container = container;
  options.environment = secret_values(plan);
  PARE_TRY(auto workloads, target::read_target_files({{file.name, text}}, options));
  PARE_TRY(target::Workload workload, target::choose_workload(workloads, container));
  if (workload.refused) return tl::unexpected(*workload.refused);
  return workload.target;
}

struct Documents {
  std::vector<Tree> pod, network;  // of the file with the workload, and of that with its policy
};

Result<Documents> documents_of(const std::vector<File>& files, const std::string& workload,
                               const std::string& network) {
  Documents out;
  PARE_TRY(const File* first, need_file(files, workload));
  PARE_TRY(const File* second, need_file(files, network));
  PARE_TRY(out.pod, trees_of(*first));
  PARE_TRY(out.network, trees_of(*second));
  return out;
}

Result<const Tree*> template_of(const std::vector<Tree>& documents, const char* kind,
                                const std::string& file) {
  const Tree* document = of_kind(documents, kind);
  const Tree* pod = document == nullptr ? nullptr : document->get({"spec", "template"});
  if (pod == nullptr || pod->get("spec") == nullptr) {
    return fail(ErrorKind::kUnread, file + ": it has no " + kind + " with a Pod in it");
  }
  return pod;
}

// A workload of `kind` in `name`, held against what `reading.proof` needs.
Result<std::pair<Granted, Terms>> read_workload(const Reading& reading, const char* kind,
                                                const std::string& name,
                                                const std::string& network) {
  PARE_TRY(Documents found, documents_of(reading.files, name, network));
  PARE_TRY(Documents own, documents_of(reading.fresh, name, network));
  PARE_TRY(const Tree* pod, template_of(found.pod, kind, name));
  PARE_TRY(const Tree* again, template_of(own.pod, kind, name));
  const File& file = *find_file(reading.files, name);
  PARE_TRY(target::Target target, target_of(file, file.content, reading.plan, reading.plan.name));
  part_volumes(reading.plan, target);
  PARE_TRY(privilege::Platform kubernetes, privilege::find_platform("kubernetes"));
  Granted granted{name, {}, {}};
  PARE_TRY(granted.terms, target_terms(target, kubernetes, reading, name));
  Terms wanted = proof_terms(reading.proof, reading.plan);
  granted.terms["write-filled"] = filled_term(*pod->get("spec"));
  granted.terms["container"] = containers_term(*pod->get("spec"), reading.plan.name);
  wanted["container"] = containers_term(*again->get("spec"), reading.plan.name);
  granted.terms["token"] = token_term(*pod->get("spec"));
  wanted["token"] = "none";
  set_cannot(reading, granted, wanted);
  set_network(reading, found.network, place_of(*of_kind(found.pod, kind)), own.network,
              place_of(*of_kind(own.pod, kind)), granted, wanted);
  return std::pair(granted, wanted);
}

// The patch as a workload of its own: an image, and no mounts but those that it adds. The paths of
// the others, which it makes read-only.
std::vector<std::string> complete_patch(Json& document, const std::string& image) {
  std::vector<std::string> read_only;
  for (Json& container : document["spec"]["template"]["spec"]["containers"]) {
    container["image"] = image;
    Json mounts = Json::array();
    for (const Json& mount : container.value("volumeMounts", Json::array())) {
      if (mount.contains("name")) {
        mounts.push_back(mount);
      } else if (mount.value("readOnly", false)) {
        read_only.push_back(mount.value("mountPath", ""));
      }
    }
    container["volumeMounts"] = mounts;
  }
  return read_only;
}

}  // namespace

Result<std::vector<std::pair<Granted, Terms>>> read_kubernetes(const Reading& reading) {
  std::vector<std::pair<Granted, Terms>> out;
  PARE_TRY(auto server,
           read_workload(reading, "Deployment", "deployment.yaml", "networkpolicy.yaml"));
  out.push_back(server);
  if (auto pull = pull_phase(reading.proof)) {
    Plan plan = pull_plan(*pull, reading.plan, reading.options);
    PARE_TRY(auto job, read_workload({*pull, plan, reading.options, reading.files, reading.fresh},
                                     "Job", "pull/job.yaml", "pull/job.yaml"));
    out.push_back(job);
  }
  return out;
}

Result<std::vector<std::pair<Granted, Terms>>> read_overlay(const Reading& reading) {
  static constexpr const char* kOwn = "the workload's own stays";
  PARE_TRY(Documents found, documents_of(reading.files, "patch.yaml", "networkpolicy.yaml"));
  PARE_TRY(Documents own, documents_of(reading.fresh, "patch.yaml", "networkpolicy.yaml"));
  PARE_TRY(const Tree* pod, template_of(found.pod, "Deployment", "patch.yaml"));
  // A merge takes away what is null.
  Json document = target::without_nulls(target::json_of<Json>(*of_kind(found.pod, "Deployment")));
  PARE_TRY(std::vector<std::string> read_only, base::read_json("patch.yaml", [&] {
             return complete_patch(document, reading.plan.image);
           }));
  std::string container =
      reading.options.container.empty() ? reading.options.workload : reading.options.container;
  PARE_TRY(target::Target target,
           target_of(*find_file(reading.files, "patch.yaml"), base::write_json(document),
                     reading.plan, container.empty() ? reading.plan.name : container));
  Terms wanted = proof_terms(reading.proof, reading.plan);
  target.tmpfs_options.clear();
  for (const Mounted& m : reading.plan.volumes) {
    bool kept =
        m.writable || std::find(read_only.begin(), read_only.end(), m.path) == read_only.end();
    target.volumes.push_back({"", m.path, false, !kept});
  }
  PARE_TRY(privilege::Platform kubernetes, privilege::find_platform("kubernetes"));
  Granted granted{"patch.yaml", {}, {}};
  PARE_TRY(granted.terms, target_terms(target, kubernetes, reading, "patch.yaml"));
  granted.terms["token"] = token_term(*pod->get("spec"));
  wanted["token"] = "none";
  set_cannot(reading, granted, wanted);
  for (const char* axis : {"image", "gpus", "shm"}) granted.cannot[axis] = kOwn;
  if (!reading.proof.policy.arguments) granted.cannot["command"] = kOwn;
  if (wanted["lsm"] != granted.terms["lsm"]) granted.cannot["lsm"] = kOwn;
  if (wanted["write-filled"] != "none") {
    granted.cannot["write-filled"] = "an init container of the workload's image has to copy it";
  }
  std::vector<target::EnvVar> changed;
  for (const auto& [name, value] : reading.proof.policy.environment) {
    changed.push_back({name, value, false});
  }
  wanted["environment"] = environment_term(changed);
  if (const File* own_script = find_file(reading.fresh, "post-render.sh")) {
    PARE_TRY(const File* script, need_file(reading.files, own_script->name));
    granted.terms["script"] = script_term(script->content);
    wanted["script"] = script_term(own_script->content);
  }
  set_network(reading, found.network, place_of(*of_kind(found.pod, "Deployment")), own.network,
              place_of(*of_kind(own.pod, "Deployment")), granted, wanted);
  return std::vector<std::pair<Granted, Terms>>{{granted, wanted}};
}

}  // namespace pare::emit
