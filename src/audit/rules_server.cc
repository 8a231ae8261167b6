// Rules about the server itself: telemetry, keys, versions, admin APIs, images, limits.
#include <algorithm>
#include <array>
#include <set>

#include "audit/remedies.h"
#include "audit/rule_functions.h"
#include "base/text.h"
#include "target/target.h"

namespace pare::audit {
namespace {

bool off_value(std::string_view text) {
  std::string value = base::lower(text);
  return value.empty() || value == "0" || value == "false" || value == "no" || value == "off";
}

// The value of a flag on the command line; nullopt when it is not there.
std::optional<std::string> flag_value(const Container& c, std::string_view flag) {
  for (size_t i = 0; i < c.command.size(); ++i) {
    std::string_view word = c.command[i];
    if (word == flag) {
      bool next = i + 1 < c.command.size() && !base::starts_with(c.command[i + 1], "-");
      return next ? c.command[i + 1] : std::string();
    }
    if (word.substr(0, flag.size()) == flag && word.substr(flag.size(), 1) == "=") {
      return std::string(word.substr(flag.size() + 1));
    }
  }
  if (!c.shell_text) return std::nullopt;
  std::string line = c.command_line();
  size_t at = line.find(std::string(flag));
  if (at == std::string::npos) return std::nullopt;
  std::vector<std::string> words = shell_words(std::string_view(line).substr(at + flag.size()));
  std::string rest = words.empty() ? "" : words[0];
  return rest.substr(0, 1) == "=" ? rest.substr(1) : rest;
}

bool serving(const Container& c) {
  return c.role == Role::kMain || c.role == Role::kSidecar;
}

bool known_telemetry(std::string_view name) {
  for (const target::Server& server : target::servers()) {
    for (const target::Telemetry& row : server.telemetry) {
      if (row.variable == name) return true;
    }
  }
  return name == "DO_NOT_TRACK" || name == "HF_HUB_OFFLINE";
}
}  // namespace

void check_telemetry(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.server == nullptr || !serving(c)) continue;
    for (const target::Telemetry& row : c.server->telemetry) {
      const EnvEntry* entry = c.find_env(row.variable);
      if (row.variable.empty() ||
          (entry != nullptr && (entry->unknown || entry->value == row.off))) {
        continue;
      }
      if (entry == nullptr && c.env_from) continue;  // may be set where we do not see it
      std::string message = row.sender + " telemetry";
      if (!row.host.empty()) message += " to " + row.host;
      message += entry != nullptr ? " is switched on by " + row.variable + "=" + *entry->value
                 : row.off_by_default
                     ? " is off by default, by its own documentation; say so with " + row.variable +
                           "=" + row.off
                     : " is on: " + row.variable + "=" + row.off + " switches it off";
      if (!row.when_blocked.empty()) message += "; when blocked: " + row.when_blocked;
      if (!row.verified) message += " (unverified: pare telemetry shows what is sent)";
      Finding& f = scope.add(&c, entry != nullptr ? entry->place : c.place, message);
      if (entry == nullptr && row.off_by_default) f.severity = Severity::kInfo;
      f.remedy = entry != nullptr ? remedy_set_at(scope, entry->place, row.off)
                                  : remedy_env(scope, c, row.variable, row.off);
    }
  }
}

void check_telemetry_unknown(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    for (const EnvEntry& entry : c.env) {
      bool named = false;
      for (std::string_view word : {"TELEMETRY", "USAGE_STATS", "OPTOUT", "OPT_OUT"}) {
        named |= entry.name.find(word) != std::string::npos;
      }
      if (!named || known_telemetry(entry.name)) continue;
      std::string message = entry.name + " is known to no server: it switches nothing off";
      if (c.server != nullptr && !c.server->telemetry.empty()) {
        message += "; " + c.server->title + "'s is " + c.server->telemetry.front().variable + "=" +
                   c.server->telemetry.front().off;
      }
      Finding& f = scope.add(&c, entry.place, message);
      f.remedy =
          no_remedy("harmless as it stands; the variable that works is another finding's fix");
    }
  }
}

