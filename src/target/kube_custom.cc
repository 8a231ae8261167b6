// NIMService and InferenceService: the Pods that their operators make, as far as that is public.
// k8s-nim-operator api/apps/v1alpha1/nimservice_types.go (GetStandardEnv, GetVolumeMounts);
// kserve pkg/controller/v1beta1/inferenceservice (predictor), pkg/webhook/admission/pod
// (storage_initializer_injector.go).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

using Means = KeyRule::Means;

// Trees that stand where `at` does.
Tree like(const Tree& at, Tree::Kind kind) {
  Tree tree;
  tree.kind = kind;
  tree.file = at.file;
  tree.line = at.line;
  return tree;
}

Tree word(const Tree& at, std::string text, yaml::ScalarType type = yaml::ScalarType::kString) {
  Tree tree = like(at, Tree::Kind::kScalar);
  tree.text = std::move(text);
  tree.type = type;
  return tree;
}

Tree number(const Tree& at, int64_t value) {
  return word(at, std::to_string(value), yaml::ScalarType::kInt);
}

void set(Tree& map, std::string key, Tree value) {
  uint32_t line = value.line;
  if (Tree::Entry* known = map.find(key)) {
    known->value = std::move(value);
  } else {
    map.map.push_back({std::move(key), line, std::move(value)});
  }
}

Tree map_of(const Tree& at, std::initializer_list<std::pair<const char*, Tree>> entries) {
  Tree map = like(at, Tree::Kind::kMap);
  for (const auto& [key, value] : entries) set(map, key, value);
  return map;
}

Tree list_of(const Tree& at, std::vector<Tree> items) {
  Tree list = like(at, Tree::Kind::kSeq);
  list.seq = std::move(items);
  return list;
}

void copy_if(const Tree* value, const char* key, Tree& map) {
  if (value != nullptr) set(map, key, *value);
}

// `own` after `standard`; of one name the own.
Tree merged_env(const Tree& at, std::vector<Tree> standard, const Tree* own) {
  Tree list = list_of(at, std::move(standard));
  if (own == nullptr || !own->is_seq()) return list;
  for (const Tree& variable : own->seq) {
    const Tree* name = variable.get("name");
    if (name == nullptr) continue;
    auto same = std::find_if(list.seq.begin(), list.seq.end(), [&](const Tree& known) {
      const Tree* other = known.get("name");
      return other != nullptr && other->text_or() == name->text_or();
    });
    if (same == list.seq.end()) {
      list.seq.push_back(variable);
    } else {
      *same = variable;
    }
  }
  return list;
}

Tree variable(const Tree& at, const std::string& name, const std::string& value) {
  return map_of(at, {{"name", word(at, name)}, {"value", word(at, value)}});
}

// ---- NIMService

constexpr std::array<KeyRule, 21> kNimRules = {{
    {"labels"},
    {"annotations"},
    {"nodeSelector"},
    {"tolerations"},
    {"podAffinity"},
    {"affinity"},
    {"scale"},
    {"metrics"},
    {"replicas"},
    {"livenessProbe"},
    {"readinessProbe"},
    {"startupProbe"},
    {"schedulerName"},
    {"type"},
    {"inferencePlatform"},
    {"router"},
    {"runtimeClassName", Means::kNoted, "trials run under the engine's own runtime"},
    {"proxy", Means::kNoted, "its variables and its certificate init container are in no trial"},
    {"draResources", Means::kNoted, "devices of a resource claim are in no trial"},
    {"multiNode", Means::kRefused, "a server on several nodes is not one container"},
    {"initContainers", Means::kNoted, "they do not run in trials"},
}};

std::string claim_of_cache(const std::string& cache, const Cluster& cluster) {
  auto found = cluster.nim_caches.find(cache);
  if (found != cluster.nim_caches.end()) {
    const Tree* name = found->second->get({"spec", "storage", "pvc", "name"});
    if (name != nullptr && !name->text_or().empty()) return name->text_or();
  }
  return cache + "-pvc";
}

