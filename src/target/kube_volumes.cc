// volumeMounts and the Pod's volumes.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "target/base64.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

using Means = KeyRule::Means;

struct Mounted {
  std::string volume;  // name in the Pod
  std::string path;
  std::string sub_path;
  bool read_only = false;
  const Tree* tree = nullptr;
};

std::string joined(const std::string& directory, const std::string& sub_path) {
  return sub_path.empty() ? directory : directory + "/" + sub_path;
}

// A sub path that stays below its volume (the kubelet refuses others).
bool stays_below(const std::string& path) {
  if (!path.empty() && path[0] == '/') return false;
  std::vector<std::string> parts = base::split(path, '/');
  return std::find(parts.begin(), parts.end(), "..") == parts.end();
}

class VolumeReader {
 public:
  VolumeReader(Job& job, const Tree* volumes, std::optional<uint32_t> fs_group)
      : job_(job), volumes_(volumes), fs_group_(fs_group) {}

  void mount(const Mounted& mounted) {
    const Tree* volume = find(mounted.volume);
    const auto& templates = job_.pod.claim_templates;
    if (volume == nullptr &&
        std::find(templates.begin(), templates.end(), mounted.volume) != templates.end()) {
      return claim(mounted, mounted.volume, *mounted.tree);
    }
    if (volume == nullptr) {
      return job_.reader.refuse(*mounted.tree, "volume " + mounted.volume +
                                                   " is mounted, but the Pod has no such volume");
    }
    if (use_bind(mounted, "volume/" + mounted.volume)) return;
    by_source(mounted, *volume);
  }

 private:
  using Handler = void (VolumeReader::*)(const Mounted&, const Tree&);
  struct Source {
    std::string_view key;
    Handler read;
  };

  const Tree* find(const std::string& name) const {
    if (volumes_ == nullptr) return nullptr;
    for (const Tree& volume : volumes_->seq) {
      const Tree* own = volume.get("name");
      if (own != nullptr && own->text_or() == name) return &volume;
    }
    return nullptr;
  }

  bool use_bind(const Mounted& m, const std::string& key) {
    const auto& binds = job_.reader.options().binds;
    auto found = binds.find(key);
    if (found == binds.end()) return false;
    add({joined(found->second, m.sub_path), m.path, false, m.read_only});
    return true;
  }

  Volume& add(Volume volume) { return job_.out.target.volumes.emplace_back(std::move(volume)); }

  void by_source(const Mounted& m, const Tree& volume) {
    static constexpr std::array<Source, 8> kSources = {{
        {"emptyDir", &VolumeReader::empty_dir},
        {"hostPath", &VolumeReader::host_path},
        {"persistentVolumeClaim", &VolumeReader::persistent},
        {"configMap", &VolumeReader::config_map},
        {"secret", &VolumeReader::secret},
        {"projected", &VolumeReader::projected},
        {"downwardAPI", &VolumeReader::downward},
        {"ephemeral", &VolumeReader::ephemeral},
    }};
    for (const Source& source : kSources) {
      const Tree::Entry* entry = volume.find(source.key);
      if (entry == nullptr) continue;
      return (this->*source.read)(m, entry->value);
    }
    std::string type = "nothing that it is made of";
    for (const Tree::Entry& entry : volume.map) {
      if (entry.key != "name") type = entry.key;
    }
    if (job_.reader.options().not_to_run) {
      add({"", m.path, false, m.read_only});
      return;
    }
    job_.reader.refuse(*m.tree, fmt::format("volume {} ({}) exists only in a cluster: say which "
                                            "directory stands for it with --bind volume/{}=DIR",
                                            m.volume, type, m.volume));
  }

  void empty_dir(const Mounted& m, const Tree& tree) {
    Keys keys(job_.reader, &tree, "emptyDir");
    std::string medium = keys.text("medium").value_or("");
    const Tree* limit = keys.get("sizeLimit");
    keys.finish();
    double amount = limit == nullptr ? 0 : parse_quantity(limit->text_or()).value_or(-1);
    if (amount < 0 || amount > 9e18) {
      return job_.reader.refuse(*limit, "sizeLimit is not a quantity such as 1Gi");
    }
    auto bytes = static_cast<uint64_t>(amount);
    if (use_bind(m, "emptydir/" + m.volume)) return;
    Target& t = job_.out.target;
    if (m.path == "/dev/shm") {
      // Without a limit: half of the node's memory; what matters is that it is no longer 64 MiB.
      t.shm_bytes = bytes > 0 ? bytes : uint64_t{16} << 30;
      if (bytes == 0) job_.reader.note(*m.tree, "/dev/shm has no sizeLimit: 16 GiB in trials");
      return;
    }
    t.tmpfs.push_back(m.path);
    if (bytes > 0) t.tmpfs_options[m.path] = fmt::format("size={}", bytes);
    if (medium.empty()) {
      job_.reader.note(*m.tree, fmt::format("emptyDir {} is a tmpfs in trials, empty at each start "
                                            "(--bind emptydir/{}=DIR gives it a disk)",
                                            m.volume, m.volume));
    }
  }