void check_plain_keys(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    for (const EnvEntry& entry : c.env) {
      if (!entry.value || entry.value->empty() || entry.unknown) continue;
      if (!target::looks_secret(entry.name) || has_variable(*entry.value)) continue;
      Finding& f = scope.add(&c, entry.place,
                             entry.name +
                                 " stands here in plain text: whoever reads the file, the "
                                 "object or the image has it");
      f.remedy = no_remedy(scope.kubernetes()
                               ? "make a Secret of it and refer to it with secretKeyRef"
                               : "pass it through from the environment or as a secret file");
    }
  }
}

void check_serving_keys(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.platform == Platform::kDockerfile || w.platform == Platform::kImage) return;
  for (const Container& c : w.containers) {
    if (c.server == nullptr || !serving(c) || !c.server->serves_offline) continue;
    for (const EnvEntry& entry : c.env) {
      if (std::find(c.server->keys.begin(), c.server->keys.end(), entry.name) ==
          c.server->keys.end()) {
        continue;
      }
      if (entry.value == "") continue;
      Finding& f =
          scope.add(&c, entry.place,
                    entry.name + " is still there while it serves: only the pull needs it (" +
                        c.server->source + ")");
      f.remedy = no_remedy(
          "taking it away before the model is cached breaks the start: pull in a "
          "phase of its own first");
    }
  }
}

void check_image_tag(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (!c.image.value || c.image.value->empty() || c.image.unknown) continue;
    ImageParts parts = split_image(*c.image.value);
    if (!parts.digest.empty() || (!parts.tag.empty() && parts.tag != "latest")) continue;
    if (scope.workload().platform == Platform::kDockerfile && parts.name == "scratch") continue;
    Finding& f =
        scope.add(&c, c.image.place,
                  "image " + *c.image.value + " has " +
                      (parts.tag.empty() ? "no tag, which means latest" : "the tag latest") +
                      ": what runs changes without a change here");
    f.remedy = no_remedy("which version you run is not in the file");
  }
}

void check_image_digest(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (!c.image.value || c.image.value->empty() || c.image.unknown) continue;
    ImageParts parts = split_image(*c.image.value);
    if (!parts.digest.empty() || parts.name == "scratch") continue;
    Finding& f =
        scope.add(&c, c.image.place, "image " + *c.image.value + " is not pinned by digest");
    f.remedy = no_remedy("the digest is the registry's to say");
  }
}

void check_chmod_777(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    std::vector<std::pair<std::string, Place>> texts = {{c.command_line(), c.command_place}};
    for (const Named& step : c.build_steps) texts.emplace_back(step.name, step.place);
    for (const auto& [text, place] : texts) {
      bool found = false;
      for (std::string_view form : {"chmod 777", "chmod -R 777", "chmod 0777", "chmod -R 0777",
                                    "chmod a+rwx", "chmod -R a+rwx", "--chmod=777"}) {
        found |= text.find(form) != std::string::npos;
      }
      if (!found) continue;
      Finding& f = scope.add(&c, place,
                             "chmod 777: every process that reaches the directory can "
                             "replace the model or the program in it");
      f.remedy = no_remedy("give the directory to the server's uid, or use fsGroup");
    }
  }
}

void check_entry_chown(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.role == Role::kInit || c.command_line().find("chown") == std::string::npos) continue;
    Finding& f = scope.add(&c, c.command_place,
                           "the entry point changes owners, so it starts as root with CHOWN and "
                           "keeps both while it serves");
    f.remedy = no_remedy("settle ownership once: fsGroup, an init step, or pare prepare");
  }
}

