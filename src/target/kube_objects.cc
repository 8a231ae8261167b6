// The documents of Kubernetes files: which of them run something, and what the others hold.
#include <algorithm>
#include <array>
#include <deque>

#include "base/text.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

constexpr int kMaxLists = 8;  // a List in a List

struct PodPath {
  std::string_view kind;
  std::string_view group;              // its apiVersion begins so: others have a Job too
  std::vector<std::string_view> path;  // to the Pod's template; empty: the object itself
};

const std::vector<PodPath>& pod_paths() {
  static const std::vector<PodPath> kPaths = {
      {"Pod", "v1", {}},
      {"Deployment", "apps/", {"spec", "template"}},
      {"StatefulSet", "apps/", {"spec", "template"}},
      {"DaemonSet", "apps/", {"spec", "template"}},
      {"ReplicaSet", "apps/", {"spec", "template"}},
      {"ReplicationController", "v1", {"spec", "template"}},
      {"Job", "batch/", {"spec", "template"}},
      {"CronJob", "batch/", {"spec", "jobTemplate", "spec", "template"}},
      {"PodTemplate", "v1", {"template"}},
  };
  return kPaths;
}

// What the controllers' own specs say: nothing about what a container may do.
constexpr std::array<KeyRule, 35> kSpecRules = {{
    {"template"},
    {"selector"},
    {"replicas"},
    {"strategy"},
    {"updateStrategy"},
    {"minReadySeconds"},
    {"revisionHistoryLimit"},
    {"paused"},
    {"progressDeadlineSeconds"},
    {"serviceName"},
    {"podManagementPolicy"},
    {"volumeClaimTemplates"},
    {"ordinals"},
    {"persistentVolumeClaimRetentionPolicy"},
    {"parallelism"},
    {"completions"},
    {"activeDeadlineSeconds"},
    {"backoffLimit"},
    {"backoffLimitPerIndex"},
    {"maxFailedIndexes"},
    {"manualSelector"},
    {"ttlSecondsAfterFinished"},
    {"completionMode"},
    {"suspend"},
    {"podFailurePolicy"},
    {"podReplacementPolicy"},
    {"successPolicy"},
    {"managedBy"},
    {"schedule"},
    {"timeZone"},
    {"startingDeadlineSeconds"},
    {"concurrencyPolicy"},
    {"jobTemplate"},
    {"successfulJobsHistoryLimit"},
    {"failedJobsHistoryLimit"},
}};

std::string text_at(const Tree& tree, std::initializer_list<std::string_view> path) {
  const Tree* found = tree.get(path);
  return found == nullptr ? "" : found->text_or();
}

class Documents {
 public:
  Documents(const std::vector<SourceFile>& files, const FileOptions& options)
      : files_(files), options_(options) {}

  void gather(const Tree& object, int depth) {
    if (!object.is_map()) return;
    std::string kind = text_at(object, {"kind"});
    const Tree* items = object.get("items");
    if (base::ends_with(kind, "List") && items != nullptr && items->is_seq() && depth < kMaxLists) {
      for (const Tree& item : items->seq) gather(item, depth + 1);
      return;
    }
    std::string name = text_at(object, {"metadata", "name"});
    if (kind == "ConfigMap") cluster_.config_maps[name] = &object;
    if (kind == "Secret") cluster_.secrets[name] = &object;
    if (kind == "NIMCache") cluster_.nim_caches[name] = &object;
    if (kind == "ServingRuntime" || kind == "ClusterServingRuntime") {
      cluster_.runtimes[name] = &object;
    }
    objects_.push_back(&object);
    kinds_.push_back(kind);
  }

  std::vector<Workload> read() {
    std::vector<Workload> out;
    for (size_t i = 0; i < objects_.size(); ++i) read_object(*objects_[i], kinds_[i], &out);
    return out;
  }

  // "Service, ConfigMap": for the message that nothing runs.
  std::string kinds() const {
    std::vector<std::string> distinct;
    for (const std::string& kind : kinds_) {
      std::string shown = kind.empty() ? "a document without kind" : kind;
      if (std::find(distinct.begin(), distinct.end(), shown) == distinct.end()) {
        distinct.push_back(shown);
      }
    }
    return distinct.empty() ? "no object" : base::join(distinct, ", ");
  }

