// Kubernetes objects -> workloads, Services, NetworkPolicies.
#include <algorithm>
#include <array>

#include "audit/input.h"
#include "audit/pod_security.h"
#include "base/text.h"

namespace pare::audit {
namespace {

constexpr int kMaxLists = 4;  // a List of Lists

struct Context {
  size_t file, slot, document;
  FileModel* model;
};

std::map<std::string, std::string> string_map(View view) {
  std::map<std::string, std::string> result;
  for (const auto& [key, value] : view.entries()) result[std::string(key)] = value.text_or();
  return result;
}

std::vector<Named> names(View list) {
  std::vector<Named> result;
  for (View item : list.items()) result.push_back({item.text_or(), place_of(item)});
  return result;
}

bool templated(View view) {
  if (!view) return false;
  if (!view.is_scalar()) return false;
  return has_template(view.text_or());
}

Field<std::string> number_field(View parent, std::string_view key) {
  Field<std::string> field;
  View view = parent.get(key);
  if (!view) return field;
  field.place = place_of(view);
  if (auto number = view.as_int()) {
    field.value = std::to_string(*number);
  } else {
    field.unknown = true;
  }
  return field;
}

EnvEntry read_env(View item) {
  EnvEntry entry;
  entry.name = item.get("name").text_or();
  entry.place = place_of(item);
  if (View value = item.get("value")) {
    entry.place = place_of(value);
    entry.value = value.text_or();
    entry.unknown = !value.is_scalar() || has_template(*entry.value);
  } else if (View from = item.get("valueFrom")) {
    entry.from_secret = from.has("secretKeyRef");
  } else {
    entry.value = "";
  }
  return entry;
}

PortEntry read_port(View item, bool of_service) {
  PortEntry entry;
  entry.item = item.written();
  View port = item.get(of_service ? "port" : "containerPort");
  auto number = port.as_int();
  entry.port = number && *number > 0 && *number < 65536 ? static_cast<uint16_t>(*number) : 0;
  entry.unknown = !number;
  entry.place = port ? place_of(port) : place_of(item);
  entry.protocol = base::lower(item.get("protocol").text_or("TCP"));
  entry.name = item.get("name").text_or();
  entry.host_address = item.get("hostIP").text_or();
  if (of_service) {
    entry.host_port = entry.port;
    auto target = item.get("targetPort").as_int();
    if (target && *target > 0 && *target < 65536) entry.port = static_cast<uint16_t>(*target);
  } else if (auto host = item.get("hostPort").as_int(); host && *host > 0 && *host < 65536) {
    entry.host_port = static_cast<uint16_t>(*host);
    entry.published = true;
  }
  return entry;
}

void read_security(View security, const Context& at, Container* c) {
  c->privileged = bool_field(security, "privileged", at.document, at.model);
  c->escalation = bool_field(security, "allowPrivilegeEscalation", at.document, at.model);
  c->non_root = bool_field(security, "runAsNonRoot", at.document, at.model);
  c->read_only_root = bool_field(security, "readOnlyRootFilesystem", at.document, at.model);
  c->user = number_field(security, "runAsUser");
  c->cap_add = names(security.get({"capabilities", "add"}));
  c->cap_drop = names(security.get({"capabilities", "drop"}));
  c->seccomp = text_field(security.get("seccompProfile"), "type");
  c->apparmor = text_field(security.get("appArmorProfile"), "type");
  c->proc_mount = text_field(security, "procMount");
  c->selinux_type = text_field(security.get("seLinuxOptions"), "type");
}

Container read_container(View item, Role role, const Context& at) {
  Container c;
  c.name = item.get("name").text_or();
  c.role = role;
  if (role == Role::kInit && item.get("restartPolicy").as_text() == "Always") {
    c.role = Role::kSidecar;
  }
  c.place = item.has("name") ? place_of(item.get("name")) : place_of(item);
  c.map = item.written();
  c.image = text_field(item, "image");
  for (std::string_view key : {"command", "args"}) {
    View words = item.get(key);
    if (!words) continue;
    if (c.command.empty()) c.command_place = place_of(words);
    for (View word : words.items()) c.command.push_back(word.text_or());
  }
  for (View entry : item.get("env").items()) c.env.push_back(read_env(entry));
  c.env_from = item.has("envFrom");
  for (View port : item.get("ports").items()) c.ports.push_back(read_port(port, false));
  for (View mount : item.get("volumeMounts").items()) {
    MountEntry entry;
    entry.source = mount.get("name").text_or();
    entry.path = mount.get("mountPath").text_or();
    entry.read_only = mount.get("readOnly").as_bool().value_or(false);
    entry.place = place_of(mount);
    c.mounts.push_back(std::move(entry));
  }
  read_security(item.get("securityContext"), at, &c);
  c.readiness = item.has("readinessProbe");
  c.liveness = item.has("livenessProbe");
  View limits = item.get({"resources", "limits"});
  c.memory_limit = limits.has("memory");
  for (const auto& [key, value] : limits.entries()) c.gpu |= key.find("gpu") != key.npos;
  finish_container(&c);
  return c;
}

VolumeEntry read_volume(View item) {
  VolumeEntry volume;
  volume.name = item.get("name").text_or();
  volume.place = place_of(item);
  volume.map = item.written();
  volume.type = "emptyDir";
  for (const auto& [key, value] : item.entries()) {
    if (key == "name") continue;
    volume.type = key;
    volume.place = key_place(item, key);
    if (key == "hostPath") {
      volume.host_path = value.get("path").text_or();
      volume.place = place_of(value.get("path") ? value.get("path") : value);
    }
  }
  return volume;
}

void read_pod_level(View spec, const Context& at, Workload* w) {
  View security = spec.get("securityContext");
  w->host_network = bool_field(spec, "hostNetwork", at.document, at.model);
  w->host_pid = bool_field(spec, "hostPID", at.document, at.model);
  w->host_ipc = bool_field(spec, "hostIPC", at.document, at.model);
  w->host_users = bool_field(spec, "hostUsers", at.document, at.model);
  w->automount_token = bool_field(spec, "automountServiceAccountToken", at.document, at.model);
  w->pod_non_root = bool_field(security, "runAsNonRoot", at.document, at.model);
  w->pod_user = number_field(security, "runAsUser");
  w->pod_seccomp = text_field(security.get("seccompProfile"), "type");
  w->pod_apparmor = text_field(security.get("appArmorProfile"), "type");
  if (View group = security.get("fsGroup")) {
    w->fs_group = {group.as_int(), place_of(group), !group.as_int()};
  }
  w->groups = names(security.get("supplementalGroups"));
  for (View sysctl : security.get("sysctls").items()) {
    w->sysctls.push_back({sysctl.get("name").text_or(), place_of(sysctl)});
  }
}

void read_pod(View spec, View metadata, const Context& at, Workload* w) {
  w->pod_spec = spec.id();
  w->pod_metadata = metadata ? metadata.id() : kNoNode;
  w->labels = string_map(metadata.get("labels"));
  for (auto& [key, value] : string_map(metadata.get("annotations"))) w->annotations[key] = value;
  read_pod_level(spec, at, w);
  struct List {
    std::string_view key;
    Role role;
  };
  constexpr std::array<List, 3> kLists = {{{"initContainers", Role::kInit},
                                           {"containers", Role::kMain},
                                           {"ephemeralContainers", Role::kEphemeral}}};
  for (const List& list : kLists) {
    for (View item : spec.get(list.key).items()) {
      w->containers.push_back(read_container(item, list.role, at));
    }
  }
  for (View item : spec.get("volumes").items()) w->volumes.push_back(read_volume(item));
}

Workload start(View object, const Context& at) {
  Workload w;
  w.file = at.file;
  w.document = at.document;
  w.kind = object.get("kind").text_or("?");
  View metadata = object.get("metadata");
  w.name = metadata.get("name").text_or(metadata.get("generateName").text_or());
  w.name_space = metadata.get("namespace").text_or();
  w.place = metadata.has("name") ? place_of(metadata.get("name")) : place_of(object);
  w.annotations = string_map(metadata.get("annotations"));
  w.batch = w.kind == "Job" || w.kind == "CronJob";
  return w;
}

void add(Workload w, const Context& at) {
  at.model->notes.push_back({at.file, at.document, w.place, w.kind, w.name, true, ""});
  at.model->workloads.push_back(std::move(w));
  at.model->slots.push_back(at.slot);
}

void note(View object, const Context& at, std::string why) {
  Workload w = start(object, at);
  at.model->notes.push_back({at.file, at.document, w.place, w.kind, w.name, false, std::move(why)});
}

// Maps with a `containers` list of things that look like containers, wherever they stand.
std::vector<View> pod_specs(const ParsedDocument& document, View object) {
  std::vector<View> found;
  const YamlDocument& yaml = document.yaml;
  NodeId end = object.id();
  for (NodeId id = object.id(); id < yaml.nodes.size(); ++id) {
    if (id > end && yaml.at(id).parent < object.id()) break;  // past the object's subtree
    if (yaml.at(id).kind != NodeKind::kMap) continue;
    View map(yaml, id);
    for (View item : map.get("containers").items()) {
      if (item.has("name") && item.has("image")) {
        found.push_back(map);
        break;
      }
    }
  }
  return found;
}

void read_service(View object, const Context& at) {
  ServiceObject service;
  service.file = at.file;
  service.document = at.document;
  View metadata = object.get("metadata");
  service.name = metadata.get("name").text_or();
  service.name_space = metadata.get("namespace").text_or();
  service.place = metadata.has("name") ? place_of(metadata.get("name")) : place_of(object);
  View spec = object.get("spec");
  service.type = spec.get("type").text_or("ClusterIP");
  service.type_place = spec.has("type") ? place_of(spec.get("type")) : service.place;
  service.selector = string_map(spec.get("selector"));
  for (View port : spec.get("ports").items()) service.ports.push_back(read_port(port, true));
  at.model->services.push_back(std::move(service));
  note(object, at, "read as context: which ports of which Pods are reachable");
}

void read_policy(View object, const Context& at) {
  PolicyObject policy;
  policy.file = at.file;
  policy.document = at.document;
  View metadata = object.get("metadata");
  policy.name = metadata.get("name").text_or();
  policy.name_space = metadata.get("namespace").text_or();
  policy.place = metadata.has("name") ? place_of(metadata.get("name")) : place_of(object);
  View spec = object.get("spec");
  View selector = spec.get("podSelector");
  policy.pod_selector = string_map(selector.get("matchLabels"));
  policy.expressions = selector.has("matchExpressions");
  policy.selects_all = policy.pod_selector.empty() && !policy.expressions;
  // SetDefaults_NetworkPolicy: Ingress always, Egress where there are egress rules.
  policy.limits_ingress = !spec.has("policyTypes");
  policy.limits_egress = !spec.has("policyTypes") && !spec.get("egress").items().empty();
  for (View type : spec.get("policyTypes").items()) {
    policy.limits_ingress |= type.as_text() == "Ingress";
    policy.limits_egress |= type.as_text() == "Egress";
  }
  for (View rule : spec.get("egress").items()) {
    bool anywhere = rule.get("to").items().empty();
    for (View to : rule.get("to").items()) {
      anywhere |=
          to.get({"ipBlock", "cidr"}).as_text() == "0.0.0.0/0" && !to.get("ipBlock").has("except");
    }
    bool dns_only = !rule.get("ports").items().empty();
    for (View port : rule.get("ports").items()) dns_only &= port.get("port").as_int() == 53;
    if (anywhere && !dns_only) {
      policy.egress_open = true;
      policy.open_egress = place_of(rule);
    }
  }
  at.model->policies.push_back(std::move(policy));
  note(object, at, "read as context: what the network lets through");
}

// An operator's custom resource (NIMService): it writes the Pod; the image, its variables and the
// Service are still the file's.
void read_managed(View object, const Context& at) {
  Workload w = start(object, at);
  w.managed = true;
  View spec = object.get("spec");
  Container c;
  c.name = w.name;
  c.place = w.place;
  c.map = spec.id();
  View image = spec.get("image");
  std::string repository = image.get("repository").text_or();
  std::string tag = image.get("tag").text_or();
  if (!repository.empty()) {
    c.image.value = tag.empty() ? repository : repository + ":" + tag;
    c.image.place = place_of(tag.empty() ? image.get("repository") : image.get("tag"));
    c.image.unknown = has_template(*c.image.value);
  }
  for (View entry : spec.get("env").items()) c.env.push_back(read_env(entry));
  c.user = number_field(spec, "userID");
  View service = spec.get({"expose", "service"});
  w.service_type = service.get("type").text_or();
  w.service_place = place_of(service.get("type") ? service.get("type") : service);
  if (auto port = service.get("port").as_int(); port && *port > 0 && *port < 65536) {
    PortEntry entry;
    entry.port = static_cast<uint16_t>(*port);
    entry.place = place_of(service.get("port"));
    c.ports.push_back(entry);
  }
  finish_container(&c);
  w.containers.push_back(std::move(c));
  add(std::move(w), at);
}

void read_object(const ParsedDocument& document, View object, const Context& at, int depth);

void read_list(const ParsedDocument& document, View object, const Context& at, int depth) {
  for (View item : object.get("items").items()) read_object(document, item, at, depth + 1);
}

void read_object(const ParsedDocument& document, View object, const Context& at, int depth) {
  if (!object.is_map()) {
    at.model->unread.push_back({object.span().begin, "a Kubernetes object must be a mapping"});
    return;
  }
  std::string kind = object.get("kind").text_or();
  std::string version = object.get("apiVersion").text_or();
  if (base::ends_with(kind, "List") && object.get("items").is_seq() && depth < kMaxLists) {
    return read_list(document, object, at, depth);
  }
  PodPlace pod = find_pod(object);
  if (pod.known) {
    if (!pod.spec.is_map()) {
      View where = pod.spec ? pod.spec : object;
      bool templ = templated(pod.spec);
      at.model->unread.push_back(
          {where.span().begin, templ ? "the Pod's spec is a template"
                                     : kind + " without a Pod spec: nothing to judge"});
      return;
    }
    Workload w = start(object, at);
    read_pod(pod.spec, pod.metadata, at, &w);
    return add(std::move(w), at);
  }
  if (kind == "Service" && version == "v1") return read_service(object, at);
  if (kind == "NetworkPolicy") return read_policy(object, at);
  if (kind == "NIMService" && object.get("spec").is_map()) return read_managed(object, at);
  std::vector<View> specs;
  if (kind != "CustomResourceDefinition") specs = pod_specs(document, object);
  for (View spec : specs) {
    Workload w = start(object, at);
    w.custom = true;
    NodeId parent = spec.node().parent;
    View holder = parent == kNoNode ? View() : View(document.yaml, parent);
    read_pod(spec, holder.get("metadata"), at, &w);
    add(std::move(w), at);
  }
  if (specs.empty()) note(object, at, "not a workload");
}
}  // namespace

void read_kubernetes(const ParsedDocument& document, size_t slot, size_t file, FileModel* model) {
  Context at{file, slot, document.index, model};
  read_object(document, document.root(), at, 0);
}

}  // namespace pare::audit
