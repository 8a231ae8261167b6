// Compose files (compose-spec) -> one workload a service.
#include <algorithm>

#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

struct Context {
  const ParsedDocument& document;
  FileModel* model;
};

// A string that is split as a shell would, or a list.
std::vector<std::string> words(View view) {
  std::vector<std::string> result;
  if (view.is_scalar()) return shell_words(view.text_or());
  for (View item : view.items()) result.push_back(item.text_or());
  return result;
}

std::vector<Named> names(View view) {
  std::vector<Named> result;
  if (view.is_scalar()) result.push_back({view.text_or(), place_of(view)});
  for (View item : view.items()) result.push_back({item.text_or(), place_of(item)});
  return result;
}

void read_environment(View view, Container* c) {
  for (const auto& [key, value] : view.entries()) {
    EnvEntry entry{std::string(key), value.text_or(), false, false, place_of(value)};
    entry.unknown = has_variable(*entry.value) || has_template(*entry.value);
    c->env.push_back(std::move(entry));
  }
  // A key without a value is passed through from the caller's environment.
  if (view.is_map()) {
    for (NodeId k = view.node().first; k != kNoNode;) {
      NodeId v = view.document().at(k).next;
      View value(view.document(), v, view.dialect());
      if (value.is_null()) {
        View key(view.document(), k, view.dialect());
        c->env.push_back({key.text_or(), std::nullopt, false, true, place_of(key)});
      }
      k = v == kNoNode ? kNoNode : view.document().at(v).next;
    }
  }
  for (View item : view.items()) {
    std::string text = item.text_or();
    size_t equals = text.find('=');
    EnvEntry entry;
    entry.name = text.substr(0, equals);
    entry.place = place_of(item);
    if (equals == std::string::npos) {
      entry.unknown = true;
    } else {
      entry.value = text.substr(equals + 1);
      entry.unknown = has_variable(*entry.value) || has_template(*entry.value);
    }
    c->env.push_back(std::move(entry));
  }
}

PortEntry long_port(View item) {
  PortEntry entry;
  entry.published = true;
  std::string target = with_defaults(item.get("target").text_or(), &entry.unknown);
  auto number = base::parse_u64(target);
  entry.port = number && *number < 65536 ? static_cast<uint16_t>(*number) : 0;
  entry.unknown = entry.unknown || !number;
  auto published = base::parse_u64(item.get("published").text_or());
  entry.host_port = published && *published < 65536 ? static_cast<uint16_t>(*published) : 0;
  entry.host_address = item.get("host_ip").text_or();
  entry.protocol = item.get("protocol").text_or("tcp");
  return entry;
}

void read_ports(View service, Container* c) {
  for (View item : service.get("ports").items()) {
    std::vector<PortEntry> entries =
        item.is_map() ? std::vector<PortEntry>{long_port(item)} : parse_ports(item.text_or());
    for (PortEntry& entry : entries) {
      entry.place = place_of(item);
      entry.item = item.written();
      c->ports.push_back(std::move(entry));
    }
  }
}

void read_volumes(View service, Container* c, Workload* w) {
  for (View item : service.get("volumes").items()) {
    MountEntry mount;
    if (item.is_map()) {
      mount.source = item.get("source").text_or();
      mount.path = item.get("target").text_or();
      mount.host = item.get("type").as_text() == "bind";
      mount.read_only = item.get("read_only").as_bool().value_or(false);
      if (item.get("type").as_text() == "tmpfs") {
        c->tmpfs.push_back({mount.path, place_of(item)});
        continue;
      }
    } else {
      mount = parse_mount(item.text_or());
    }
    mount.place = place_of(item);
    VolumeEntry volume;
    volume.name = mount.source;
    volume.type = mount.host ? "bind" : "volume";
    volume.host_path = mount.host ? mount.source : "";
    volume.place = mount.place;
    w->volumes.push_back(std::move(volume));
    c->mounts.push_back(std::move(mount));
  }
}

// "seccomp:unconfined", "seccomp=profile.json", "no-new-privileges:true", "label=disable"...
void read_security_options(View list, Container* c) {
  for (View item : list.items()) {
    std::string text = item.text_or();
    size_t cut = text.find_first_of(":=");
    std::string key = text.substr(0, cut);
    std::string value = cut == std::string::npos ? "" : text.substr(cut + 1);
    Field<std::string> field{value, place_of(item), has_variable(value)};
    if (key == "seccomp") c->seccomp = field;
    if (key == "apparmor") c->apparmor = field;
    if (key == "label") c->selinux_type = field;
    if (key == "no-new-privileges") {
      c->no_new_privileges = {value != "false", place_of(item), field.unknown};
    }
  }
}

