#include "audit/remedies.h"

#include <algorithm>
#include <set>

#include "audit/rule_functions.h"
#include "audit/yaml_emit.h"
#include "base/text.h"

namespace pare::audit {
namespace {

constexpr std::string_view kNobody = "65532";  // what distroless images call nonroot

NodeId pod(const Scope& scope) {
  return scope.workload().pod_spec;
}

// Text after "run" of a docker run line.
Operation add_option(const Scope& scope, const std::string& text) {
  size_t at = scope.workload().place.span.end;
  return replace_text({at, at}, " " + text);
}

bool below(const std::string& path, const std::string& directory) {
  return path == directory || base::starts_with(path, directory + "/");
}

// Whether something is mounted at the path or above it (but not at the root).
const MountEntry* mounted_at(const Container& c, const std::string& path) {
  for (const MountEntry& mount : c.mounts) {
    if (!mount.path.empty() && mount.path != "/" && below(path, mount.path)) return &mount;
  }
  return nullptr;
}

bool has_tmpfs(const Container& c, const std::string& path) {
  return std::any_of(c.tmpfs.begin(), c.tmpfs.end(),
                     [&](const Named& t) { return base::split(t.name, ':').front() == path; });
}

const MountEntry* mount_below_root_home(const Container& c) {
  for (const MountEntry& mount : c.mounts) {
    if (below(mount.path, "/root")) return &mount;
  }
  return nullptr;
}

size_t line_of(const Scope& scope, const Span& span) {
  std::string_view bytes = scope.bytes();
  size_t end = std::min(span.begin, bytes.size());
  return 1 + static_cast<size_t>(
                 std::count(bytes.begin(), bytes.begin() + static_cast<long>(end), '\n'));
}

void add_env(Scope& scope, const Container& c, const std::string& name, const std::string& value,
             std::vector<Operation>* out) {
  if (scope.kubernetes()) {
    out->push_back(append_value(c.map, {"env"}, OrderedJson{{"name", name}, {"value", value}}));
  } else if (scope.compose()) {
    View list(scope.document()->yaml, c.map, scope.document()->dialect);
    list = list.get("environment");
    if (list.is_seq()) {
      out->push_back(append_value(c.map, {"environment"}, name + "=" + value));
    } else {
      out->push_back(set_value(c.map, {"environment", name}, value));
    }
  } else {
    out->push_back(add_option(scope, "--env=" + base::shell_quote(name + "=" + value)));
  }
}

// The variables that the family needs when HOME and the image's own directories are not writable.
void add_environment(Scope& scope, const Container& c, std::vector<Operation>* out) {
  if (c.server == nullptr) return;
  std::map<std::string, std::string> wanted = c.server->environment;
  // What is mounted below /root is found through HOME.
  if (mount_below_root_home(c) != nullptr) wanted.erase("HOME");
  for (const target::ServerDirectory& dir : c.server->writable) {
    // A cache that is mounted stays where it is mounted.
    if (!dir.variable.empty() && mounted_at(c, dir.path) != nullptr)
      wanted[dir.variable] = dir.path;
  }
  for (const auto& [name, value] : wanted) {
    if (c.find_env(name) == nullptr) add_env(scope, c, name, value, out);
  }
}

std::string volume_name(const std::string& container, const std::string& path) {
  std::string name = container;
  for (char ch : path) name += ch == '/' || ch == '.' || ch == '_' ? '-' : ch;
  std::string clean;
  for (char ch : base::lower(name)) {
    if (std::isalnum(static_cast<unsigned char>(ch)) != 0) {
      clean += ch;
    } else if (!clean.empty() && clean.back() != '-') {
      clean += '-';
    }
  }
  while (!clean.empty() && clean.back() == '-') clean.pop_back();
  return clean.substr(0, 63);
}

void add_scratch(Scope& scope, const Container& c, const target::ServerDirectory& dir,
                 std::vector<Operation>* out) {
  if (scope.kubernetes()) {
    std::string name = volume_name(c.name, dir.path);
    out->push_back(append_value(c.map, {"volumeMounts"},
                                OrderedJson{{"name", name}, {"mountPath", dir.path}}));
    out->push_back(append_value(pod(scope), {"volumes"},
                                OrderedJson{{"name", name}, {"emptyDir", OrderedJson::object()}}));
    return;
  }
  // Docker's tmpfs is noexec unless said; kernels that are compiled there are mapped executable.
  std::string mount = dir.exec ? dir.path + ":exec" : dir.path;
  if (scope.compose()) {
    if (dir.model) {
      out->push_back(append_value(c.map, {"volumes"}, dir.path));
    } else {
      out->push_back(append_value(c.map, {"tmpfs"}, mount));
    }
  } else {
    out->push_back(add_option(scope, dir.model ? "--volume=" + dir.path : "--tmpfs=" + mount));
  }
}

bool knows_uid(const Container& c) {
  return c.server != nullptr && c.server->uid && c.server->user_verified;
}

Remedy user_on_kubernetes(Scope& scope, const Container& c) {
  Remedy remedy;
  const Workload& w = scope.workload();
  auto set = [&](const char* key, const OrderedJson& value) {
    remedy.operations.push_back(set_value(pod(scope), {"securityContext", key}, value));
  };
  bool own_root = c.user.value && is_root(*c.user.value);
  bool pod_root = w.pod_user.value && is_root(*w.pod_user.value);
  bool own_false = c.non_root.is(false);
  bool unset = effective_user(w, c).empty();
  const MountEntry* home = mount_below_root_home(c);
  if (home != nullptr && (own_root || pod_root || (unset && c.server != nullptr))) {
    return no_remedy("line " + std::to_string(line_of(scope, home->place.span)) + " mounts " +
                     home->path + ", and only root may enter /root: move the mount first");
  }
  std::string uid = knows_uid(c) ? std::to_string(*c.server->uid) : std::string(kNobody);
  auto number = base::parse_u64(uid).value_or(65532);
  set("runAsNonRoot", true);
  if (own_false) {
    remedy.operations.push_back(set_value(c.map, {"securityContext", "runAsNonRoot"}, true));
  }
  remedy.breaks = "the start is refused when the image's user is root or a name";
  bool choose = own_root || pod_root || (unset && c.server != nullptr && !c.server->ports.empty());
  if (!choose) return remedy;
  if (own_root) {
    remedy.operations.push_back(set_value(c.map, {"securityContext", "runAsUser"}, number));
  } else {
    set("runAsUser", number);
  }
  if (!w.fs_group.written() && !w.volumes.empty()) set("fsGroup", number);
  add_environment(scope, c, &remedy.operations);
  remedy.breaks = "files that uid " + uid +
                  " may not read or write; fsGroup is not applied to "
                  "hostPath nor to most NFS";
  return remedy;
}

Remedy user_on_docker(Scope& scope, const Container& c) {
  if (c.server == nullptr) {
    return no_remedy(
        "the image's files and users are not known here: pare prove finds a uid that "
        "works");
  }
  if (const MountEntry* home = mount_below_root_home(c)) {
    return no_remedy("line " + std::to_string(line_of(scope, home->place.span)) + " mounts " +
                     home->path + ", and only root may enter /root: move the mount first");
  }
  std::string uid = knows_uid(c) ? std::to_string(*c.server->uid) : std::string(kNobody);
  std::string user =
      uid + ":" + (knows_uid(c) && c.server->gid ? std::to_string(*c.server->gid) : uid);
  Remedy remedy;
  if (scope.compose()) {
    remedy.operations.push_back(set_value(c.map, {"user"}, user));
  } else if (c.user.written()) {
    remedy.operations.push_back(replace_text(c.user.place.span, "--user=" + user));
  } else {
    remedy.operations.push_back(add_option(scope, "--user=" + user));
  }
  add_environment(scope, c, &remedy.operations);
  remedy.breaks = "files and bind mounts that uid " + uid + " may not read or write";
  return remedy;
}
}  // namespace

bool is_root(std::string_view user) {
  std::string_view name = user.substr(0, user.find(':'));
  return name == "0" || name == "root";
}

std::string effective_user(const Workload& workload, const Container& container) {
  if (container.user.value) return *container.user.value;
  return workload.pod_user.value.value_or("");
}

Remedy no_remedy(std::string why) {
  Remedy remedy;
  remedy.why_not = std::move(why);
  return remedy;
}

Remedy remedy_field(Scope& scope, const Container& c, const Place& written, Spelling what,
                    bool value) {
  Remedy remedy;
  if (scope.kubernetes()) {
    const char* key = what == Spelling::kPrivileged ? "privileged" : "allowPrivilegeEscalation";
    remedy.operations = {set_value(c.map, {"securityContext", key}, value)};
  } else if (scope.compose()) {
    remedy.operations = {set_value(c.map, {"privileged"}, value)};
  } else {
    remedy = remedy_remove(scope, c, {"", written}, "--privileged");
  }
  return remedy;
}

Remedy remedy_set_at(Scope& scope, const Place& place, const OrderedJson& value) {
  Remedy remedy;
  if (scope.document() == nullptr || place.node == kNoNode) return no_remedy("not a YAML file");
  Operation operation;
  operation.kind = Operation::kSet;
  operation.map = place.node;  // an empty path: the node itself
  operation.value = value;
  remedy.operations = {operation};
  return remedy;
}

// Option words that hold nothing else, with the blank before them; nullopt for "-it" and the like.
std::optional<Span> option_alone(std::string_view bytes, Span span) {
  std::string_view text = bytes.substr(span.begin, span.end - span.begin);
  bool bundled = text.size() > 2 && text[0] == '-' && text[1] != '-' &&
                 text.find_first_of(" =:0123456789") == std::string_view::npos;
  if (bundled || span.begin == 0) return std::nullopt;
  char before = bytes[span.begin - 1];
  if (before != ' ' && before != '\t') return std::nullopt;
  return Span{span.begin - 1, span.end};
}

Remedy remedy_remove(Scope& scope, const Container&, const Named& named, std::string_view) {
  Remedy remedy;
  const Place& place = named.place;
  if (scope.document() != nullptr && place.node != kNoNode) {
    const YamlDocument& yaml = scope.document()->yaml;
    NodeId parent = yaml.at(place.node).parent;
    if (parent == kNoNode) return no_remedy("the document's root");
    if (yaml.at(parent).kind == NodeKind::kSeq) {
      remedy.operations = {remove_item(place.node)};
      return remedy;
    }
    for (NodeId k = yaml.at(parent).first; k != kNoNode;) {
      NodeId v = yaml.at(k).next;
      if (v == place.node) {
        remedy.operations = {remove_key(parent, {std::string(yaml.at(k).text)})};
        return remedy;
      }
      k = v == kNoNode ? kNoNode : yaml.at(v).next;
    }
    return no_remedy("the place could not be found again");
  }
  if (scope.workload().platform != Platform::kDockerRun) return no_remedy("edit it by hand");
  auto repeats = scope.workload().repeats.equal_range(place.span.begin);
  std::vector<Span> spans = {place.span};
  for (auto r = repeats.first; r != repeats.second; ++r) spans.push_back(r->second);
  for (Span span : spans) {
    auto alone = option_alone(scope.bytes(), span);
    if (!alone) return no_remedy("the option shares its word with others: edit it by hand");
    remedy.operations.push_back(replace_text(*alone, ""));
  }
  return remedy;
}

Remedy remedy_drop_all(Scope& scope, const Container& c) {
  Remedy remedy;
  remedy.breaks = "an entry point that starts as root and changes owners or users";
  if (scope.kubernetes()) {
    remedy.operations = {append_value(c.map, {"securityContext", "capabilities", "drop"}, "ALL")};
  } else if (scope.compose()) {
    remedy.operations = {append_value(c.map, {"cap_drop"}, "ALL")};
  } else {
    remedy.operations = {add_option(scope, "--cap-drop=ALL")};
  }
  return remedy;
}

Remedy remedy_user(Scope& scope, const Container& c) {
  if (scope.workload().managed) return no_remedy("the operator sets the user: userID");
  if (scope.kubernetes()) return user_on_kubernetes(scope, c);
  if (scope.docker()) return user_on_docker(scope, c);
  return no_remedy(
      "which files the server owns is not in the text: pare prove finds a uid that "
      "works");
}

Remedy remedy_security_option(Scope& scope, const Container& c, const std::string& option) {
  Remedy remedy;
  if (!scope.compose()) {
    remedy.operations = {add_option(scope, "--security-opt=" + option)};
  } else if (c.no_new_privileges.written()) {
    return remedy_set_at(scope, c.no_new_privileges.place, option);
  } else {
    remedy.operations = {append_value(c.map, {"security_opt"}, option)};
  }
  return remedy;
}

Remedy remedy_seccomp(Scope& scope, const Container&, const Place& written) {
  if (written.node != kNoNode) return remedy_set_at(scope, written, "RuntimeDefault");
  Remedy remedy;
  remedy.operations = {
      set_value(pod(scope), {"securityContext", "seccompProfile", "type"}, "RuntimeDefault")};
  return remedy;
}

Remedy remedy_read_only_root(Scope& scope, const Container& c) {
  if (scope.workload().managed) return no_remedy("the operator writes the Pod");
  if (c.server == nullptr || c.server->writable.empty()) {
    return no_remedy(
        "which directories it writes is not known for this image: pare prove finds "
        "them");
  }
  Remedy remedy;
  if (scope.kubernetes()) {
    remedy.operations = {set_value(c.map, {"securityContext", "readOnlyRootFilesystem"}, true)};
  } else if (scope.compose()) {
    remedy.operations = {set_value(c.map, {"read_only"}, true)};
  } else {
    remedy.operations = {add_option(scope, "--read-only")};
  }
  for (const target::ServerDirectory& dir : c.server->writable) {
    if (dir.path == "/dev/shm") continue;  // always a tmpfs
    if (mounted_at(c, dir.path) != nullptr || has_tmpfs(c, dir.path)) continue;
    if (below(dir.path, "/root")) continue;  // the variable moves it (add_environment)
    add_scratch(scope, c, dir, &remedy.operations);
  }
  add_environment(scope, c, &remedy.operations);
  remedy.breaks = "directories that this version of " + c.server->title +
                  " writes beside those that are known; models that were in the container's layer "
                  "are pulled into the mount";
  return remedy;
}

Remedy remedy_own_network(Scope& scope, const Container& c, Remedy remedy) {
  if (!c.ports.empty() || !remedy.why_not.empty()) return remedy;
  uint16_t port = inference_port(c);
  if (port == 0) {
    return no_remedy("which ports it listens on is not known: pare prove finds out");
  }
  std::string number = std::to_string(port);
  std::string published = "127.0.0.1:" + number + ":" + number;
  remedy.operations.push_back(scope.compose() ? append_value(c.map, {"ports"}, published)
                                              : add_option(scope, "--publish=" + published));
  return remedy;
}

Remedy remedy_env(Scope& scope, const Container& c, const std::string& name,
                  const std::string& value) {
  Remedy remedy;
  add_env(scope, c, name, value, &remedy.operations);
  return remedy;
}

Remedy remedy_network_policy(Scope& scope, const Container& c) {
  const Workload& w = scope.workload();
  if (w.labels.empty() || w.name.empty()) {
    return no_remedy("its Pods have no labels to select them by");
  }
  uint16_t port = inference_port(c);
  bool pulls = false;
  for (const Container& each : w.containers) {
    for (const EnvEntry& entry : each.env) {
      bool key = std::find(c.server->keys.begin(), c.server->keys.end(), entry.name) !=
                 c.server->keys.end();
      // A value that names another service is a reason to resolve names.
      pulls |= (key && entry.value != "") ||
               (entry.value && entry.value->find("://") != entry.value->npos);
    }
  }
  if (pulls || w.containers.size() > 1 || !c.server->serves_offline) {
    return no_remedy(
        "it pulls or calls other services from the same Pod: a deny-all policy would "
        "stop it; split the pull (pare emit) or name the destinations");
  }
  // Without a mount that lasts it is cold at every start.
  bool warm = std::any_of(c.mounts.begin(), c.mounts.end(), [&](const MountEntry& mount) {
    return std::any_of(w.volumes.begin(), w.volumes.end(), [&](const VolumeEntry& volume) {
      return volume.name == mount.source && volume.type != "emptyDir" &&
             volume.type != "configMap" && volume.type != "secret";
    });
  });
  if (!warm) {
    return no_remedy(
        "nothing is mounted that could hold its model, so it pulls at every start: a deny-all "
        "policy would stop it; split the pull (pare emit) or name the destinations");
  }
  std::string text =
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: " + w.name +
      "-least\n";
  if (!w.name_space.empty()) text += "  namespace: " + w.name_space + "\n";
  text += "spec:\n  podSelector:\n    matchLabels:\n";
  for (const auto& [key, value] : w.labels) {
    text += "      " + emit_scalar(key, NodeStyle::kPlain) + ": " +
            emit_scalar(value, NodeStyle::kPlain) + "\n";
  }
  text += "  policyTypes: [Ingress, Egress]\n  ingress:\n  - ports:\n    - {protocol: TCP, port: " +
          std::to_string(port) + "}\n  egress: []\n";
  Remedy remedy;
  remedy.operations = {add_document(text)};
  remedy.breaks =
      "anything it fetches after the start; a CNI that ignores policies enforces "
      "nothing";
  return remedy;
}

}  // namespace pare::audit
