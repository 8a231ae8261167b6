// securityContext: the container's over the Pod's, as the kubelet merges them
// (pkg/securitycontext DetermineEffectiveSecurityContext), and resources.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

#include "base/text.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

using Means = KeyRule::Means;

constexpr std::array<KeyRule, 2> kPodRules = {{
    {"fsGroupChangePolicy"},
    {"supplementalGroupsPolicy", Means::kNoted, "groups of the image's /etc/group count in trials"},
}};

// A key of the container's context, else of the Pod's. Marks it asked in both.
struct Merged {
  Keys& container;
  Keys& pod;
  const Tree* get(std::string_view key) {
    const Tree* own = container.get(key);
    const Tree* shared = pod.get(key);
    return own != nullptr ? own : shared;
  }
};

void read_user(Job& job, Merged& merged) {
  const Tree* user = merged.get("runAsUser");
  const Tree* group = merged.get("runAsGroup");
  const Tree* non_root = merged.get("runAsNonRoot");
  std::optional<uint32_t> uid, gid;
  if (user != nullptr) uid = job.reader.id(*user, "runAsUser");
  if (group != nullptr) gid = job.reader.id(*group, "runAsGroup");
  if (gid && user == nullptr) {
    // CRI api.proto, LinuxContainerSecurityContext.run_as_group: the runtime must refuse that.
    return job.reader.refuse(*group, "runAsGroup without runAsUser: container runtimes refuse it");
  }
  if (uid) job.out.target.user = std::to_string(*uid);
  if (gid) job.out.target.user += ":" + std::to_string(*gid);
  if (non_root == nullptr || !job.reader.boolean(*non_root, "runAsNonRoot").value_or(false)) return;
  job.out.non_root_where = job.reader.where(*non_root);
  if (uid && *uid == 0) {
    job.reader.refuse(*user, "runAsUser is 0 where runAsNonRoot is true: the kubelet refuses it");
  }
}

void read_groups(Job& job, Keys& pod, std::optional<uint32_t>* fs_group) {
  if (auto group = pod.id("fsGroup")) {
    *fs_group = *group;
    job.out.target.group_add.push_back(*group);
    job.reader.note(pod.where("fsGroup"),
                    fmt::format("fsGroup {} is a supplementary group in trials; the owners of "
                                "bound directories stay as they are",
                                *group));
  }
  const Tree* groups = pod.get("supplementalGroups");
  if (groups == nullptr) return;
  for (const Tree& item : groups->seq) {
    auto id = job.reader.id(item, "supplementalGroups");
    if (id) job.out.target.group_add.push_back(*id);
  }
}

void read_seccomp(Job& job, const Tree* profile) {
  if (profile == nullptr) return;
  Keys keys(job.reader, profile, "seccompProfile");
  std::string type = keys.text("type").value_or("");
  auto file = keys.text("localhostProfile");
  Target& t = job.out.target;
  if (type == "RuntimeDefault") {
    t.seccomp_runtime_default = true;
  } else if (type == "Localhost" && file) {
    // Where the kubelet looks (--seccomp-profile-root's successor, --root-dir).
    t.seccomp_file = "/var/lib/kubelet/seccomp/" + *file;
    t.seccomp_runtime_default = true;
  } else if (type == "Unconfined") {
    t.seccomp_unconfined = true;
  } else {
    job.reader.refuse(*profile,
                      "seccompProfile.type is not RuntimeDefault, Unconfined, or "
                      "Localhost with localhostProfile");
  }
  keys.finish();
}

void read_lsm(Job& job, const Tree* apparmor, const Tree* selinux) {
  auto& options = job.out.target.lsm_options;
  if (apparmor != nullptr) {
    Keys keys(job.reader, apparmor, "appArmorProfile");
    std::string type = keys.text("type").value_or("");
    std::string name = keys.text("localhostProfile").value_or("");
    if (type == "Unconfined") options.emplace_back("apparmor=unconfined");
    if (type == "Localhost") options.push_back("apparmor=" + name);
    keys.finish();
  }
  if (selinux == nullptr) return;
  Keys keys(job.reader, selinux, "seLinuxOptions");
  for (std::string_view key : {"user", "role", "type", "level"}) {
    if (auto value = keys.text(key)) options.push_back(fmt::format("label={}:{}", key, *value));
  }
  keys.finish();
}

void read_capabilities(Job& job, const Tree* capabilities) {
  Keys keys(job.reader, capabilities, "capabilities");
  for (auto [key, list] :
       {std::pair("add", &job.out.target.cap_add), std::pair("drop", &job.out.target.cap_drop)}) {
    const Tree* names = keys.get(key);
    if (names == nullptr) continue;
    for (const std::string& name : job.reader.texts(*names, key)) {
      auto known = privilege::CapabilitySet::parse({name});
      if (!known) {
        job.reader.refuse(*names, known.error().message);
      } else {
        list->push_back(name);
      }
    }
  }
  keys.finish();
}

}  // namespace

