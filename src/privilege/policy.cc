#include "privilege/policy.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/json.h"

namespace pare::privilege {

using base::get_optional;
using base::Json;
using base::put_optional;

namespace {

constexpr std::array<std::pair<Refusal, std::string_view>, 3> kRefusals = {{
    {Refusal::kUnreachable, "unreachable"},
    {Refusal::kRefused, "refused"},
    {Refusal::kDropped, "dropped"},
}};

Json list_of_ports(const std::vector<PortGrant>& ports) {
  Json list = Json::array();
  for (const PortGrant& p : ports) {
    list.push_back({{"port", p.port}, {"protocol", p.protocol}, {"role", p.role}});
    if (p.instead != 0) list.back()["instead"] = p.instead;
  }
  return list;
}

Json list_of_egress(const Policy& policy) {
  Json list = Json::array();
  if (policy.egress_any) list.push_back({{"name", "any"}, {"port", 0}});
  for (const EgressGrant& e : policy.egress) list.push_back({{"name", e.name}, {"port", e.port}});
  return list;
}

Json seccomp_json(const std::optional<SeccompProfile>& profile) {
  if (!profile) return nullptr;
  Json arguments = Json::array();
  for (const SeccompArgument& a : profile->arguments) {
    arguments.push_back(
        {{"syscall", a.syscall}, {"index", a.index}, {"mask", a.mask}, {"values", a.values}});
  }
  return {{"arch", profile->arch},     {"default", profile->default_action},
          {"enosys", profile->enosys}, {"syscalls", profile->syscalls},
          {"arguments", arguments},    {"serve", profile->serve}};
}

Policy read_policy(const Json& json) {
  Policy p;
  const Json& user = json.at("user");
  p.user = {user.at("uid"), user.at("gid"), user.value("groups", std::vector<uint32_t>{})};
  for (const std::string& name : json.at("capabilities").get<std::vector<std::string>>()) {
    if (auto number = capability_number(name)) p.capabilities.add(*number);
  }
  p.no_new_privileges = json.at("noNewPrivileges");
  p.rootfs_writable = json.at("rootfs") == "rw";
  for (const Json& w : json.at("writable")) {
    p.writable.push_back({w.at("path"), w.value("as", "tmpfs"), w.value("peakBytes", uint64_t{0}),
                          w.value("exec", false), w.value("copyUp", false)});
  }
  for (const Json& v : json.at("volumes")) {
    p.volumes.push_back({v.at("path"), v.at("mode") == "rw", v.value("owned", false)});
  }
  for (const Json& g : json.at("ports")) {
    p.ports.push_back({g.at("port"), g.value("protocol", "tcp"), g.value("role", "unknown"),
                       g.value("instead", uint16_t{0})});
  }
  for (const Json& e : json.at("egress")) {
    if (e.at("name") == "any") {
      p.egress_any = true;
    } else {
      p.egress.push_back({e.at("name"), e.value("port", uint16_t{0})});
    }
  }
  std::string refusal = json.value("refusal", "unreachable");
  for (const auto& [kind, name] : kRefusals) {
    if (name == refusal) p.refusal = kind;
  }
  p.seccomp_default = json.value("seccompDefault", false);
  if (const Json& s = json.at("seccomp"); !s.is_null()) {
    p.seccomp = SeccompProfile{s.at("arch"), s.at("default"), s.at("enosys"), s.at("syscalls"),
                               s.at("serve")};
    for (const Json& a : s.value("arguments", Json::array())) {
      p.seccomp->arguments.push_back({a.at("syscall"), a.at("index"), a.at("mask"),
                                      a.at("values").get<std::vector<uint64_t>>()});
    }
  }
  p.devices = json.value("devices", std::vector<std::string>{});
  p.host_namespaces = json.value("hostNamespaces", std::vector<std::string>{});
  p.pids_max = get_optional<uint64_t>(json, "pidsMax");
  p.memlock_bytes = get_optional<uint64_t>(json, "memlockBytes");
  p.shm_bytes = get_optional<uint64_t>(json, "shmBytes");
  p.sysctls = json.value("sysctls", std::map<std::string, std::string>{});
  p.environment = json.value("environment", std::map<std::string, std::string>{});
  p.arguments = get_optional<std::vector<std::string>>(json, "arguments");
  return p;
}

}  // namespace

uint64_t tmpfs_bytes(const Writable& writable) {
  constexpr uint64_t kMiB = uint64_t{1} << 20, kLeast = 16;
  if (writable.peak_bytes == 0) return 0;
  return std::max(kLeast, (2 * writable.peak_bytes + kMiB - 1) / kMiB) * kMiB;
}

std::string_view to_string(Refusal refusal) {
  for (const auto& [kind, name] : kRefusals) {
    if (kind == refusal) return name;
  }
  return "unreachable";
}

Json to_json(const Policy& policy) {
  Json writable = Json::array();
  for (const Writable& w : policy.writable) {
    writable.push_back({{"path", w.path},
                        {"as", w.as},
                        {"peakBytes", w.peak_bytes},
                        {"exec", w.exec},
                        {"copyUp", w.copy_up}});
  }
  Json volumes = Json::array();
  for (const VolumeAccess& v : policy.volumes) {
    volumes.push_back({{"path", v.path}, {"mode", v.writable ? "rw" : "ro"}});
    if (v.owned) volumes.back()["owned"] = true;
  }
  Json json = {
      {"user",
       {{"uid", policy.user.uid}, {"gid", policy.user.gid}, {"groups", policy.user.groups}}},
      {"capabilities", policy.capabilities.names()},
      {"noNewPrivileges", policy.no_new_privileges},
      {"rootfs", policy.rootfs_writable ? "rw" : "ro"},
      {"writable", writable},
      {"volumes", volumes},
      {"ports", list_of_ports(policy.ports)},
      {"egress", list_of_egress(policy)},
      {"refusal", to_string(policy.refusal)},
      {"seccompDefault", policy.seccomp_default},
      {"seccomp", seccomp_json(policy.seccomp)},
      {"devices", policy.devices},
      {"hostNamespaces", policy.host_namespaces},
      {"sysctls", policy.sysctls},
      {"environment", policy.environment},
  };
  put_optional(json, "pidsMax", policy.pids_max);
  put_optional(json, "memlockBytes", policy.memlock_bytes);
  put_optional(json, "shmBytes", policy.shm_bytes);
  put_optional(json, "arguments", policy.arguments);
  return json;
}

Result<Policy> policy_from_json(const Json& json) {
  static const base::NumberBounds kBounds = {{"uid", base::kIdBound},
                                             {"gid", base::kIdBound},
                                             {"groups", base::kIdBound},
                                             {"port", base::kPortBound},
                                             {"index", 6}};  // of a call's arguments
  PARE_CHECK_OK(base::check_numbers(json, kBounds, "policy"));
  return base::read_json("policy", [&] { return read_policy(json); });
}

}  // namespace pare::privilege