void check_admin_api(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.server == nullptr || !serving(c)) continue;
    for (const target::RiskySetting& row : c.server->risky) {
      if (row.kind != "admin") continue;
      auto value = flag_value(c, row.name);
      if (!value || (!row.value.empty() && *value != row.value)) continue;
      bool restricted = flag_value(c, "--http-restricted-api").has_value();
      if (restricted && c.server->family == "triton") continue;
      Finding& f = scope.add(&c, c.command_place,
                             row.name + (value->empty() ? "" : "=" + *value) + ": " + row.what);
      f.severity = Severity::kHigh;
      f.remedy = no_remedy(
          "only you know who manages models: restrict the API "
          "(--http-restricted-api) or load at start-up");
    }
    std::set<std::string> open;
    for (const target::AdminPath& row : c.server->admin_paths) {
      if (!row.open_by_default) continue;
      std::string flag = row.closed_by.substr(0, row.closed_by.find('='));
      if (!flag.empty() && flag_value(c, flag)) continue;
      open.insert(row.path);
    }
    if (open.empty()) continue;
    std::vector<std::string> paths(open.begin(), open.end());
    const target::AdminPath& first = c.server->admin_paths.front();
    std::string close = first.closed_by.empty()
                            ? "only a proxy that allows the inference paths can "
                              "close them"
                            : "close them with " + first.closed_by;
    Finding& f = scope.add(&c, c.place,
                           c.server->title +
                               " takes administration on its inference port without a "
                               "login (" +
                               base::join(paths, "; ") + "): " + close);
    f.remedy = no_remedy("a key of your own is needed, or a proxy in front");
  }
}

void check_dev_mode(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.server != nullptr) {
      for (const target::RiskySetting& row : c.server->risky) {
        if (row.kind == "admin") continue;
        bool flag = base::starts_with(row.name, "-");
        const EnvEntry* entry = flag ? nullptr : c.find_env(row.name);
        auto value = flag               ? flag_value(c, row.name)
                     : entry != nullptr ? entry->value
                                        : std::nullopt;
        if (!value || (!flag && off_value(*value))) continue;
        Place place = flag ? c.command_place : entry->place;
        Finding& f = scope.add(&c, place, row.name + ": " + row.what);
        if (row.kind == "code") f.severity = Severity::kMedium;
        f.remedy = flag || scope.document() == nullptr
                       ? no_remedy("the model may need it; drop the flag where it does not")
                       : remedy_set_at(scope, place, "0");
        if (f.fixable()) f.remedy.breaks = "clients of the development endpoints";
      }
    }
    std::string line = c.command_line();
    if (line.find("jupyter") != std::string::npos &&
        (line.find("token=''") != std::string::npos || line.find("token=") + 6 == line.size() ||
         line.find("--allow-root") != std::string::npos)) {
      Finding& f = scope.add(&c, c.command_place,
                             "a notebook server as root or without a token: "
                             "whoever reaches it runs code");
      f.severity = Severity::kHigh;
      f.remedy = no_remedy("give it a token and a user");
    }
  }
}

void check_ld_preload(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    const EnvEntry* entry = c.find_env("LD_PRELOAD");
    if (entry == nullptr || entry->value == "") continue;
    bool gpu = c.gpu || c.server != nullptr || scope.workload().platform == Platform::kImage ||
               scope.workload().platform == Platform::kDockerfile;
    Finding& f =
        scope.add(&c, entry->place,
                  "LD_PRELOAD is set: before Container Toolkit 1.17.8 (GPU Operator 25.3.1) "
                  "it runs in a privileged hook on the host (CVE-2025-23266)");
    if (!gpu) f.severity = Severity::kLow;
    f.remedy = no_remedy("why it is set is not in the file");
  }
}

void check_vulnerable(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.server == nullptr || !c.image.value) continue;
    std::string tag = split_image(*c.image.value).tag;
    for (const target::Vulnerability& row : c.server->vulnerabilities) {
      auto below = target::compare_versions(tag, row.below);
      auto from =
          row.from.empty() ? std::optional<int>(0) : target::compare_versions(tag, row.from);
      if (!below || *below >= 0 || !from || *from < 0) continue;
      Finding& f = scope.add(&c, c.image.place,
                             c.server->title + " " + tag + " has " + row.id + " (" + row.what +
                                 "), fixed in " + row.below + " (" + row.source + ")");
      f.remedy = no_remedy("choose a version from " + row.below + " on");
    }
  }
}

