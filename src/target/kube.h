// Kubernetes objects -> workloads: what the parts of the reader share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "target/reader.h"

namespace pare::target::kube {

// Objects that workloads refer to, by name. Of two with one name in different namespaces the last.
struct Cluster {
  std::map<std::string, const Tree*> config_maps, secrets, nim_caches, runtimes;
};

// A Pod's spec and where it comes from.
struct Pod {
  std::string kind, name, name_space;
  const Tree* object = nullptr;
  const Tree* spec = nullptr;
  const Tree* metadata = nullptr;            // the template's
  std::vector<std::string> claim_templates;  // StatefulSet: names of volumeClaimTemplates
  std::vector<std::string> assumptions;      // what an operator's Pod is taken to be
};

// Everything about one container, while it is read.
struct Job {
  Reader& reader;
  const Cluster& cluster;
  const Pod& pod;
  const Tree& container;
  Workload& out;
};

// "1500m", "2", "1.5Gi", "1e3": the number of units; nullopt when it is none.
std::optional<double> parse_quantity(std::string_view text);

// Env, envFrom; then $(NAME) in command and args.
void read_environment(Job& job, Keys& container);
std::string expand(const std::string& text, const std::vector<EnvVar>& env);
// volumeMounts with the Pod's volumes.
void read_volumes(Job& job, Keys& container, const Tree* volumes, std::optional<uint32_t> fs_group);
// The container's securityContext over the Pod's. The Pod's fsGroup, where there is one.
std::optional<uint32_t> read_security(Job& job, Keys& container, const Tree* pod_context);
void read_resources(Job& job, const Tree* resources);

// All containers of a Pod.
void read_pod(const Pod& pod, const Cluster& cluster, const std::vector<SourceFile>& files,
              const FileOptions& options, std::vector<Workload>* out);

// The Pod that an operator makes of its resource, as far as that is known.
struct MadePod {
  Tree spec;
  std::vector<std::string> assumptions;
};
bool is_custom_workload(std::string_view kind);
// Refusals and notes go to `reader`.
MadePod make_pod(const Tree& object, const std::string& kind, const std::string& name,
                 const Cluster& cluster, Reader& reader);

// Entry of read_target_files for files of Kubernetes objects.
Result<std::vector<Workload>> read_kubernetes(const std::vector<SourceFile>& files,
                                              const std::vector<Tree>& documents,
                                              const FileOptions& options);

}  // namespace pare::target::kube