// The volume model-store, and whether it is read-only.
Tree nim_store(const Tree& spec, const std::string& name, const Cluster& cluster, Reader& reader,
               std::string* sub_path) {
  const Tree* storage = spec.get("storage");
  Tree volume = map_of(spec, {{"name", word(spec, "model-store")}});
  Keys keys(reader, storage, "storage");
  bool read_only = keys.boolean("readOnly").value_or(false);
  const Tree* cache = keys.get("nimCache");
  const Tree* pvc = keys.get("pvc");
  const Tree* host = keys.get("hostPath");
  const Tree* empty = keys.get("emptyDir");
  keys.get("sharedMemorySizeLimit");
  keys.finish();
  std::string claim;
  if (cache != nullptr && cache->get("name") != nullptr) {
    claim = claim_of_cache(cache->get("name")->text_or(), cluster);
  } else if (pvc != nullptr) {
    const Tree* own = pvc->get("name");
    claim = own == nullptr || own->text_or().empty() ? name + "-pvc" : own->text_or();
    const Tree* sub = pvc->get("subPath");
    *sub_path = sub == nullptr ? "" : sub->text_or();
  }
  if (!claim.empty()) {
    Tree source = map_of(*storage, {{"claimName", word(*storage, claim)}});
    if (read_only) set(source, "readOnly", word(*storage, "true", yaml::ScalarType::kBool));
    set(volume, "persistentVolumeClaim", source);
  } else if (host != nullptr && host->is_scalar()) {
    set(volume, "hostPath", map_of(*host, {{"path", word(*host, host->text)}}));
  } else {
    set(volume, "emptyDir", map_of(empty == nullptr ? spec : *empty, {}));
  }
  return volume;
}

Tree nim_env(const Tree& spec, int64_t port) {
  std::vector<Tree> standard = {variable(spec, "NIM_CACHE_PATH", "/model-store")};
  const Tree* secret = spec.get("authSecret");
  if (secret != nullptr) {
    Tree ref = map_of(*secret, {{"name", *secret}, {"key", word(*secret, "NGC_API_KEY")}});
    standard.push_back(map_of(*secret, {{"name", word(*secret, "NGC_API_KEY")},
                                        {"valueFrom", map_of(*secret, {{"secretKeyRef", ref}})}}));
  }
  standard.push_back(variable(spec, "OUTLINES_CACHE_DIR", "/tmp/outlines"));
  standard.push_back(variable(spec, "NIM_SERVER_PORT", std::to_string(port)));
  standard.push_back(variable(spec, "NIM_JSONL_LOGGING", "1"));
  standard.push_back(variable(spec, "NIM_LOG_LEVEL", "INFO"));
  return merged_env(spec, std::move(standard), spec.get("env"));
}

Tree nim_image(Keys& keys, const Tree& spec, Reader& reader) {
  Keys image(reader, keys.get("image"), "image");
  std::string repository = image.text("repository").value_or("");
  std::string tag = image.text("tag").value_or("");
  static constexpr std::array<KeyRule, 2> kRules = {{{"pullPolicy"}, {"pullSecrets"}}};
  image.finish(kRules);
  if (repository.empty()) reader.refuse(spec, "a NIMService without image.repository");
  return word(spec, tag.empty() ? repository : repository + ":" + tag);
}

// expose.service: the ports.
std::vector<Tree> nim_ports(Keys& keys, const Tree& spec, Reader& reader, int64_t* inference) {
  const Tree* expose = keys.get("expose");
  const Tree* service = expose == nullptr ? nullptr : expose->get("service");
  std::vector<Tree> ports;
  *inference = 8000;
  for (const char* key : {"port", "grpcPort", "metricsPort"}) {
    const Tree* tree = service == nullptr ? nullptr : service->get(key);
    auto port = tree == nullptr ? std::nullopt : reader.integer(*tree, key);
    if (port && std::string_view(key) == "port") *inference = *port;
    if (port && std::string_view(key) != "port") {
      ports.push_back(map_of(spec, {{"containerPort", number(spec, *port)}}));
    }
  }
  ports.insert(ports.begin(), map_of(spec, {{"containerPort", number(spec, *inference)}}));
  return ports;
}

