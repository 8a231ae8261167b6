// Rules about what the process may do: capabilities, user, escalation, root file system, profiles.
#include <algorithm>

#include "audit/remedies.h"
#include "audit/rule_functions.h"
#include "base/text.h"
#include "privilege/capability.h"
#include "target/target.h"

namespace pare::audit {
namespace {

Severity by_danger(int danger) {
  if (danger >= 90) return Severity::kCritical;
  if (danger >= 60) return Severity::kHigh;
  return danger >= 35 ? Severity::kMedium : Severity::kLow;
}

std::string bare(std::string_view name) {
  std::string upper = base::upper(name);
  return base::starts_with(upper, "CAP_") ? upper.substr(4) : upper;
}

bool drops_all(const Container& c) {
  return std::any_of(c.cap_drop.begin(), c.cap_drop.end(),
                     [](const Named& n) { return bare(n.name) == "ALL"; });
}

bool changes_owner(const Container& c) {
  return c.command_line().find("chown") != std::string::npos;
}
}  // namespace

void check_privileged(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (!c.privileged.is(true)) continue;
    Finding& f = scope.add(&c, c.privileged.place,
                           "privileged: every capability, every device, no seccomp, no masks");
    f.remedy = remedy_field(scope, c, c.privileged.place, Spelling::kPrivileged, false);
    f.remedy.breaks = "what reaches host devices or mounts; name the device or capability instead";
  }
}

void check_capability_added(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    bool init_chown = c.role == Role::kInit && changes_owner(c);
    for (const Named& added : c.cap_add) {
      std::string name = bare(added.name);
      if (init_chown && name == "CHOWN") continue;
      if (name == "ALL") {
        Finding& f = scope.add(&c, added.place,
                               "adds ALL 41 capabilities: root on the host in "
                               "several ways");
        f.severity = Severity::kCritical;
        f.remedy = remedy_remove(scope, c, added, "--cap-add");
        continue;
      }
      auto number = privilege::capability_number(name);
      if (!number) {
        Finding& f = scope.add(&c, added.place, "'" + added.name + "' is no capability");
        f.severity = Severity::kLow;
        continue;
      }
      const privilege::CapabilityRow& row = privilege::capability_row(*number);
      std::string message = "adds " + name + ": " + std::string(row.gain);
      std::string user = effective_user(scope.workload(), c);
      if (!user.empty() && !is_root(user)) {
        message += "; it does nothing for uid " + user +
                   ", since neither Docker nor Kubernetes sets the ambient set";
      }
      if (!row.fix.empty()) message += " (" + std::string(row.fix) + ")";
      Finding& f = scope.add(&c, added.place, message);
      f.severity = by_danger(row.danger);
      f.remedy = remedy_remove(scope, c, added, "--cap-add");
      f.remedy.breaks = "calls that need CAP_" + name;
    }
  }
}

void check_capabilities_kept(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (drops_all(c)) continue;
    if (c.role == Role::kInit && changes_owner(c)) continue;  // PARE029
    Place place = c.cap_drop.empty() ? c.place : c.cap_drop.front().place;
    Finding& f = scope.add(&c, place,
                           "keeps the platform's default capabilities (14 of Docker's, among them "
                           "NET_RAW, CHOWN, DAC_OVERRIDE, SETUID, MKNOD): drop ALL");
    f.remedy = remedy_drop_all(scope, c);
  }
}

void check_root(Scope& scope) {
  const Workload& w = scope.workload();
  for (const Container& c : w.containers) {
    const Field<std::string>& own = c.user.written() ? c.user : w.pod_user;
    if (!own.value || own.unknown || !is_root(*own.value)) continue;
    if (&own == &w.pod_user && &c != &w.containers.front()) continue;  // said once
    Finding& f = scope.add(&c, own.place,
                           "runs as root: uid 0 owns every file of the image, and "
                           "after a break-out it is the host's root");
    f.remedy = remedy_user(scope, c);
  }
}

void check_user_unset(Scope& scope) {
  const Workload& w = scope.workload();
  for (const Container& c : w.containers) {
    std::string user = effective_user(w, c);
    bool required = c.non_root.written() ? c.non_root.is(true) : w.pod_non_root.is(true);
    if (scope.kubernetes()) {
      if (required) continue;
    } else if (c.user.written()) {
      continue;
    }
    if (!user.empty() && is_root(user)) continue;  // PARE004 says it, and its fix covers this
    const Place& place = c.non_root.written()       ? c.non_root.place
                         : w.pod_non_root.written() ? w.pod_non_root.place
                                                    : c.place;
    std::string message = scope.kubernetes() ? "nothing requires a non-root user (runAsNonRoot): "
                                               "the image decides"
                          : w.platform == Platform::kDockerfile
                              ? "no USER: the image starts as its base image does, usually root"
                              : "no user is set: the image decides, usually root";
    if (c.server != nullptr && c.server->root_image) {
      message += "; " + c.server->title + "'s own image starts as root";
    }
    Finding& f = scope.add(&c, place, message);
    f.remedy = remedy_user(scope, c);
  }
}