void check_service_account(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.managed || w.automount_token.is(false) || w.automount_token.unknown) return;
  View spec = scope.document() == nullptr ? View() : View(scope.document()->yaml, w.pod_spec);
  std::string account =
      spec.get("serviceAccountName").text_or(spec.get("serviceAccount").text_or("default"));
  Place place = w.automount_token.written() ? w.automount_token.place : w.place;
  Finding& f = scope.add(nullptr, place,
                         "a token of service account '" + account +
                             "' is mounted: whoever takes the server speaks to the API server");
  if (account != "default") {
    f.remedy = no_remedy("a service account is named, so the container may use it");
  } else {
    f.remedy.operations = {set_value(w.pod_spec, {"automountServiceAccountToken"}, false)};
    f.remedy.breaks = "programs that call the API server";
  }
}

void check_probes(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.batch || w.managed || w.platform == Platform::kDockerfile ||
      w.platform == Platform::kDockerRun || w.platform == Platform::kImage) {
    return;
  }
  for (const Container& c : w.containers) {
    if (c.role != Role::kMain || c.readiness) continue;
    Finding& f = scope.add(&c, c.place,
                           scope.kubernetes() ? "no readiness probe: traffic reaches it before the "
                                                "model is loaded"
                                              : "no health check");
    f.remedy = no_remedy(
        "which path says ready depends on the server's version: pare prove finds "
        "one that works");
  }
}

void check_memory_limit(Scope& scope) {
  const Workload& w = scope.workload();
  if (w.managed) return;
  for (const Container& c : w.containers) {
    if (c.memory_limit || c.role == Role::kEphemeral) continue;
    Finding& f = scope.add(&c, c.place, "no memory limit: it can take the host's memory");
    f.remedy = no_remedy(
        "how much the model needs is measured, not guessed: pare prove shows the "
        "peak");
  }
}

void check_pids_limit(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    if (c.pids_limit) continue;
    Finding& f =
        scope.add(&c, c.place, "no pids limit: a fork bomb takes the host's process table");
    f.remedy = no_remedy("too low a number stalls a NIM's start-up: pare prove shows the peak");
  }
}

void check_shared_cache(Scope& scope) {
  const Workload& w = scope.workload();
  for (const VolumeEntry& volume : w.volumes) {
    if (volume.type != "persistentVolumeClaim" && volume.type != "hostPath") continue;
    std::set<std::string> users;
    for (const Container& c : w.containers) {
      for (const MountEntry& mount : c.mounts) {
        if (mount.source != volume.name || mount.read_only) continue;
        std::string user = effective_user(w, c);
        users.insert(user.empty() ? "the image's user" : user);
      }
    }
    if (users.size() < 2) continue;
    Finding& f = scope.add(nullptr, volume.place,
                           "volume " + volume.name + " is written by several users (" +
                               base::join({users.begin(), users.end()}, ", ") +
                               "): one cannot replace what another made");
    f.remedy = no_remedy("give all of them one uid, or fsGroup");
  }
}

void check_not_judged(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    auto say = [&](const char* what, const Place& place) {
      Finding& f =
          scope.add(&c, place, std::string(what) + " is a template or variable: not judged");
      f.remedy = no_remedy("a value is filled in later");
    };
    if (c.image.unknown) say("the image", c.image.place);
    if (c.user.unknown) say("the user", c.user.place);
    if (c.privileged.unknown) say("privileged", c.privileged.place);
    if (c.read_only_root.unknown) say("the read-only root", c.read_only_root.place);
    if (c.escalation.unknown) say("allowPrivilegeEscalation", c.escalation.place);
    if (c.seccomp.unknown) say("the seccomp profile", c.seccomp.place);
    for (const PortEntry& port : c.ports) {
      if (port.unknown) say("a port", port.place);
    }
  }
}

void check_build_steps(Scope& scope) {
  for (const Container& c : scope.workload().containers) {
    for (const Named& step : c.build_steps) {
      const std::string& text = step.name;
      bool remote = base::starts_with(text, "ADD http") || text.find("| sh") != text.npos ||
                    text.find("| bash") != text.npos || text.find("|sh") != text.npos ||
                    text.find("|bash") != text.npos;
      if (!remote) continue;
      Finding& f = scope.add(&c, step.place,
                             "the build runs or adds what a web server sends, "
                             "unchecked");
      f.remedy = no_remedy("pin it by digest (ADD --checksum=) or check its signature");
    }
  }
}

}  // namespace pare::audit
