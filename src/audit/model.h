// What every kind of file asks for, in one form: a Workload with its Containers. Each value keeps
// the place where it was written; rules never look at a file kind's own syntax.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/yaml.h"
#include "target/servers.h"

namespace pare::audit {

enum class Platform : uint8_t { kKubernetes, kCompose, kDockerRun, kDockerfile, kImage };
std::string_view to_string(Platform platform);

struct Place {
  Span span;
  NodeId node = kNoNode;  // of the value, in YAML documents
};

template <typename T>
struct Field {
  std::optional<T> value;
  Place place;           // where it was written; empty when it was not
  bool unknown = false;  // a template or a variable stands there
  bool written() const { return value.has_value() || unknown; }
  bool is(const T& wanted) const { return value && *value == wanted; }
};

struct Named {
  std::string name;
  Place place;
};

struct EnvEntry {
  std::string name;
  std::optional<std::string> value;  // nullopt: from elsewhere
  bool from_secret = false;          // secretKeyRef, compose secret
  bool unknown = false;              // "${VAR}" or passed through from the caller's environment
  Place place;
};

struct PortEntry {
  uint16_t port = 0;       // in the container
  uint16_t host_port = 0;  // 0: none or chosen
  std::string host_address;
  std::string protocol = "tcp";
  bool published = false;  // reachable from outside the host (compose ports, -p, hostPort)
  bool unknown = false;
  std::string name;
  Place place;
  NodeId item = kNoNode;  // its entry in the list
};

struct MountEntry {
  std::string source;  // volume name or host path
  std::string path;
  bool host = false;  // source is a path of the host
  bool read_only = false;
  bool unknown = false;
  Place place;
};

enum class Role : uint8_t { kMain, kInit, kSidecar, kEphemeral };

struct Container {
  std::string name;
  Role role = Role::kMain;
  Place place;           // what a finding about something absent points at
  NodeId map = kNoNode;  // the container's or service's map, for edits
  Field<std::string> image;
  std::vector<std::string> command;  // entry point and arguments, as words
  Place command_place;
  bool shell_text = false;  // command holds a script
  std::vector<EnvEntry> env;
  bool env_from = false;  // envFrom or env_file: more variables than are seen
  std::vector<PortEntry> ports;
  std::vector<MountEntry> mounts;
  Field<bool> privileged, escalation, non_root, read_only_root;
  Field<std::string> user;  // "1000", "1000:1000", "name"
  std::vector<Named> cap_add, cap_drop;
  Field<std::string> seccomp, apparmor, proc_mount, selinux_type;
  Field<bool> no_new_privileges;
  std::vector<Named> devices, tmpfs;
  std::vector<Named> build_steps;  // Dockerfile: "RUN ...", "ADD ..."
  bool readiness = false, liveness = false;
  bool memory_limit = false, pids_limit = false;
  bool gpu = false;
  const target::Server* server = nullptr;

  const EnvEntry* find_env(std::string_view wanted) const;
  std::string command_line() const;
};

struct VolumeEntry {
  std::string name;
  std::string type;  // "hostPath", "emptyDir", "persistentVolumeClaim", "bind", "volume"...
  std::string host_path;
  Place place;
  NodeId map = kNoNode;
};

struct Workload {
  Platform platform = Platform::kKubernetes;
  size_t file = 0;      // index into the audited files
  size_t document = 0;  // in its file
  std::string kind, name, name_space;
  Place place;                                     // its name, or its first line
  std::map<std::string, std::string> labels;       // of its Pods
  std::map<std::string, std::string> annotations;  // of the object and its Pods
  std::vector<Container> containers;
  std::vector<VolumeEntry> volumes;
  Field<bool> host_network, host_pid, host_ipc, host_users, automount_token;
  Field<std::string> host_other;  // compose/docker: uts or cgroup namespace of the host
  Field<bool> pod_non_root;
  Field<std::string> pod_user, pod_seccomp, pod_apparmor;
  Field<int64_t> fs_group;
  std::vector<Named> groups;  // supplementary, besides fs_group
  std::vector<Named> sysctls;
  NodeId pod_spec = kNoNode;      // the map with `containers`
  NodeId pod_metadata = kNoNode;  // the template's metadata map, if written
  bool custom = false;            // a pod template inside a custom resource
  bool managed = false;           // an operator writes the Pod (NIMService): few fields are ours
  bool batch = false;             // runs to an end: no probes, no endpoint
  std::string service_type;       // managed: how its Service is exposed
  Place service_place;
  std::multimap<size_t, Span> repeats;  // docker run: by an option's begin, the same option before
};

// A Service or NetworkPolicy: context for the rules of other objects.
struct ServiceObject {
  size_t file = 0, document = 0;
  std::string name, name_space, type;
  std::map<std::string, std::string> selector;
  std::vector<PortEntry> ports;  // port: target port; host_port: the Service's own
  Place place, type_place;
};
struct PolicyObject {
  size_t file = 0, document = 0;
  std::string name, name_space;
  std::map<std::string, std::string> pod_selector;
  bool selects_all = false, expressions = false;
  bool limits_ingress = false, limits_egress = false;
  Place open_egress;  // an egress rule without `to`
  bool egress_open = false;
  Place place;
};

// One document (or file, or command line) that was looked at.
struct DocumentNote {
  size_t file = 0, document = 0;
  Place place;
  std::string kind, name;
  bool judged = false;
  std::string why;  // when not judged
};

bool selects(const std::map<std::string, std::string>& selector,
             const std::map<std::string, std::string>& labels);

}  // namespace pare::audit