Field<bool> is_host(View service, std::string_view key) {
  Field<bool> field;
  View view = service.get(key);
  if (!view) return field;
  field.place = place_of(view);
  std::string text = view.text_or();
  field.unknown = has_variable(text);
  field.value = text == "host";
  return field;
}

void read_limits(View service, const Context& at, Container* c) {
  View limits = service.get({"deploy", "resources", "limits"});
  c->memory_limit = service.has("mem_limit") || limits.has("memory");
  c->pids_limit = service.get("pids_limit").as_int().value_or(-1) > 0 ||
                  limits.get("pids").as_int().value_or(-1) > 0;
  c->readiness =
      service.has("healthcheck") && service.get({"healthcheck", "disable"}).as_bool() != true;
  c->liveness = c->readiness;
  c->gpu = service.get("runtime").as_text() == "nvidia" || service.has("gpus");
  View devices = service.get({"deploy", "resources", "reservations", "devices"});
  c->gpu |= !devices.items().empty();
  c->privileged = bool_field(service, "privileged", at.document.index, at.model);
  c->read_only_root = bool_field(service, "read_only", at.document.index, at.model);
}

Container read_service(View service, View name, const Context& at, Workload* w) {
  Container c;
  c.name = name.text_or();
  c.place = place_of(name);
  c.map = service.id();
  c.image = text_field(service, "image");
  for (std::string_view key : {"entrypoint", "command"}) {
    View view = service.get(key);
    if (!view) continue;
    if (c.command.empty()) c.command_place = place_of(view);
    for (std::string& word : words(view)) c.command.push_back(std::move(word));
  }
  read_environment(service.get("environment"), &c);
  c.env_from = service.has("env_file") || service.has("extends");
  read_ports(service, &c);
  read_volumes(service, &c, w);
  read_security_options(service.get("security_opt"), &c);
  read_limits(service, at, &c);
  c.user = text_field(service, "user");
  c.cap_add = names(service.get("cap_add"));
  c.cap_drop = names(service.get("cap_drop"));
  c.devices = names(service.get("devices"));
  for (Named& path : names(service.get("tmpfs"))) c.tmpfs.push_back(std::move(path));
  finish_container(&c);
  return c;
}
}  // namespace

void read_compose(const ParsedDocument& document, size_t slot, size_t file, FileModel* model) {
  Context at{document, model};
  View services = document.root().get("services");
  for (const auto& [key, service] : services.entries()) {
    View name = services.key_of(key);
    Workload w;
    w.platform = Platform::kCompose;
    w.file = file;
    w.document = document.index;
    w.kind = "service";
    w.name = key;
    w.place = place_of(name);
    if (!service.is_map()) {
      model->unread.push_back({name.span().begin, "a compose service must be a mapping"});
      continue;
    }
    w.host_network = is_host(service, "network_mode");
    w.groups = names(service.get("group_add"));
    w.host_pid = is_host(service, "pid");
    w.host_ipc = is_host(service, "ipc");
    for (std::string_view space : {"uts", "cgroup", "userns_mode"}) {
      if (is_host(service, space).is(true)) {
        w.host_other = {std::string(space), place_of(service.get(space)), false};
      }
    }
    View sysctls = service.get("sysctls");
    for (const auto& [sysctl, value] : sysctls.entries()) {
      w.sysctls.push_back({std::string(sysctl), place_of(value)});
    }
    for (View item : sysctls.items()) {
      w.sysctls.push_back({base::split(item.text_or(), '=').front(), place_of(item)});
    }
    w.batch = service.get("restart").as_text() == "no";
    w.containers.push_back(read_service(service, name, at, &w));
    w.pod_spec = service.id();
    model->notes.push_back({file, document.index, w.place, w.kind, w.name, true, ""});
    model->workloads.push_back(std::move(w));
    model->slots.push_back(slot);
  }
  if (services.entries().empty()) {
    model->notes.push_back(
        {file, document.index, place_of(services), "compose", "", false, "no services"});
  }
}

}  // namespace pare::audit