  void host_path(const Mounted& m, const Tree& tree) {
    Keys keys(job_.reader, &tree, "hostPath");
    std::string path = keys.text("path").value_or("");
    std::string type = keys.text("type").value_or("");
    keys.finish();
    if (path.empty() || path[0] != '/') {
      return job_.reader.refuse(tree, "hostPath.path is not an absolute path");
    }
    if (type == "CharDevice" || type == "BlockDevice") {
      if (job_.out.target.privileged) return;  // a privileged container has every device
      job_.reader.note(*m.tree, fmt::format("hostPath {} is a device, which only a privileged "
                                            "container may open: in no trial",
                                            path));
      return;
    }
    add({joined(path, m.sub_path), m.path, false, m.read_only});
  }

  void persistent(const Mounted& m, const Tree& tree) {
    Keys keys(job_.reader, &tree, "persistentVolumeClaim");
    std::string name = keys.text("claimName").value_or("");
    Mounted as = m;
    as.read_only |= keys.boolean("readOnly").value_or(false);
    keys.finish();
    claim(as, name, *m.tree);
  }

  void ephemeral(const Mounted& m, const Tree& tree) {
    Keys keys(job_.reader, &tree, "ephemeral");
    keys.get("volumeClaimTemplate");
    keys.finish();
    claim(m, m.volume, *m.tree);
  }

  void claim(const Mounted& m, const std::string& name, const Tree& at) {
    if (use_bind(m, "pvc/" + name)) return;
    if (m.read_only && !job_.reader.options().not_to_run) {
      return job_.reader.refuse(at, fmt::format("claim {} is mounted read-only at {}, so it has to "
                                                "hold something: say which directory stands for it "
                                                "with --bind pvc/{}=DIR",
                                                name, m.path, name));
    }
    add({"", m.path, false, m.read_only});
    job_.reader.note(at, fmt::format("claim {} is an empty directory at the first start "
                                     "(--bind pvc/{}=DIR gives it content)",
                                     name, name));
  }

  // ---- files from objects

  struct Item {
    std::string key, path;
    unsigned mode;
  };

  std::vector<Item> items_of(Keys& keys, unsigned mode) {
    std::vector<Item> items;
    for (const Tree* tree : keys.maps("items")) {
      Keys item(job_.reader, tree, "items");
      Item one{item.text("key").value_or(""), item.text("path").value_or(""), mode};
      one.mode = item.mode("mode").value_or(mode);
      item.finish();
      if (!stays_below(one.path) || one.path.empty()) {
        job_.reader.refuse(*tree, "items.path leaves the volume");
      } else {
        items.push_back(one);
      }
    }
    return items;
  }

  // What a ConfigMap or Secret holds, by key.
  std::map<std::string, std::string> data_of(const Tree& object, bool secret) {
    std::map<std::string, std::string> data;
    for (std::string_view part : {"binaryData", "data", "stringData"}) {
      const Tree* tree = object.get(part);
      if (tree == nullptr || part == (secret ? "binaryData" : "stringData")) continue;
      bool encoded = part == "binaryData" || (secret && part == "data");
      for (const Tree::Entry& entry : tree->map) {
        auto value =
            encoded ? decode_base64(entry.value.text_or()) : std::optional(entry.value.text_or());
        if (!value) job_.reader.refuse(entry.value, entry.key + " is not base64");
        data[entry.key] = value.value_or("");
      }
    }
    return data;
  }

  // The files of one ConfigMap or Secret, added to `content`. False: it is not in the files.
  bool add_files(const Tree& tree, bool secret, std::string_view name_key, unsigned default_mode,
                 VolumeContent* content) {
    Keys keys(job_.reader, &tree, secret ? "secret" : "configMap");
    std::string name = keys.text(name_key).value_or("");
    bool optional = keys.boolean("optional").value_or(false);
    unsigned mode = keys.mode("defaultMode").value_or(default_mode);
    std::vector<Item> items = items_of(keys, mode);
    keys.finish();
    const auto& known = secret ? job_.cluster.secrets : job_.cluster.config_maps;
    auto found = known.find(name);
    if (found == known.end()) {
      if (optional || job_.reader.options().not_to_run) return true;
      std::string kind = secret ? "secret" : "configmap";
      job_.reader.refuse(tree, fmt::format("{} {} is not in these files: add the file that has it, "
                                           "or say which directory holds its keys with "
                                           "--bind {}/{}=DIR",
                                           secret ? "Secret" : "ConfigMap", name, kind, name));
      return false;
    }
    content->secret |= secret;
    std::map<std::string, std::string> data = data_of(*found->second, secret);
    if (tree.get("items") == nullptr) {
      for (auto& [key, value] : data) content->files.push_back({key, value, mode});
      return true;
    }
    for (const Item& item : items) {
      auto value = data.find(item.key);
      if (value != data.end()) {
        content->files.push_back({item.path, value->second, item.mode});
      } else if (!optional) {
        job_.reader.refuse(tree, fmt::format("key {} is not in {}", item.key, name));
      }
    }
    return true;
  }

