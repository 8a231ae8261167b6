// A `docker run` line -> a workload.
#include <algorithm>
#include <map>

#include "audit/commands.h"
#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

struct Reading {
  Workload* workload;
  Container* container;
};

void take_mount_option(const std::string& value, const Place& place, const Reading& to) {
  MountEntry mount;
  bool tmpfs = false;
  for (const std::string& part : base::split(value, ',')) {
    size_t equals = part.find('=');
    std::string key = part.substr(0, equals);
    std::string text = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (key == "type") mount.host = text == "bind", tmpfs = text == "tmpfs";
    if (key == "source" || key == "src") mount.source = text;
    if (key == "target" || key == "dst" || key == "destination") mount.path = text;
    if (key == "readonly" || key == "ro") mount.read_only = text != "false";
  }
  mount.place = place;
  if (tmpfs) {
    to.container->tmpfs.push_back({mount.path, place});
  } else {
    to.container->mounts.push_back(std::move(mount));
  }
}

void take_security_option(const std::string& value, const Place& place, Container* c) {
  size_t cut = value.find_first_of("=:");
  std::string key = value.substr(0, cut);
  std::string text = cut == std::string::npos ? "" : value.substr(cut + 1);
  Field<std::string> field{text, place, has_variable(text)};
  if (key == "seccomp") c->seccomp = field;
  if (key == "apparmor") c->apparmor = field;
  if (key == "label") c->selinux_type = field;
  if (key == "no-new-privileges") c->no_new_privileges = {text != "false", place, false};
}

void take_env(const std::string& value, const Place& place, Container* c) {
  size_t equals = value.find('=');
  EnvEntry entry;
  entry.name = value.substr(0, equals);
  entry.place = place;
  entry.unknown = equals == std::string::npos;
  if (!entry.unknown) {
    entry.value = value.substr(equals + 1);
    entry.unknown = has_variable(*entry.value);
  }
  c->env.push_back(std::move(entry));
}

void take_option(const DockerOption& o, const Place& place, const Reading& to) {
  Container* c = to.container;
  Workload* w = to.workload;
  Field<bool> host{o.value == "host", place, has_variable(o.value)};
  if (o.name == "--privileged") c->privileged = {o.value != "false", place, false};
  if (o.name == "--read-only") c->read_only_root = {o.value != "false", place, false};
  if (o.name == "--user") c->user = {o.value, place, has_variable(o.value)};
  if (o.name == "--cap-add") c->cap_add.push_back({o.value, place});
  if (o.name == "--cap-drop") c->cap_drop.push_back({o.value, place});
  if (o.name == "--security-opt") take_security_option(o.value, place, c);
  if (o.name == "--network") w->host_network = host;
  if (o.name == "--group-add") w->groups.push_back({o.value, place});
  if (o.name == "--pid") w->host_pid = host;
  if (o.name == "--ipc") w->host_ipc = host;
  if (o.name == "--uts" || o.name == "--userns" || o.name == "--cgroupns") {
    if (o.value == "host") w->host_other = {o.name.substr(2), place, false};
  }
  if (o.name == "--device") c->devices.push_back({o.value, place});
  if (o.name == "--gpus") c->gpu = true;
  if (o.name == "--runtime") c->gpu |= o.value == "nvidia";
  if (o.name == "--tmpfs") c->tmpfs.push_back({base::split(o.value, ':').front(), place});
  if (o.name == "--pids-limit") c->pids_limit = o.value != "-1" && o.value != "0";
  if (o.name == "--memory") c->memory_limit = true;
  if (o.name == "--env") take_env(o.value, place, c);
  if (o.name == "--env-file") c->env_from = true;
  if (o.name == "--mount") take_mount_option(o.value, place, to);
  if (o.name == "--sysctl") {
    w->sysctls.push_back({base::split(o.value, '=').front(), place});
  }
  if (o.name == "--name") w->name = o.value;
  if (base::starts_with(o.name, "--health-cmd")) c->readiness = c->liveness = true;
  if (o.name == "--volume") {
    MountEntry mount = parse_mount(o.value);
    mount.place = place;
    c->mounts.push_back(std::move(mount));
  }
  if (o.name == "--publish") {
    for (PortEntry& entry : parse_ports(o.value)) {
      entry.place = place;
      c->ports.push_back(std::move(entry));
    }
  }
}