 private:
  void read_object(const Tree& object, const std::string& kind, std::vector<Workload>* out) {
    Pod pod;
    pod.kind = kind;
    pod.name = text_at(object, {"metadata", "name"});
    if (pod.name.empty()) pod.name = text_at(object, {"metadata", "generateName"}) + "0";
    pod.name_space = text_at(object, {"metadata", "namespace"});
    pod.object = &object;
    if (kind == "NIMPipeline") return read_pipeline(pod, out);
    if (is_custom_workload(kind)) return read_custom(pod, out);
    const auto& paths = pod_paths();
    std::string version = text_at(object, {"apiVersion"});
    auto path = std::find_if(paths.begin(), paths.end(), [&](const PodPath& p) {
      return p.kind == kind && base::starts_with(version, p.group);
    });
    if (path == paths.end()) return;
    const Tree* holder = &object;
    for (std::string_view key : path->path) holder = holder == nullptr ? nullptr : holder->get(key);
    pod.spec = holder == nullptr ? nullptr : holder->get("spec");
    pod.metadata = holder == nullptr ? nullptr : holder->get("metadata");
    if (pod.spec == nullptr || !pod.spec->is_map()) {
      return refuse(pod, object, kind + " has no Pod spec", out);
    }
    for_templates(object, &pod);
    size_t first = out->size();
    read_pod(pod, cluster_, files_, options_, out);
    if (out->size() == first) return refuse(pod, *pod.spec, "the Pod has no containers", out);
    add_outer_keys(object, kind, first, out);
  }

  void for_templates(const Tree& object, Pod* pod) const {
    const Tree* templates = object.get({"spec", "volumeClaimTemplates"});
    if (templates == nullptr) return;
    for (const Tree& claim : templates->seq) {
      pod->claim_templates.push_back(text_at(claim, {"metadata", "name"}));
    }
  }

  // Unknown keys around the Pod's spec.
  void add_outer_keys(const Tree& object, const std::string& kind, size_t first,
                      std::vector<Workload>* out) const {
    Reader reader(files_, options_, true);
    Keys top(reader, &object, kind);
    for (std::string_view key : {"apiVersion", "kind", "metadata", "status", "template"}) {
      top.get(key);
    }
    const Tree* spec = top.get("spec");
    top.finish();
    if (kind != "Pod" && spec != nullptr) {
      Keys keys(reader, spec, kind + ".spec");
      keys.finish(kSpecRules);
    }
    for (size_t i = first; i < out->size(); ++i) {
      Workload& workload = (*out)[i];
      if (!workload.refused) workload.refused = reader.refused();
      for (const std::string& note : reader.notes()) workload.assumptions.push_back(note);
    }
  }

  // k8s-nim-operator: a NIMService for each entry of services that is enabled.
  void read_pipeline(const Pod& pipeline, std::vector<Workload>* out) {
    const Tree* services = pipeline.object->get({"spec", "services"});
    if (services == nullptr || !services->is_seq()) {
      return refuse(pipeline, *pipeline.object, "NIMPipeline has no services", out);
    }
    for (const Tree& service : services->seq) {
      if (text_at(service, {"enabled"}) == "false") continue;
      Pod pod = pipeline;
      pod.kind = "NIMService";
      pod.name = text_at(service, {"name"});
      pod.object = &service;
      read_custom(pod, out);
    }
  }

  void read_custom(Pod& pod, std::vector<Workload>* out) {
    Reader reader(files_, options_, true);
    made_.push_back(make_pod(*pod.object, pod.kind, pod.name, cluster_, reader));
    if (reader.refused()) {
      Workload workload = blank(pod, *pod.object);
      workload.refused = reader.refused();
      out->push_back(std::move(workload));
      return;
    }
    pod.spec = &made_.back().spec;
    pod.metadata = pod.object->get("metadata");
    pod.assumptions = made_.back().assumptions;
    for (const std::string& note : reader.notes()) pod.assumptions.push_back(note);
    read_pod(pod, cluster_, files_, options_, out);
  }

  Workload blank(const Pod& pod, const Tree& at) const {
    Workload workload;
    workload.platform = "kubernetes";
    workload.object = pod.kind + "/" + pod.name;
    workload.container = pod.name;
    workload.where = Reader(files_, options_, true).where(at);
    return workload;
  }

  void refuse(const Pod& pod, const Tree& at, const std::string& why,
              std::vector<Workload>* out) const {
    Workload workload = blank(pod, at);
    workload.refused = Error{ErrorKind::kUsage, workload.where + ": " + why, 0};
    out->push_back(std::move(workload));
  }

  const std::vector<SourceFile>& files_;
  const FileOptions& options_;
  Cluster cluster_;
  std::vector<const Tree*> objects_;
  std::vector<std::string> kinds_;
  std::deque<MadePod> made_;
};

}  // namespace

Result<std::vector<Workload>> read_kubernetes(const std::vector<SourceFile>& files,
                                              const std::vector<Tree>& documents,
                                              const FileOptions& options) {
  Documents all(files, options);
  for (const Tree& document : documents) all.gather(document, 0);
  std::vector<Workload> workloads = all.read();
  if (!workloads.empty()) return workloads;
  return fail(ErrorKind::kUsage,
              "nothing in " + (files[0].path == "-" ? "<stdin>" : files[0].path) +
                  " runs a container: it has " + all.kinds() +
                  "; pare reads Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob, "
                  "NIMService, NIMPipeline and InferenceService");
}

}  // namespace pare::target::kube
