// Each function is one check of staging/src/k8s.io/pod-security-admission/policy; the table at the
// end has its id, level and first version.
#include "audit/pod_security.h"

#include <algorithm>
#include <array>
#include <functional>

#include "base/text.h"

namespace pare::audit {
namespace {

struct Pod {
  View metadata, spec;
  bool is_pod = false;
  int minor = 0;
  std::vector<std::pair<std::string, View>> containers;  // init, main, ephemeral
};
using Bad = std::vector<std::string>;  // names; "" is the Pod
using Check = Bad (*)(const Pod&);

template <size_t N>
bool one_of(std::string_view value, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

template <typename F>
Bad containers_where(const Pod& pod, F&& bad) {
  Bad names;
  for (const auto& [name, container] : pod.containers) {
    if (bad(container, container.get("securityContext"))) names.push_back(name);
  }
  return names;
}

bool is_true(View view) {
  return view.as_bool() == true;
}
bool is_false(View view) {
  return view.as_bool() == false;
}
bool windows(const Pod& pod) {
  return pod.spec.get({"os", "name"}).as_text() == "windows";
}
// KEP-127: with a user namespace, root in the Pod is nobody on the node (policy v1.35).
bool own_users(const Pod& pod) {
  return pod.minor >= 35 && is_false(pod.spec.get("hostUsers"));
}

Bad host_process(const Pod& pod) {
  Bad bad = containers_where(pod, [](View, View security) {
    return is_true(security.get({"windowsOptions", "hostProcess"}));
  });
  if (is_true(pod.spec.get({"securityContext", "windowsOptions", "hostProcess"}))) {
    bad.emplace_back();
  }
  return bad;
}

Bad host_namespaces(const Pod& pod) {
  for (std::string_view key : {"hostNetwork", "hostPID", "hostIPC"}) {
    if (is_true(pod.spec.get(key))) return {""};
  }
  return {};
}

Bad privileged(const Pod& pod) {
  return containers_where(pod, [](View, View s) { return is_true(s.get("privileged")); });
}

constexpr std::array<std::string_view, 13> kBaselineCapabilities = {
    "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",      "MKNOD",
    "NET_BIND_SERVICE", "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT"};

Bad capabilities_baseline(const Pod& pod) {
  return containers_where(pod, [](View, View security) {
    auto added = security.get({"capabilities", "add"}).items();
    return std::any_of(added.begin(), added.end(), [](View name) {
      return !one_of(name.as_text().value_or(""), kBaselineCapabilities);
    });
  });
}

Bad capabilities_restricted(const Pod& pod) {
  if (pod.minor >= 25 && windows(pod)) return {};
  return containers_where(pod, [](View, View security) {
    auto dropped = security.get({"capabilities", "drop"}).items();
    bool all = std::any_of(dropped.begin(), dropped.end(),
                           [](View name) { return name.as_text() == "ALL"; });
    auto added = security.get({"capabilities", "add"}).items();
    return !all || std::any_of(added.begin(), added.end(),
                               [](View name) { return name.as_text() != "NET_BIND_SERVICE"; });
  });
}

// What defaulting makes an emptyDir of: a volume without any source that the API knows.
constexpr std::array<std::string_view, 30> kVolumeSources = {"hostPath",
                                                             "emptyDir",
                                                             "gcePersistentDisk",
                                                             "awsElasticBlockStore",
                                                             "gitRepo",
                                                             "secret",
                                                             "nfs",
                                                             "iscsi",
                                                             "glusterfs",
                                                             "persistentVolumeClaim",
                                                             "rbd",
                                                             "flexVolume",
                                                             "cinder",
                                                             "cephfs",
                                                             "flocker",
                                                             "downwardAPI",
                                                             "fc",
                                                             "azureFile",
                                                             "configMap",
                                                             "vsphereVolume",
                                                             "quobyte",
                                                             "azureDisk",
                                                             "photonPersistentDisk",
                                                             "projected",
                                                             "portworxVolume",
                                                             "scaleIO",
                                                             "storageos",
                                                             "csi",
                                                             "ephemeral",
                                                             "image"};
constexpr std::array<std::string_view, 8> kRestrictedSources = {
    "configMap", "csi",   "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret"};

Bad host_path(const Pod& pod) {
  Bad bad;
  for (View volume : pod.spec.get("volumes").items()) {
    if (volume.has("hostPath")) bad.emplace_back();
  }
  return bad;
}

Bad restricted_volumes(const Pod& pod) {
  Bad bad;
  for (View volume : pod.spec.get("volumes").items()) {
    auto has = [&](std::string_view source) { return volume.has(source); };
    bool any = std::any_of(kVolumeSources.begin(), kVolumeSources.end(), has);
    bool fine = std::any_of(kRestrictedSources.begin(), kRestrictedSources.end(), has) ||
                (pod.minor >= 33 && volume.has("image"));
    if (any && !fine) bad.emplace_back();
  }
  return bad;
}

Bad host_ports(const Pod& pod) {
  // SetDefaults_Pod: with hostNetwork, an unset hostPort becomes the container port.
  bool defaulted = pod.is_pod && is_true(pod.spec.get("hostNetwork"));
  return containers_where(pod, [&](View container, View) {
    auto ports = container.get("ports").items();
    return std::any_of(ports.begin(), ports.end(), [&](View port) {
      if (port.get("hostPort").as_int().value_or(0) != 0) return true;
      return defaulted && port.get("containerPort").as_int().value_or(0) != 0;
    });
  });
}

Bad probe_hosts(const Pod& pod) {
  auto names_host = [](View handler) {
    return !handler.get({"httpGet", "host"}).text_or().empty() ||
           !handler.get({"tcpSocket", "host"}).text_or().empty();
  };
  return containers_where(pod, [&](View container, View) {
    View lifecycle = container.get("lifecycle");
    return names_host(container.get("livenessProbe")) ||
           names_host(container.get("readinessProbe")) ||
           names_host(container.get("startupProbe")) || names_host(lifecycle.get("postStart")) ||
           names_host(lifecycle.get("preStop"));
  });
}

Bad app_armor(const Pod& pod) {
  auto forbidden = [](View security) {
    std::string type = security.get({"appArmorProfile", "type"}).text_or();
    return !type.empty() && type != "RuntimeDefault" && type != "Localhost";
  };
  Bad bad = containers_where(pod, [&](View, View security) { return forbidden(security); });
  if (forbidden(pod.spec.get("securityContext"))) bad.emplace_back();
  for (const auto& [key, value] : pod.metadata.get("annotations").entries()) {
    if (!base::starts_with(key, "container.apparmor.security.beta.kubernetes.io/")) continue;
    std::string profile = value.text_or();
    if (!profile.empty() && profile != "runtime/default" &&
        !base::starts_with(profile, "localhost/")) {
      bad.emplace_back();
    }
  }
  return bad;
}

Bad selinux(const Pod& pod) {
  auto forbidden = [&](View security) {
    View options = security.get("seLinuxOptions");
    std::string type = options.get("type").text_or();
    bool fine = type.empty() || type == "container_t" || type == "container_init_t" ||
                type == "container_kvm_t" || (pod.minor >= 31 && type == "container_engine_t");
    return !fine || !options.get("user").text_or().empty() ||
           !options.get("role").text_or().empty();
  };
  Bad bad = containers_where(pod, [&](View, View security) { return forbidden(security); });
  if (forbidden(pod.spec.get("securityContext"))) bad.emplace_back();
  return bad;
}

Bad proc_mount(const Pod& pod) {
  if (own_users(pod)) return {};
  return containers_where(pod, [](View, View security) {
    View mount = security.get("procMount");
    return mount.present() && mount.as_text() != "Default";
  });
}

bool allowed_seccomp(View profile) {
  std::string type = profile.get("type").text_or();
  return type == "RuntimeDefault" || type == "Localhost";
}

Bad seccomp_baseline(const Pod& pod) {
  auto forbidden = [](View security) {
    View profile = security.get("seccompProfile");
    return profile.present() && !allowed_seccomp(profile);
  };
  Bad bad = containers_where(pod, [&](View, View security) { return forbidden(security); });
  if (forbidden(pod.spec.get("securityContext"))) bad.emplace_back();
  return bad;
}

Bad seccomp_restricted(const Pod& pod) {
  if (pod.minor >= 25 && windows(pod)) return {};
  View of_pod = pod.spec.get({"securityContext", "seccompProfile"});
  bool pod_sets = of_pod.present() && allowed_seccomp(of_pod);
  Bad bad = containers_where(pod, [&](View, View security) {
    View profile = security.get("seccompProfile");
    return profile.present() ? !allowed_seccomp(profile) : !pod_sets;
  });
  if (of_pod.present() && !pod_sets) bad.emplace_back();
  return bad;
}

Bad sysctls(const Pod& pod) {
  static constexpr std::array<std::pair<std::string_view, int>, 12> kSafe = {{
      {"kernel.shm_rmid_forced", 0},
      {"net.ipv4.ip_local_port_range", 0},
      {"net.ipv4.tcp_syncookies", 0},
      {"net.ipv4.ping_group_range", 0},
      {"net.ipv4.ip_unprivileged_port_start", 0},
      {"net.ipv4.ip_local_reserved_ports", 27},
      {"net.ipv4.tcp_keepalive_time", 29},
      {"net.ipv4.tcp_fin_timeout", 29},
      {"net.ipv4.tcp_keepalive_intvl", 29},
      {"net.ipv4.tcp_keepalive_probes", 29},
      {"net.ipv4.tcp_rmem", 32},
      {"net.ipv4.tcp_wmem", 32},
  }};
  Bad bad;
  for (View sysctl : pod.spec.get({"securityContext", "sysctls"}).items()) {
    std::string name = sysctl.get("name").text_or();
    bool safe = std::any_of(kSafe.begin(), kSafe.end(), [&](const auto& row) {
      return row.first == name && pod.minor >= row.second;
    });
    if (!safe) bad.emplace_back();
  }
  return bad;
}

Bad escalation(const Pod& pod) {
  if (pod.minor >= 25 && windows(pod)) return {};
  return containers_where(
      pod, [](View, View s) { return !is_false(s.get("allowPrivilegeEscalation")); });
}

Bad run_as_non_root(const Pod& pod) {
  if (own_users(pod)) return {};
  View of_pod = pod.spec.get({"securityContext", "runAsNonRoot"});
  bool pod_sets = is_true(of_pod);
  Bad bad = containers_where(pod, [&](View, View security) {
    auto own = security.get("runAsNonRoot").as_bool();
    return own ? !*own : !pod_sets;
  });
  if (is_false(of_pod)) bad.emplace_back();
  return bad;
}

Bad run_as_user(const Pod& pod) {
  if (own_users(pod)) return {};
  Bad bad = containers_where(pod, [](View, View s) { return s.get("runAsUser").as_int() == 0; });
  if (pod.spec.get({"securityContext", "runAsUser"}).as_int() == 0) bad.emplace_back();
  return bad;
}

struct Row {
  std::string_view id;
  std::string_view reason;
  PodSecurityLevel level;
  bool overridden;  // a restricted check takes its place
  int from;         // first minor version
  Check check;
};

// In the evaluator's order: by level, then by id.
constexpr auto kBase = PodSecurityLevel::kBaseline;
constexpr auto kRest = PodSecurityLevel::kRestricted;
constexpr std::array<Row, 18> kRows = {{
    {"appArmorProfile", "forbidden AppArmor profile", kBase, false, 0, app_armor},
    {"capabilities_baseline", "non-default capabilities", kBase, true, 0, capabilities_baseline},
    {"hostNamespaces", "host namespaces", kBase, false, 0, host_namespaces},
    {"hostPathVolumes", "hostPath volumes", kBase, true, 0, host_path},
    {"hostPorts", "hostPort", kBase, false, 0, host_ports},
    {"hostProbesAndHostLifecycle", "probe or lifecycle host", kBase, false, 34, probe_hosts},
    {"privileged", "privileged", kBase, false, 0, privileged},
    {"procMount", "procMount", kBase, false, 0, proc_mount},
    {"seLinuxOptions", "seLinuxOptions", kBase, false, 0, selinux},
    {"seccompProfile_baseline", "seccompProfile", kBase, true, 0, seccomp_baseline},
    {"sysctls", "forbidden sysctls", kBase, false, 0, sysctls},
    {"windowsHostProcess", "hostProcess", kBase, false, 0, host_process},
    {"allowPrivilegeEscalation", "allowPrivilegeEscalation != false", kRest, false, 8, escalation},
    {"capabilities_restricted", "unrestricted capabilities", kRest, false, 22,
     capabilities_restricted},
    {"restrictedVolumes", "restricted volume types", kRest, false, 0, restricted_volumes},
    {"runAsNonRoot", "runAsNonRoot != true", kRest, false, 0, run_as_non_root},
    {"runAsUser", "runAsUser=0", kRest, false, 23, run_as_user},
    {"seccompProfile_restricted", "seccompProfile", kRest, false, 19, seccomp_restricted},
}};

// The evaluator says some reasons in the plural.
std::string_view spoken(const Row& row, size_t count) {
  if (row.id == "appArmorProfile" && count > 1) return "forbidden AppArmor profiles";
  return row.reason;
}
}  // namespace

std::string_view to_string(PodSecurityLevel level) {
  switch (level) {
    case PodSecurityLevel::kPrivileged:
      return "privileged";
    case PodSecurityLevel::kBaseline:
      return "baseline";
    case PodSecurityLevel::kRestricted:
      return "restricted";
  }
  return "";
}

std::string PodSecurityVerdict::reason() const {
  std::vector<std::string> reasons;
  for (const PodSecurityViolation& violation : violations) reasons.emplace_back(violation.reason);
  return base::join(reasons, ", ");
}

PodPlace find_pod(View document) {
  std::string kind = document.get("kind").text_or();
  std::string version = document.get("apiVersion").text_or();
  std::string group = version.substr(0, version.find('/'));
  bool core = version == "v1";
  bool apps = group == "apps" || version == "extensions/v1beta1";
  bool batch = group == "batch";
  View holder;
  if (core && kind == "Pod") return {document.get("metadata"), document.get("spec"), true, true};
  if (core && kind == "PodTemplate") {
    holder = document.get("template");
  } else if ((core && kind == "ReplicationController") ||
             (apps && (kind == "Deployment" || kind == "DaemonSet" || kind == "StatefulSet" ||
                       kind == "ReplicaSet")) ||
             (batch && kind == "Job")) {
    holder = document.get({"spec", "template"});
  } else if (batch && kind == "CronJob") {
    holder = document.get({"spec", "jobTemplate", "spec", "template"});
  } else {
    return {};
  }
  return {holder.get("metadata"), holder.get("spec"), false, true};
}

PodSecurityVerdict judge_pod(const PodPlace& place, PodSecurityLevel level, int minor) {
  PodSecurityVerdict verdict;
  if (!place.known) return verdict;
  Pod pod{place.metadata, place.spec, place.is_pod, minor, {}};
  for (std::string_view list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (View container : pod.spec.get(list).items()) {
      pod.containers.emplace_back(container.get("name").text_or(), container);
    }
  }
  bool restricted = level == PodSecurityLevel::kRestricted;
  for (const Row& row : kRows) {
    if (minor < row.from || (row.level == PodSecurityLevel::kRestricted && !restricted)) continue;
    if (restricted && row.overridden) continue;
    Bad bad = row.check(pod);
    if (!bad.empty()) {
      verdict.violations.push_back({row.id, spoken(row, bad.size()), std::move(bad)});
    }
  }
  return verdict;
}

PodSecurityLevel pod_level(const PodPlace& pod, int minor) {
  if (judge_pod(pod, PodSecurityLevel::kRestricted, minor).allowed()) {
    return PodSecurityLevel::kRestricted;
  }
  bool baseline = judge_pod(pod, PodSecurityLevel::kBaseline, minor).allowed();
  return baseline ? PodSecurityLevel::kBaseline : PodSecurityLevel::kPrivileged;
}

}  // namespace pare::audit