std::optional<uint32_t> read_security(Job& job, Keys& container, const Tree* pod_context) {
  Target& t = job.out.target;
  Keys own(job.reader, container.get("securityContext"), "the container's securityContext");
  Keys pod(job.reader, pod_context, "the Pod's securityContext");
  Merged merged{own, pod};
  read_user(job, merged);
  std::optional<uint32_t> fs_group;
  read_groups(job, pod, &fs_group);
  read_seccomp(job, merged.get("seccompProfile"));
  const Tree* apparmor = merged.get("appArmorProfile");
  read_lsm(job, apparmor, merged.get("seLinuxOptions"));
  if (const Tree* windows = merged.get("windowsOptions")) {
    job.reader.refuse(*windows, "windowsOptions: pare proves Linux containers alone");
  }
  t.privileged = own.boolean("privileged").value_or(false);
  bool escalation = own.boolean("allowPrivilegeEscalation").value_or(true);
  t.no_new_privileges = !escalation;
  if (!escalation && t.privileged) {
    job.reader.refuse(own.where("allowPrivilegeEscalation"),
                      "a privileged container cannot forbid escalation: Kubernetes refuses it");
  }
  t.read_only_rootfs = own.boolean("readOnlyRootFilesystem").value_or(false);
  if (own.text("procMount").value_or("Default") != "Default") {
    job.reader.note(own.where("procMount"), "procMount Unmasked is granted in no trial");
  }
  read_capabilities(job, own.get("capabilities"));
  for (const Tree* sysctl : pod.maps("sysctls")) {
    Keys keys(job.reader, sysctl, "sysctls");
    auto name = keys.text("name"), value = keys.text("value");
    if (name && value) t.sysctls[*name] = *value;
    keys.finish();
  }
  own.finish();
  pod.finish(kPodRules);
  return fs_group;
}

// k8s.io/apimachinery/pkg/api/resource/quantity.go
std::optional<double> parse_quantity(std::string_view text) {
  size_t digits = std::min(text.find_first_not_of("0123456789.+-"), text.size());
  if (digits == 0) return std::nullopt;
  std::string number(text.substr(0, digits));
  std::string_view suffix = text.substr(digits);
  if (!suffix.empty() && (suffix[0] == 'e' || suffix[0] == 'E') && suffix.size() > 1) {
    number += std::string(suffix);
    suffix = {};
  }
  char* end = nullptr;
  double value = std::strtod(number.c_str(), &end);
  if (end != number.c_str() + number.size() || !std::isfinite(value) || value < 0) {
    return std::nullopt;
  }
  struct Unit {
    std::string_view suffix;
    double factor;
  };
  static constexpr std::array<Unit, 15> kUnits = {{
      {"", 1},
      {"n", 1e-9},
      {"u", 1e-6},
      {"m", 1e-3},
      {"k", 1e3},
      {"M", 1e6},
      {"G", 1e9},
      {"T", 1e12},
      {"P", 1e15},
      {"E", 1e18},
      {"Ki", 1024.0},
      {"Mi", 1048576.0},
      {"Gi", 1073741824.0},
      {"Ti", 1099511627776.0},
      {"Pi", 1125899906842624.0},
  }};
  for (const Unit& unit : kUnits) {
    if (unit.suffix == suffix) return value * unit.factor;
  }
  return std::nullopt;
}

void read_resources(Job& job, const Tree* resources) {
  Keys keys(job.reader, resources, "resources");
  keys.get("requests");
  const Tree* limits = keys.get("limits");
  if (limits != nullptr && limits->is_map()) {
    Target& t = job.out.target;
    for (const Tree::Entry& entry : limits->map) {
      auto amount = parse_quantity(entry.value.text_or());
      if (!amount || *amount > 9e18) {
        job.reader.refuse(entry.value, "limits." + entry.key + " is not a quantity such as 16Gi");
      } else if (entry.key == "memory") {
        t.kept.push_back({"--memory", std::to_string(static_cast<uint64_t>(*amount))});
      } else if (entry.key == "cpu") {
        t.kept.push_back({"--cpus", fmt::format("{}", *amount)});
      } else if (entry.key == "nvidia.com/gpu") {
        if (*amount > 0) t.gpus = std::to_string(static_cast<uint64_t>(*amount));
      } else if (entry.key != "ephemeral-storage" && *amount > 0) {
        job.reader.note(entry.value, "resource " + entry.key +
                                         " is not modelled: what a device plugin adds for it is in "
                                         "no trial");
      }
    }
  }
  static constexpr std::array<KeyRule, 1> kRules = {{
      {"claims", Means::kNoted, "devices of a resource claim are in no trial"},
  }};
  keys.finish(kRules);
}

}  // namespace pare::target::kube
