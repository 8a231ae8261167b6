// A Pod's spec -> one workload a container.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

using Means = KeyRule::Means;

constexpr std::array<KeyRule, 30> kPodRules = {{
    {"nodeSelector"},
    {"nodeName"},
    {"affinity"},
    {"tolerations"},
    {"topologySpreadConstraints"},
    {"schedulerName"},
    {"schedulingGates"},
    {"priorityClassName"},
    {"priority"},
    {"preemptionPolicy"},
    {"restartPolicy"},
    {"terminationGracePeriodSeconds"},
    {"activeDeadlineSeconds"},
    {"imagePullSecrets"},
    {"readinessGates"},
    {"subdomain"},
    {"setHostnameAsFQDN"},
    {"enableServiceLinks"},
    {"overhead"},
    {"dnsPolicy", Means::kNoted, "names are looked up as the host does"},
    {"dnsConfig", Means::kNoted, "names are looked up as the host does"},
    {"runtimeClassName", Means::kNoted, "trials run under the engine's own runtime"},
    {"hostUsers", Means::kNoted, "trials run in the host's user namespace"},
    {"shareProcessNamespace", Means::kNoted, "each container has its own processes in trials"},
    {"serviceAccountName", Means::kNoted, "the API server and its token are in no trial"},
    {"serviceAccount"},
    {"resourceClaims", Means::kNoted, "devices of a resource claim are in no trial"},
    {"resources", Means::kNoted, "only the container's own limits apply in trials"},
    {"ephemeralContainers", Means::kNoted, "they are added by hand"},
    {"workloadRef"},
}};

constexpr std::array<KeyRule, 7> kContainerRules = {{
    {"imagePullPolicy"},
    {"stdinOnce"},
    {"terminationMessagePath"},
    {"terminationMessagePolicy"},
    {"resizePolicy"},
    {"lifecycle", Means::kNoted,
     "its hooks do not run in trials; what they need is not in the proof"},
    {"volumeDevices", Means::kRefused, "raw block devices are not modelled"},
}};

bool is_reference(std::string_view image) {
  return !image.empty() && image.find_first_of(" \t\n${}<>\"'") == std::string_view::npos;
}

class PodReader {
 public:
  PodReader(const Pod& pod, const Cluster& cluster, const std::vector<SourceFile>& files,
            const FileOptions& options)
      : pod_(pod), cluster_(cluster), files_(files), options_(options) {}

  Workload read(const Tree& container, bool init) {
    Reader reader(files_, options_, true);
    Workload out;
    out.kind = FileKind::kKubernetes;
    out.platform = "kubernetes";
    out.object = pod_.kind + "/" + pod_.name;
    const Tree* name = container.get("name");
    out.container = name == nullptr ? "" : name->text_or();
    out.where = reader.where(container);
    const Tree* restart = container.get("restartPolicy");
    bool sidecar = init && restart != nullptr && restart->text_or() == "Always";
    out.only_by_name = init && !sidecar;
    Job job{reader, cluster_, pod_, container, out};
    read_container(job);
    out.assumptions = pod_.assumptions;
    for (const std::string& note : reader.notes()) out.assumptions.push_back(note);
    out.refused = reader.refused();
    return out;
  }

 private:
  void read_container(Job& job) {
    Keys keys(job.reader, &job.container, "the container");
    Target& t = job.out.target;
    t.kind = Kind::kImage;
    t.name = pod_.name;
    if (t.name.empty()) t.name = job.out.container;
    t.written = {job.out.where, job.out.object, job.out.container};
    keys.get("name");
    keys.get("restartPolicy");
    t.image = keys.text("image").value_or("");
    if (!is_reference(t.image)) {
      job.reader.refuse(keys.where("image"), t.image.empty()
                                                 ? "the container names no image"
                                                 : "'" + t.image + "' is not an image reference");
    }
    t.workdir = keys.text("workingDir").value_or("");
    t.tty = keys.boolean("tty").value_or(false);
    t.open_stdin = keys.boolean("stdin").value_or(false);
    read_environment(job, keys);
    Keys pod(job.reader, pod_.spec, "the Pod's spec");
    auto fs_group = read_security(job, keys, pod.get("securityContext"));
    const Tree* volumes = pod.get("volumes");
    read_volumes(job, keys, volumes, fs_group);
    read_resources(job, keys.get("resources"));
    read_ports(job, keys);
    read_probes(job, keys);
    keys.finish(kContainerRules);
    read_shared(job, pod);
    tell_neighbours(job, pod);
    pod.finish(kPodRules);
    check_paths(job);
  }

  void read_ports(Job& job, Keys& keys) {
    for (const Tree* tree : keys.maps("ports")) {
      Keys port(job.reader, tree, "ports");
      auto number = port.integer("containerPort");
      auto host = port.integer("hostPort");
      PublishedPort published;
      published.host_address = port.text("hostIP").value_or("");
      published.protocol = base::lower(port.text("protocol").value_or("TCP"));
      port.get("name");
      port.finish();
      if (!number || *number < 1 || *number > 65535 || (host && (*host < 0 || *host > 65535))) {
        job.reader.refuse(*tree, "a port is a number from 1 to 65535");
        continue;
      }
      published.port = static_cast<uint16_t>(*number);
      published.host_port = static_cast<uint16_t>(host.value_or(0));
      job.out.target.ports.push_back(published);
    }
  }

