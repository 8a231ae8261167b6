#include "engine/docker_resolve.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "target/docker_values.h"

namespace pare::engine {

using base::Json;
using target::Target;

namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Docker writes null for what an image does not say.
std::vector<std::string> strings(const Json& config, const char* key) {
  return base::get_optional<std::vector<std::string>>(config, key)
      .value_or(std::vector<std::string>{});
}

std::vector<std::string> keys(const Json& config, const char* key) {
  std::vector<std::string> names;
  auto it = config.find(key);
  if (it == config.end() || !it->is_object()) return names;
  for (const auto& [name, ignored] : it->items()) names.push_back(name);
  return names;
}

struct Group {
  std::string name;
  uint32_t gid = 0;
  std::vector<std::string> members;
};

// group(5); lines that do not parse are left out.
std::vector<Group> parse_group(const std::string& text) {
  std::vector<Group> groups;
  for (const std::string& line : base::split(text, '\n')) {
    std::vector<std::string> fields = base::split(line, ':');
    auto gid = fields.size() == 4 ? base::parse_u64(fields[2]) : std::nullopt;
    if (!gid || *gid > UINT32_MAX) continue;
    groups.push_back({fields[0], static_cast<uint32_t>(*gid), base::split(fields[3], ',')});
  }
  return groups;
}

Result<std::string> read_or_empty(const ImageView& image, const std::string& path) {
  auto text = image.read(path);
  if (!text && text.error().kind == ErrorKind::kUsage) return std::string();
  return text;
}

Result<uint32_t> group_id(const std::string& name, const std::vector<Group>& groups,
                          const std::string& reference) {
  auto number = base::parse_u64(name);
  if (number && *number <= UINT32_MAX) return static_cast<uint32_t>(*number);
  for (const Group& group : groups) {
    if (group.name == name) return group.gid;
  }
  return fail(ErrorKind::kUsage, "group '" + name + "' is not in /etc/group of image " + reference +
                                     ": give a number");
}

// As moby's getUser (daemon/oci_linux.go): a group that is named stands alone; without one the user
// is in every group that lists it.
Status resolve_identity(Target& target, const ImageView& image) {
  std::string passwd, group;
  PARE_TRY(passwd, read_or_empty(image, "/etc/passwd"));
  PARE_TRY(group, read_or_empty(image, "/etc/group"));
  target.facts.passwd = target::parse_passwd(passwd);
  std::vector<Group> groups = parse_group(group);
  std::string user = target.user.empty() ? target.facts.user : target.user;
  size_t colon = user.find(':');
  std::string who = user.substr(0, colon);
  PARE_TRY(target.resolved_user, target::resolve_user(who, target.facts.passwd));
  std::set<uint32_t> supplementary(target.group_add.begin(), target.group_add.end());
  if (colon != std::string::npos) {
    PARE_TRY(target.resolved_user.gid, group_id(user.substr(colon + 1), groups, target.image));
  } else {
    for (const target::PasswdEntry& entry : target.facts.passwd) {
      if (entry.uid != target.resolved_user.uid) continue;
      for (const Group& g : groups) {
        bool member = std::find(g.members.begin(), g.members.end(), entry.name) != g.members.end();
        if (member && g.gid != target.resolved_user.gid) supplementary.insert(g.gid);
      }
      break;  // the first of a uid counts
    }
  }
  for (const std::string& name : target.group_add_names) {
    uint32_t gid = 0;
    PARE_TRY(gid, group_id(name, groups, target.image));
    supplementary.insert(gid);
  }
  target.resolved_user.groups.assign(supplementary.begin(), supplementary.end());
  return {};
}

Status resolve_argv(Target& target) {
  target.argv = target::argv_of(target);
  if (!target.argv.empty()) return {};
  return fail(ErrorKind::kUsage,
              "image " + target.image + " names no command: write one behind it");
}

// Paths that a volume or tmpfs covers cannot be seen in the image.
bool is_covered(const Target& target, const std::string& path) {
  auto below = [&](const std::string& mount) {
    return path == mount || base::starts_with(path, mount + "/");
  };
  return std::any_of(target.tmpfs.begin(), target.tmpfs.end(), below) ||
         std::any_of(target.volumes.begin(), target.volumes.end(),
                     [&](const target::Volume& v) { return below(v.path); });
}

std::string search_path(const Target& target) {
  for (const auto* env : {&target.env, &target.facts.env}) {
    for (const target::EnvVar& variable : *env) {
      if (variable.name == "PATH") return variable.value;
    }
  }
  return kDefaultPath;
}

Status check_program(const Target& target, const ImageView& image) {
  const std::string& program = target.argv[0];
  std::vector<std::string> candidates;
  std::string where = "in its PATH";
  if (program.find('/') != std::string::npos) {
    const std::string& given = target.workdir.empty() ? target.facts.workdir : target.workdir;
    candidates.push_back(program[0] == '/' ? program : given + "/" + program);
    where = "there";
  } else {
    for (const std::string& directory : base::split(search_path(target), ':')) {
      if (!directory.empty()) candidates.push_back(fmt::format("{}/{}", directory, program));
    }
  }
  for (const std::string& candidate : candidates) {
    if (is_covered(target, candidate)) return {};
    std::optional<ImagePath> found;
    PARE_TRY(found, image.stat(candidate));
    if (found && !found->directory && found->executable) return {};
  }
  return fail(ErrorKind::kUsage, "image " + target.image + " has no program '" + program + "' " +
                                     where + ": check the command behind the image's name");
}

target::ImageFacts read_facts(const Json& image) {
  target::ImageFacts facts;
  facts.digest = image.at("Id");
  std::vector<std::string> digests = strings(image, "RepoDigests");
  // The registry's digest is what others can pull; the id is this host's alone.
  if (!digests.empty()) {
    facts.pinned = digests[0];
    facts.digest = digests[0].substr(digests[0].find('@') + 1);
  }
  Json config = image.value("Config", Json::object());
  if (!config.is_object()) config = Json::object();
  facts.entrypoint = strings(config, "Entrypoint");
  facts.command = strings(config, "Cmd");
  facts.user = base::get_optional<std::string>(config, "User").value_or("");
  facts.workdir = base::get_optional<std::string>(config, "WorkingDir").value_or("");
  for (const std::string& path : keys(config, "Volumes")) {
    if (auto clean = target::parse_container_path(path)) facts.volumes.push_back(*clean);
  }
  facts.exposed_ports = keys(config, "ExposedPorts");
  for (const std::string& entry : strings(config, "Env")) {
    size_t equals = std::min(entry.find('='), entry.size());
    std::string name = entry.substr(0, equals);
    target::set_env(facts.env, {name, entry.substr(std::min(equals + 1, entry.size())),
                                target::looks_secret(name)});
  }
  return facts;
}

}  // namespace