  // The volume with these files, or the one that subPath picks.
  void add_content(const Mounted& m, VolumeContent content) {
    if (!m.sub_path.empty()) {
      std::vector<VolumeFile> kept;
      for (VolumeFile& file : content.files) {
        if (file.path == m.sub_path) {
          content.single = true;
          kept = {{m.sub_path.substr(m.sub_path.rfind('/') + 1), file.content, file.mode}};
          break;
        }
        if (base::starts_with(file.path, m.sub_path + "/")) {
          kept.push_back({file.path.substr(m.sub_path.size() + 1), file.content, file.mode});
        }
      }
      content.files = std::move(kept);
    }
    content.volume = job_.out.target.volumes.size();
    content.gid = fs_group_.value_or(0);
    add({"", m.path, false, true});  // the kubelet mounts such volumes read-only
    job_.out.contents.push_back(std::move(content));
  }

  void from_object(const Mounted& m, const Tree& tree, bool secret) {
    std::string_view name_key = secret ? "secretName" : "name";
    const Tree* name = tree.get(name_key);
    std::string bind = (secret ? "secret/" : "configmap/") + (name ? name->text_or() : "");
    if (use_bind(m, bind)) return;
    VolumeContent content;
    if (add_files(tree, secret, name_key, 0644, &content)) add_content(m, std::move(content));
  }
  void config_map(const Mounted& m, const Tree& tree) { from_object(m, tree, false); }
  void secret(const Mounted& m, const Tree& tree) { from_object(m, tree, true); }

  void downward(const Mounted& m, const Tree& tree) {
    job_.reader.note(tree, "the downward API's files at " + m.path + " are empty in trials");
    add_content(m, {});
  }

  void projected(const Mounted& m, const Tree& tree) {
    Keys keys(job_.reader, &tree, "projected");
    unsigned mode = keys.mode("defaultMode").value_or(0644);
    VolumeContent content;
    for (const Tree* source : keys.maps("sources")) {
      Keys one(job_.reader, source, "sources");
      if (const Tree* map = one.get("configMap")) add_files(*map, false, "name", mode, &content);
      if (const Tree* map = one.get("secret")) add_files(*map, true, "name", mode, &content);
      static constexpr std::array<KeyRule, 3> kRules = {{
          {"serviceAccountToken", Means::kNoted, "no token exists outside of a cluster"},
          {"clusterTrustBundle", Means::kNoted, "it exists only in a cluster"},
          {"downwardAPI", Means::kNoted, "its files are in no trial"},
      }};
      one.finish(kRules);
    }
    keys.finish();
    add_content(m, std::move(content));
  }

  Job& job_;
  const Tree* volumes_;
  std::optional<uint32_t> fs_group_;
};

}  // namespace

void read_volumes(Job& job, Keys& container, const Tree* volumes,
                  std::optional<uint32_t> fs_group) {
  VolumeReader reader(job, volumes, fs_group);
  for (const Tree* tree : container.maps("volumeMounts")) {
    Keys keys(job.reader, tree, "volumeMounts");
    Mounted m;
    m.tree = tree;
    m.volume = keys.text("name").value_or("");
    m.sub_path = keys.text("subPath").value_or("");
    m.read_only = keys.boolean("readOnly").value_or(false);
    if (auto written = keys.text("subPathExpr")) m.sub_path = expand(*written, job.out.target.env);
    auto path = keys.text("mountPath");
    std::string propagation = keys.text("mountPropagation").value_or("None");
    if (propagation == "Bidirectional") {
      job.reader.refuse(keys.where("mountPropagation"),
                        "mountPropagation Bidirectional changes the host's mounts: not supported");
    } else if (propagation == "HostToContainer") {
      job.reader.note(keys.where("mountPropagation"), "mountPropagation is None in trials");
    }
    static constexpr std::array<KeyRule, 1> kRules = {{{"recursiveReadOnly"}}};
    keys.finish(kRules);
    auto clean = job.reader.take(*tree, parse_container_path(path.value_or("")), "mountPath");
    if (!clean) continue;
    m.path = *clean;
    if (!stays_below(m.sub_path)) {
      job.reader.refuse(*tree, "subPath leaves its volume");
      continue;
    }
    reader.mount(m);
  }
}

}  // namespace pare::target::kube