void check_escalation(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (scope.kubernetes()) {
      if (c.escalation.is(false) || c.escalation.unknown) continue;
      Place place = c.escalation.written() ? c.escalation.place : c.place;
      Finding& f = scope.add(&c, place,
                             "allowPrivilegeEscalation is not false: set-user-id "
                             "programs and file capabilities work");
      f.remedy = remedy_field(scope, c, c.escalation.place, Spelling::kEscalation, false);
      f.remedy.breaks = "sudo, su and ping inside the container";
    } else {
      if (c.no_new_privileges.is(true)) continue;
      Finding& f =
          scope.add(&c, c.no_new_privileges.written() ? c.no_new_privileges.place : c.place,
                    "no-new-privileges is not set: set-user-id programs and file "
                    "capabilities work");
      f.remedy = remedy_security_option(scope, c, "no-new-privileges:true");
      f.remedy.breaks = "sudo, su and ping inside the container";
    }
  }
}

void check_writable_root(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.read_only_root.is(true) || c.read_only_root.unknown) continue;
    if (c.role == Role::kEphemeral) continue;
    Place place = c.read_only_root.written() ? c.read_only_root.place : c.place;
    Finding& f = scope.add(&c, place, "the root file system is writable");
    f.remedy = remedy_read_only_root(scope, c);
  }
}

void check_seccomp(Scope& scope) {
  const Workload& w = scope.workload();
  for (const Container& c : w.containers) {
    const Field<std::string>& profile =
        c.seccomp.written() || !scope.kubernetes() ? c.seccomp : w.pod_seccomp;
    if (!profile.value || base::lower(*profile.value) != "unconfined") continue;
    if (&profile == &w.pod_seccomp && &c != &w.containers.front()) continue;
    Finding& f = scope.add(&c, profile.place,
                           "seccomp is Unconfined: all of the kernel's calls, "
                           "io_uring and user namespaces included");
    f.remedy = scope.kubernetes()
                   ? remedy_seccomp(scope, c, profile.place)
                   : remedy_remove(scope, c, {"seccomp", profile.place}, "--security-opt");
    f.remedy.breaks = "calls that the runtime's default profile refuses";
  }
}

void check_seccomp_unset(Scope& scope) {
  const Workload& w = scope.workload();
  for (const Container& c : w.containers) {
    if (c.seccomp.written() || w.pod_seccomp.written()) continue;
    Finding& f = scope.add(&c, c.place, "no seccomp profile: Kubernetes runs it Unconfined");
    f.remedy = remedy_seccomp(scope, c, {});
    f.remedy.breaks = "calls that the runtime's default profile refuses (NUMA placement, ptrace)";
  }
}

void check_apparmor(Scope& scope) {
  const Workload& w = scope.workload();
  auto report = [&](const Container* c, const Place& place) {
    Finding& f = scope.add(c, place,
                           "AppArmor is off: the runtime's default profile no longer "
                           "keeps it from mounts and from /proc and /sys");
    if (scope.kubernetes()) {
      if (place.node != kNoNode) {
        f.remedy = remedy_set_at(scope, place, "RuntimeDefault");
      }
    } else if (c != nullptr) {
      f.remedy = remedy_remove(scope, *c, {"apparmor", place}, "--security-opt");
    }
  };
  for (const Container& c : w.containers) {
    if (c.apparmor.value && base::lower(*c.apparmor.value) == "unconfined") {
      report(&c, c.apparmor.place);
    }
    if (c.selinux_type.value && *c.selinux_type.value == "disable") {
      scope.add(&c, c.selinux_type.place, "SELinux labels are switched off");
    }
    if (scope.kubernetes() && c.selinux_type.value && !c.selinux_type.value->empty() &&
        !base::starts_with(*c.selinux_type.value, "container_")) {
      scope.add(&c, c.selinux_type.place,
                "SELinux type " + *c.selinux_type.value + " is none of a container's");
    }
  }
  if (w.pod_apparmor.is("Unconfined")) report(nullptr, w.pod_apparmor.place);
  for (const auto& [key, value] : w.annotations) {
    if (!base::starts_with(key, "container.apparmor.security.beta.kubernetes.io/")) continue;
    if (value == "unconfined") report(nullptr, w.place);
  }
}

void check_proc_mount(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (!c.proc_mount.value || c.proc_mount.is("Default")) continue;
    Finding& f = scope.add(&c, c.proc_mount.place,
                           "procMount " + *c.proc_mount.value + ": /proc without masks");
    f.remedy = remedy_set_at(scope, c.proc_mount.place, "Default");
    f.remedy.breaks = "nested containers";
  }
}

void check_init_chown(Scope& scope) {
  const Workload& w = scope.workload();
  for (const Container& c : w.containers) {
    if (c.role != Role::kInit || !changes_owner(c)) continue;
    bool tight = drops_all(c) && c.cap_add.size() == 1 && bare(c.cap_add[0].name) == "CHOWN";
    if (tight) continue;
    Finding& f = scope.add(&c, c.place,
                           "an init container that changes owners needs CHOWN alone (DAC_OVERRIDE "
                           "and FOWNER for foreign trees), not the default 14; fsGroup with "
                           "fsGroupChangePolicy OnRootMismatch often removes the need");
    if (scope.kubernetes() && c.cap_add.empty()) {
      f.remedy.operations = {set_value(c.map, {"securityContext", "capabilities", "drop"},
                                       OrderedJson::array({"ALL"})),
                             set_value(c.map, {"securityContext", "capabilities", "add"},
                                       OrderedJson::array({"CHOWN"}))};
      f.remedy.breaks =
          "a chown -R through directories that root may not enter without "
          "DAC_OVERRIDE; Pod Security restricted refuses CHOWN";
    } else {
      f.remedy.why_not = "it adds capabilities of its own; say which of them it needs";
    }
  }
}

}  // namespace pare::audit