void add_image_volumes(Target& target) {
  for (const std::string& path : target.facts.volumes) {
    bool given = std::find(target.tmpfs.begin(), target.tmpfs.end(), path) != target.tmpfs.end() ||
                 std::any_of(target.volumes.begin(), target.volumes.end(),
                             [&](const target::Volume& v) { return v.path == path; });
    if (given) continue;
    target::Volume volume;
    volume.path = path;
    target.volumes.push_back(volume);
  }
}

Status publish_all(Target& target) {
  std::set<std::string> exposed(target.expose.begin(), target.expose.end());
  exposed.insert(target.facts.exposed_ports.begin(), target.facts.exposed_ports.end());
  for (const std::string& text : exposed) {
    std::vector<target::PublishedPort> ports;
    PARE_TRY(ports, target::parse_ports(text));
    for (const target::PublishedPort& port : ports) {
      bool given = std::any_of(target.ports.begin(), target.ports.end(),
                               [&](const target::PublishedPort& p) {
                                 return p.port == port.port && p.protocol == port.protocol;
                               });
      if (!given) target.ports.push_back(port);
    }
  }
  return {};
}

Result<target::ImageFacts> image_facts(const Json& image) {
  return base::read_json("the image's config", [&] { return read_facts(image); });
}

Status resolve_target(Target& target, const ImageView& image) {
  PARE_CHECK_OK(resolve_argv(target));
  PARE_CHECK_OK(resolve_identity(target, image));
  add_image_volumes(target);
  if (target.publish_all) PARE_CHECK_OK(publish_all(target));
  return check_program(target, image);
}

}  // namespace pare::engine