  void read_probes(Job& job, Keys& keys) {
    for (std::string_view name : {"livenessProbe", "readinessProbe", "startupProbe"}) {
      const Tree* probe = keys.get(name);
      if (probe == nullptr || probe->get("exec") == nullptr) continue;
      job.reader.note(*probe, std::string(name) +
                                  " runs a command in the container: trials do not, "
                                  "--check 'exec:...' does");
    }
  }

  // What the containers of a Pod have in common.
  void read_shared(Job& job, Keys& pod) {
    Target& t = job.out.target;
    if (pod.boolean("hostNetwork").value_or(false)) t.network = "host";
    t.host_pid = pod.boolean("hostPID").value_or(false);
    t.host_ipc = pod.boolean("hostIPC").value_or(false);
    if (auto name = pod.text("hostname")) t.kept.push_back({"--hostname", *name});
    for (const Tree* tree : pod.maps("hostAliases")) {
      Keys alias(job.reader, tree, "hostAliases");
      std::string address = alias.text("ip").value_or("");
      for (const std::string& name : alias.texts("hostnames")) {
        t.kept.push_back({"--add-host", name + ":" + address});
      }
      alias.finish();
    }
    Keys os(job.reader, pod.get("os"), "os");
    if (os.text("name").value_or("linux") != "linux") {
      job.reader.refuse(pod.where("os"), "pare proves Linux containers alone");
    }
    os.finish();
    bool token = pod.boolean("automountServiceAccountToken").value_or(true);
    if (token) {
      job.reader.note(job.out.where,
                      "Kubernetes mounts a service account's token unless "
                      "automountServiceAccountToken is false: trials have none");
    }
  }

  // Names of the writable emptyDirs that a container mounts.
  std::set<std::string> scratch_of(const Tree& container) const {
    std::set<std::string> names;
    const Tree* mounts = container.get("volumeMounts");
    const Tree* volumes = pod_.spec->get("volumes");
    if (mounts == nullptr || volumes == nullptr) return names;
    for (const Tree& mount : mounts->seq) {
      const Tree* name = mount.get("name");
      for (const Tree& volume : volumes->seq) {
        bool same = name != nullptr && volume.get("name") != nullptr &&
                    volume.get("name")->text_or() == name->text_or();
        if (same && volume.find("emptyDir") != nullptr) names.insert(name->text_or());
      }
    }
    return names;
  }

  bool bound(const std::string& volume) const {
    return options_.binds.count("volume/" + volume) != 0 ||
           options_.binds.count("emptydir/" + volume) != 0;
  }

  // Other containers of the Pod do not run: what this one gets from them has to be given.
  void tell_neighbours(Job& job, Keys& pod) {
    std::set<std::string> own = scratch_of(job.container);
    for (std::string_view key : {"initContainers", "containers"}) {
      bool init = key == "initContainers";
      for (const Tree* other : pod.maps(key)) {
        if (other == &job.container) {
          if (init) break;  // the init containers after this one do not matter to it
          continue;
        }
        const Tree* name_tree = other->get("name");
        std::string name = name_tree == nullptr ? "?" : name_tree->text_or();
        bool needed = false;
        for (const std::string& volume : scratch_of(*other)) {
          needed |= init && own.count(volume) != 0 && !bound(volume) &&
                    refuse_fill(job, *other, name, volume);
        }
        if (needed) continue;
        job.reader.note(*other, fmt::format("{} {} of the same Pod does not run in trials",
                                            init ? "init container" : "container", name));
      }
    }
  }

  bool refuse_fill(Job& job, const Tree& other, const std::string& name,
                   const std::string& volume) {
    if (job.reader.options().not_to_run) return false;
    job.reader.refuse(other,
                      fmt::format("init container {} fills emptyDir {} for {}, and pare does "
                                  "not run it: give what it makes with --bind "
                                  "emptydir/{}=DIR, or prove it by itself with --container {}",
                                  name, volume, job.out.container, volume, name));
    return true;
  }

  void check_paths(Job& job) {
    const Target& t = job.out.target;
    std::vector<std::string> paths = t.tmpfs;
    for (const Volume& volume : t.volumes) paths.push_back(volume.path);
    std::sort(paths.begin(), paths.end());
    auto twice = std::adjacent_find(paths.begin(), paths.end());
    if (twice != paths.end()) {
      job.reader.refuse(job.out.where, "two volumes are mounted at " + *twice);
    }
  }

  const Pod& pod_;
  const Cluster& cluster_;
  const std::vector<SourceFile>& files_;
  const FileOptions& options_;
};

}  // namespace

void read_pod(const Pod& pod, const Cluster& cluster, const std::vector<SourceFile>& files,
              const FileOptions& options, std::vector<Workload>* out) {
  PodReader reader(pod, cluster, files, options);
  for (std::string_view key : {"initContainers", "containers"}) {
    const Tree* list = pod.spec->get(key);
    if (list == nullptr) continue;
    for (const Tree& container : list->seq) {
      if (container.is_map()) out->push_back(reader.read(container, key == "initContainers"));
    }
  }
}

}  // namespace pare::target::kube