void nim_service(const Tree& spec, const std::string& name, const Cluster& cluster, Reader& reader,
                 MadePod* made) {
  Keys keys(reader, &spec, "NIMService.spec");
  int64_t port = 0;
  Tree container =
      map_of(spec, {{"name", word(spec, name + "-ctr")}, {"image", nim_image(keys, spec, reader)}});
  set(container, "ports", list_of(spec, nim_ports(keys, spec, reader, &port)));
  for (const char* key : {"command", "args", "resources"}) copy_if(keys.get(key), key, container);
  keys.get("env");
  keys.get("authSecret");
  keys.get("storage");
  set(container, "env", nim_env(spec, port));
  std::string sub_path;
  Tree store = nim_store(spec, name, cluster, reader, &sub_path);
  Tree mount = map_of(
      spec, {{"name", word(spec, "model-store")}, {"mountPath", word(spec, "/model-store")}});
  if (!sub_path.empty()) set(mount, "subPath", word(spec, sub_path));
  Tree shm = map_of(spec, {{"name", word(spec, "dshm")}, {"mountPath", word(spec, "/dev/shm")}});
  set(container, "volumeMounts", list_of(spec, {mount, shm}));
  Tree memory = map_of(spec, {{"medium", word(spec, "Memory")}});
  copy_if(spec.get({"storage", "sharedMemorySizeLimit"}), "sizeLimit", memory);
  Tree memory_volume = map_of(spec, {{"name", word(spec, "dshm")}, {"emptyDir", memory}});
  int64_t uid = keys.integer("userID").value_or(1000);
  int64_t gid = keys.integer("groupID").value_or(2000);
  Tree context = map_of(spec, {{"runAsUser", number(spec, uid)},
                               {"runAsGroup", number(spec, gid)},
                               {"fsGroup", number(spec, gid)}});
  keys.finish(kNimRules);
  made->spec = map_of(spec, {{"securityContext", context},
                             {"containers", list_of(spec, {container})},
                             {"volumes", list_of(spec, {store, memory_volume})}});
  made->assumptions.push_back(fmt::format(
      "{}: the Pod is the one that k8s-nim-operator makes of a NIMService: uid {}, gid and fsGroup "
      "{}, model-store at /model-store, a memory /dev/shm, its standard variables",
      reader.where(spec), uid, gid));
}

// ---- InferenceService

constexpr std::array<std::string_view, 19> kPredictorOwn = {
    "minReplicas", "maxReplicas",          "scaleTarget", "scaleMetric",          "scaleMetricType",
    "autoScaling", "containerConcurrency", "timeout",     "canaryTrafficPercent", "logger",
    "batcher",     "deploymentStrategy",   "labels",      "annotations",          "workerSpec",
    "model",       "imagePullSecrets",     "storageUri",  "protocolVersion"};

// The predictor as a Pod's spec: KServe inlines the Pod's fields beside its own.
Tree predictor_pod(const Tree& predictor) {
  Tree spec = predictor;
  auto own = [](const Tree::Entry& entry) {
    return std::find(kPredictorOwn.begin(), kPredictorOwn.end(), entry.key) != kPredictorOwn.end();
  };
  spec.map.erase(std::remove_if(spec.map.begin(), spec.map.end(), own), spec.map.end());
  return spec;
}

// "{{.Name}}" and the like in a runtime's arguments.
void fill_names(Tree& tree, const std::string& name) {
  if (tree.is_scalar()) {
    for (size_t at = tree.text.find("{{.Name}}"); at != std::string::npos;
         at = tree.text.find("{{.Name}}", at + name.size())) {
      tree.text.replace(at, 9, name);
    }
  }
  for (Tree& item : tree.seq) fill_names(item, name);
  for (Tree::Entry& entry : tree.map) fill_names(entry.value, name);
}

// storageUri: KServe's init container fills /mnt/models, or mounts the claim there.
void add_model(const Tree& uri, Tree& spec, Tree& container) {
  Tree volume = map_of(uri, {{"name", word(uri, "model")}});
  Tree mount = map_of(uri, {{"name", word(uri, "model")},
                            {"mountPath", word(uri, "/mnt/models")},
                            {"readOnly", word(uri, "true", yaml::ScalarType::kBool)}});
  std::string text = uri.text_or();
  if (base::starts_with(text, "pvc://")) {
    std::string rest = text.substr(6);
    std::string claim = rest.substr(0, rest.find('/'));
    if (claim.size() + 1 < rest.size()) {
      set(mount, "subPath", word(uri, rest.substr(claim.size() + 1)));
    }
    set(volume, "persistentVolumeClaim", map_of(uri, {{"claimName", word(uri, claim)}}));
  } else {
    set(volume, "storageUri", uri);
  }
  for (auto [map, key, value] :
       {std::tuple(&spec, "volumes", &volume), std::tuple(&container, "volumeMounts", &mount)}) {
    Tree list = map->get(key) == nullptr ? list_of(uri, {}) : *map->get(key);
    list.seq.push_back(*value);
    set(*map, key, list);
  }
}