// Said more than once, an option's last word is what a finding points at; a fix takes all of them.
void note_repeats(const DockerCommand& command, Workload* w) {
  std::map<std::pair<std::string, std::string>, Span> last;
  for (auto o = command.options.rbegin(); o != command.options.rend(); ++o) {
    Span span{command.words[o->first].span.begin, command.words[o->last].span.end};
    auto [same, first] = last.try_emplace({o->name, o->value}, span);
    if (!first && same->second.begin != span.begin) w->repeats.emplace(same->second.begin, span);
  }
}

Workload read_command(const DockerCommand& command, size_t file, size_t index) {
  Workload w;
  w.platform = Platform::kDockerRun;
  w.file = file;
  w.document = index;
  w.kind = "docker run";
  w.place = {{command.span.begin, command.after_run}, kNoNode};
  Container c;
  c.place = w.place;
  Reading to{&w, &c};
  for (const DockerOption& option : command.options) {
    Span span{command.words[option.first].span.begin, command.words[option.last].span.end};
    take_option(option, {span, kNoNode}, to);
  }
  note_repeats(command, &w);
  if (command.image < command.words.size()) {
    const ShellWord& image = command.words[command.image];
    bool unknown = has_variable(image.text) || image.text.find('<') != std::string::npos;
    c.image = {image.text, {image.span, kNoNode}, unknown};
    for (size_t i = command.image + 1; i < command.words.size(); ++i) {
      c.command.push_back(command.words[i].text);
      c.command_place.span.end = command.words[i].span.end;
    }
    c.command_place.span.begin = image.span.end;
  }
  for (const MountEntry& mount : c.mounts) {
    VolumeEntry volume;
    volume.name = mount.source;
    volume.type = mount.host ? "bind" : "volume";
    volume.host_path = mount.host ? mount.source : "";
    volume.place = mount.place;
    w.volumes.push_back(std::move(volume));
  }
  bool interactive = std::any_of(command.options.begin(), command.options.end(),
                                 [](auto& o) { return o.name == "--interactive"; });
  w.batch = interactive;
  if (w.name.empty()) {
    ImageParts parts = split_image(c.image.value.value_or(""));
    w.name = parts.name.empty() ? "docker run" : parts.name.substr(parts.name.rfind('/') + 1);
  }
  c.name = w.name;
  finish_container(&c);
  w.containers.push_back(std::move(c));
  return w;
}
}  // namespace

void read_commands(const SourceFile& file, size_t index, bool markdown, FileModel* model) {
  if (auto bad = check_encoding(file.bytes)) {
    model->unread.push_back(*bad);
    return;
  }
  std::vector<DockerCommand> commands = find_commands(file.bytes, markdown);
  for (size_t i = 0; i < commands.size(); ++i) {
    Workload w = read_command(commands[i], index, i);
    DocumentNote note{index, i, w.place, w.kind, w.name, true, ""};
    if (commands[i].image >= commands[i].words.size()) {
      note.judged = false;
      note.why = "a docker run line without an image";
      model->notes.push_back(std::move(note));
      continue;
    }
    model->notes.push_back(std::move(note));
    model->workloads.push_back(std::move(w));
    model->slots.push_back(kNoSlot);
  }
  if (commands.empty()) {
    model->notes.push_back(
        {index, 0, {}, markdown ? "Markdown" : "script", "", false, "no docker run line"});
  }
}

}  // namespace pare::audit
