// What no axis reads, structure by structure, held against what emit() writes now. Fails closed: a
// key that is neither an axis's nor known to grant nothing is drift.
#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "emit/check_read.h"
#include "target/files.h"
#include "target/tree_json.h"

namespace pare::emit {

using base::Json;
using target::Tree;

namespace {

using Path = std::vector<std::string>;

// Of a Pod's spec.
constexpr const char* kPod[] = {"nodeSelector",
                                "nodeName",
                                "affinity",
                                "tolerations",
                                "topologySpreadConstraints",
                                "schedulerName",
                                "priorityClassName",
                                "terminationGracePeriodSeconds",
                                "imagePullSecrets",
                                "restartPolicy",
                                "automountServiceAccountToken",
                                "hostNetwork",
                                "hostPID",
                                "hostIPC",
                                "securityContext runAsUser",
                                "securityContext runAsGroup",
                                "securityContext runAsNonRoot",
                                "securityContext supplementalGroups",
                                "securityContext fsGroup",
                                "securityContext fsGroupChangePolicy",
                                "securityContext seccompProfile",
                                "securityContext sysctls",
                                "securityContext seLinuxOptions",
                                "securityContext appArmorProfile",
                                "volumes name",
                                "volumes persistentVolumeClaim claimName",
                                "volumes emptyDir sizeLimit"};

// Of a container.
constexpr const char* kContainer[] = {"name",
                                      "image",
                                      "command",
                                      "args",
                                      "env",
                                      "imagePullPolicy",
                                      "terminationMessagePath",
                                      "terminationMessagePolicy",
                                      "startupProbe",
                                      "readinessProbe",
                                      "livenessProbe",
                                      "ports name",
                                      "resources requests",
                                      "resources limits cpu",
                                      "resources limits memory",
                                      "resources limits ephemeral-storage",
                                      "resources limits nvidia.com/gpu",
                                      "securityContext runAsUser",
                                      "securityContext runAsGroup",
                                      "securityContext runAsNonRoot",
                                      "securityContext privileged",
                                      "securityContext allowPrivilegeEscalation",
                                      "securityContext readOnlyRootFilesystem",
                                      "securityContext capabilities",
                                      "securityContext seccompProfile",
                                      "securityContext seLinuxOptions",
                                      "securityContext appArmorProfile",
                                      "volumeMounts name"};

// Of a compose service.
constexpr const char* kService[] = {"image",
                                    "container_name",
                                    "command",
                                    "entrypoint",
                                    "environment",
                                    "hostname",
                                    "mem_limit",
                                    "mem_reservation",
                                    "memswap_limit",
                                    "cpus",
                                    "cpu_shares",
                                    "deploy replicas",
                                    "deploy restart_policy",
                                    "deploy resources limits",
                                    "restart",
                                    "labels",
                                    "logging",
                                    "healthcheck",
                                    "stop_grace_period",
                                    "stop_signal",
                                    "profiles",
                                    "depends_on",
                                    "pull_policy",
                                    "user",
                                    "group_add",
                                    "cap_add",
                                    "cap_drop",
                                    "privileged",
                                    "security_opt",
                                    "pids_limit",
                                    "read_only",
                                    "tmpfs",
                                    "sysctls",
                                    "ulimits",
                                    "shm_size",
                                    "networks",
                                    "network_mode",
                                    "volumes source",
                                    "volumes volume",
                                    "volumes bind create_host_path"};

// What is passed over, by the kind of the document or the name of the file: what the axes read, and
// what grants nothing. "*" is any key; an element of a list is at its list's own path.
std::map<std::string, std::vector<std::string>> make_table() {
  std::map<std::string, std::vector<std::string>> table = {
      {"Service",
       {"metadata", "spec ports name", "spec ports port", "spec sessionAffinity",
        "spec sessionAffinityConfig", "spec internalTrafficPolicy", "spec clusterIP",
        "spec ipFamilies", "spec ipFamilyPolicy"}},
      {"NetworkPolicy", {"metadata", "spec"}},
      {"Kustomization",
       {"metadata", "namespace", "resources", "images", "labels", "commonAnnotations", "replicas",
        "patches target name"}},
      // A patch takes away what the workload has: what it says has to stay said.
      {"patch.yaml",
       {"metadata", "spec replicas", "spec template metadata", "spec template spec containers name",
        "spec template spec containers env", "spec template spec containers volumeMounts name",
        "spec template spec volumes name", "spec template spec volumes emptyDir sizeLimit",
        "spec template spec containers securityContext seccompProfile"}},
      {"config.json",
       {"ociVersion",
        "hostname",
        "annotations",
        "process terminal",
        "process consoleSize",
        "process user",
        "process args",
        "process env",
        "process noNewPrivileges",
        "process rlimits",
        "process capabilities bounding",
        "process capabilities effective",
        "process capabilities permitted",
        "root",
        "mounts source",
        "linux cgroupsPath",
        "linux sysctl",
        "linux seccomp",
        "linux resources pids",
        "linux resources memory",
        "linux resources cpu",
        "linux devices"}},
      {"compose.yaml",
       {"name", "volumes", "networks * name", "networks * labels", "networks * internal",
        "networks * driver_opts com.docker.network.bridge.name"}}};
  for (const char* own : kService) {
    table["compose.yaml"].push_back(std::string("services * ") + own);
  }
  for (const char* kind : {"Deployment", "Job"}) {
    auto& list = table[kind];
    list = {"metadata",
            "spec replicas",
            "spec strategy",
            "spec selector",
            "spec backoffLimit",
            "spec revisionHistoryLimit",
            "spec template metadata",
            "spec minReadySeconds",
            "spec progressDeadlineSeconds",
            "spec activeDeadlineSeconds",
            "spec ttlSecondsAfterFinished"};
    for (const char* own : kPod) list.push_back(std::string("spec template spec ") + own);
    for (const char* own : kContainer) {
      list.push_back(std::string("spec template spec containers ") + own);
      list.push_back(std::string("spec template spec initContainers ") + own);
    }
  }
  return table;
}

bool matches(const std::string& pattern, const Path& path) {
  Path words = base::split(pattern, ' ');
  return std::equal(words.begin(), words.end(), path.begin(), path.end(),
                    [](const std::string& a, const std::string& b) { return a == "*" || a == b; });
}

// Adds to `out` the paths at which they differ. `over`: something above `path` is passed over.
void differing(const Json& found, const Json& fresh, const std::vector<std::string>& known,
               bool over, Path& path, std::vector<std::string>& out) {
  over = over || std::any_of(known.begin(), known.end(),
                             [&](const std::string& pattern) { return matches(pattern, path); });
  // Annotations that are settings: container.apparmor.security.beta.kubernetes.io/NAME.
  if (!path.empty() && path.back().find("security.") != std::string::npos) over = false;
  bool maps = found.is_object() && fresh.is_object();
  if (maps || (over && (found.is_object() || fresh.is_object()))) {
    Json keys = fresh.is_object() ? fresh : Json::object();
    if (found.is_object()) keys.update(found);
    for (const auto& [key, unused] : keys.items()) {
      path.push_back(key);
      // "absent" is not null: in a patch null takes away.
      auto member = [&key = key](const Json& of) {
        return of.is_object() && of.contains(key) ? of[key] : Json(Json::value_t::discarded);
      };
      differing(member(found), member(fresh), known, over, path, out);
      path.pop_back();
    }
  } else if (found.is_array() && fresh.is_array() && found.size() == fresh.size()) {
    for (size_t i = 0; i < found.size(); ++i) {
      differing(found[i], fresh[i], known, over, path, out);
    }
  } else if ((found != fresh || found.type() != fresh.type()) && !over) {
    out.push_back(base::join(path, "."));
  }
}

// What is the user's own in a file that belongs to others, too.
void take_out_others(const std::string& label, Json& found, const Json& fresh) {
  if (label == "compose.yaml" && found.value("services", Json()).is_object()) {
    Json services = Json::object();
    for (const auto& [name, unused] : fresh.at("services").items()) {
      if (found["services"].contains(name)) services[name] = found["services"][name];
    }
    found["services"] = services;
  }
  if (label != "Kustomization") return;
  // The first is what is patched.
  const Json resources = found.value("resources", Json::array());
  for (size_t i = 1; i < fresh.at("resources").size(); ++i) {
    const Json& own = fresh["resources"][i];
    if (std::find(resources.begin(), resources.end(), own) == resources.end()) {
      found["without " + own.get<std::string>()] = true;
    }
  }
}

Result<std::vector<Json>> documents_of(const File& file) {
  std::vector<Json> out;
  if (file.name == "config.json") {
    PARE_TRY(Json config, base::parse_json(file.content, file.name));
    return std::vector<Json>{config};
  }
  auto dialect = file.name == "compose.yaml" ? target::yaml::Dialect::kCompose
                                             : target::yaml::Dialect::kKubernetes;
  PARE_TRY(std::vector<Tree> trees, target::read_trees({file.name, file.content}, 0, dialect));
  for (const Tree& tree : trees) out.push_back(target::json_of<Json>(tree));
  return out;
}

Result<std::vector<std::string>> differing(const File& found, const File& fresh) {
  static const auto kTable = make_table();
  std::vector<std::string> places;
  PARE_TRY(std::vector<Json> have, documents_of(found));
  PARE_TRY(std::vector<Json> want, documents_of(fresh));
  if (have.size() != want.size()) places.emplace_back("the number of documents");
  for (size_t i = 0; i < std::min(have.size(), want.size()); ++i) {
    std::string label = kTable.count(fresh.name) > 0 ? fresh.name : want[i].value("kind", "");
    auto known = kTable.find(label);
    if (known == kTable.end()) continue;
    Path path;
    auto read = base::read_json(found.name, [&] {
      take_out_others(label, have[i], want[i]);
      differing(have[i], want[i], known->second, false, path, places);
      return true;
    });
    if (!read) return tl::unexpected(read.error());
  }
  return places;
}

}  // namespace

std::string script_term(const std::string& text) {
  std::vector<std::string> commands;
  for (const std::string& line : base::split(text, '\n')) {
    std::string_view command = base::trim(line);
    if (!command.empty() && command[0] != '#') commands.emplace_back(command);
  }
  return base::sha256_hex(base::join(commands, "\n")).substr(0, 12);
}

Result<std::vector<CheckRow>> rest_rows(const std::vector<File>& files,
                                        const std::vector<File>& fresh) {
  std::vector<CheckRow> rows;
  for (const File& file : fresh) {
    const File* found = find_file(files, file.name);
    bool structure = base::ends_with(file.name, ".yaml") || file.name == "config.json";
    if (found == nullptr || !structure || base::starts_with(file.name, "verify/")) continue;
    PARE_TRY(std::vector<std::string> places, differing(*found, file));
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    rows.push_back(
        {file.name, "rest", places.empty() ? CheckRow::State::kSame : CheckRow::State::kDrift,
         "what was emitted", places.empty() ? "what was emitted" : base::join(places, ", "), ""});
  }
  return rows;
}

}  // namespace pare::emit