// model: with a runtime that stands in the same files.
bool use_runtime(const Tree& model, const std::string& name, const Cluster& cluster, Reader& reader,
                 Tree* spec) {
  const Tree* runtime = model.get("runtime");
  std::string wanted = runtime == nullptr ? "" : runtime->text_or();
  auto found = cluster.runtimes.find(wanted);
  if (found == cluster.runtimes.end()) {
    std::string what = wanted.empty() ? "the runtime that KServe picks for its format"
                                      : "ServingRuntime " + wanted;
    reader.refuse(model, "the image is that of " + what +
                             ", which is not in these files: name it with runtime:, and add its "
                             "file");
    return false;
  }
  const Tree* list = found->second->get({"spec", "containers"});
  if (list == nullptr || list->seq.empty() || !list->seq[0].is_map()) {
    reader.refuse(*found->second, "the runtime has no containers");
    return false;
  }
  Tree container = list->seq[0];
  for (const char* key : {"resources", "image"}) copy_if(model.get(key), key, container);
  if (const Tree* args = model.get("args")) {
    Tree all = container.get("args") == nullptr ? list_of(*args, {}) : *container.get("args");
    all.seq.insert(all.seq.end(), args->seq.begin(), args->seq.end());
    set(container, "args", all);
  }
  const Tree* standard = container.get("env");
  Tree env = merged_env(model, standard == nullptr ? std::vector<Tree>{} : standard->seq,
                        model.get("env"));
  if (!env.seq.empty()) set(container, "env", env);
  fill_names(container, name);
  copy_if(found->second->get({"spec", "volumes"}), "volumes", *spec);
  if (const Tree* uri = model.get("storageUri")) add_model(*uri, *spec, container);
  set(*spec, "containers", list_of(model, {container}));
  return true;
}

void inference_service(const Tree& spec, const std::string& name, const Cluster& cluster,
                       Reader& reader, MadePod* made) {
  Keys keys(reader, &spec, "InferenceService.spec");
  const Tree* predictor = keys.get("predictor");
  static constexpr std::array<KeyRule, 2> kRules = {{
      {"transformer", Means::kNoted, "prove it by itself"},
      {"explainer", Means::kNoted, "prove it by itself"},
  }};
  keys.finish(kRules);
  if (predictor == nullptr || !predictor->is_map()) {
    return reader.refuse(spec, "an InferenceService without a predictor");
  }
  made->spec = predictor_pod(*predictor);
  if (const Tree* model = predictor->get("model")) {
    if (!use_runtime(*model, name, cluster, reader, &made->spec)) return;
  } else if (predictor->get("containers") == nullptr) {
    return reader.refuse(*predictor,
                         "the predictor names neither containers nor model: with a runtime, so its "
                         "image is not known");
  }
  made->assumptions.push_back(reader.where(*predictor) +
                              ": the Pod is KServe's without what a cluster's own configuration "
                              "adds (agent, storage initializer, queue proxy)");
}

}  // namespace

bool is_custom_workload(std::string_view kind) {
  return kind == "NIMService" || kind == "InferenceService";
}

MadePod make_pod(const Tree& object, const std::string& kind, const std::string& name,
                 const Cluster& cluster, Reader& reader) {
  MadePod made;
  const Tree* spec = object.get("spec");
  if (spec == nullptr || !spec->is_map()) {
    reader.refuse(object, kind + " has no spec");
  } else if (kind == "NIMService") {
    nim_service(*spec, name, cluster, reader, &made);
  } else {
    inference_service(*spec, name, cluster, reader, &made);
  }
  return made;
}

}  // namespace pare::target::kube
