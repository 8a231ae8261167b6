#include "cli/emit_patch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <set>

#include "audit/edit.h"
#include "audit/pod_security.h"
#include "base/file.h"
#include "base/text.h"
#include "emit/patch.h"
#include "target/tree_json.h"

namespace pare::cli {

namespace {

using audit::Operation;
using audit::OrderedJson;
using audit::View;
using target::Tree;

// Lists whose items are told apart by a key (Kubernetes' patchMergeKey).
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kMergeKeys = {{
    {"containers", "name"},
    {"env", "name"},
    {"sysctls", "name"},
    {"volumes", "name"},
    {"volumeMounts", "mountPath"},
}};

// What comes, then what goes of a mapping that would have been empty on the way.
constexpr int kPasses = 3;

// Operations that make a place of the document equal to a merge patch.
class Merge {
 public:
  void map(View at, const OrderedJson& wanted) { below(at, {}, at, wanted); }
  const std::vector<Operation>& operations() const { return operations_; }

 private:
  using Path = std::vector<std::string>;

  // `have` is what stands at `path` below the mapping `root`.
  void below(View root, const Path& path, View have, const OrderedJson& wanted) {
    bool all_goes = replaces_all(have, wanted);
    for (const auto& [key, value] : wanted.items()) {
      if (all_goes && value.is_null()) continue;  // the next pass takes it, beside what comes now
      Path to = path;
      to.push_back(key);
      place(root, to, have.get(key), have.key_of(key).present(), value);
    }
  }

  // A mapping that loses all it has while something comes: it may not be empty on the way.
  static bool replaces_all(View have, const OrderedJson& wanted) {
    std::set<std::string> going, coming;
    for (const auto& [key, value] : wanted.items()) (value.is_null() ? going : coming).insert(key);
    auto goes = [&](const auto& entry) { return going.count(std::string(entry.first)) > 0; };
    auto entries = have.entries();
    return !coming.empty() && std::all_of(entries.begin(), entries.end(), goes);
  }

  void place(View root, const Path& path, View have, bool present, const OrderedJson& wanted) {
    if (wanted.is_null()) {
      if (present) operations_.push_back(audit::remove_key(root.id(), path));
    } else if (wanted.is_object()) {
      if (have.is_map() && !have.entries().empty()) {
        map(have, wanted);
      } else if (OrderedJson value = target::without_nulls(wanted); !value.empty()) {
        operations_.push_back(audit::set_value(root.id(), path, value));
      }
    } else if (wanted.is_array()) {
      list(root, path, have, wanted);
    } else if (!same(have, wanted)) {
      operations_.push_back(audit::set_value(root.id(), path, wanted));
    }
  }

  static bool same(View have, const OrderedJson& wanted) {
    if (!have.is_scalar()) return false;
    if (wanted.is_boolean()) return have.as_bool() == wanted.get<bool>();
    if (wanted.is_number_integer()) return have.as_int() == wanted.get<int64_t>();
    return wanted.is_string() && have.as_string() == wanted.get<std::string>();
  }

  void list(View root, const Path& path, View have, const OrderedJson& wanted) {
    auto row = std::find_if(kMergeKeys.begin(), kMergeKeys.end(),
                            [&](const auto& r) { return r.first == path.back(); });
    if (row != kMergeKeys.end() && !wanted.empty() && wanted[0].is_object() &&
        wanted[0].contains(row->second)) {
      for (const OrderedJson& item : wanted)
        keyed(root, path, have, std::string(row->second), item);
      return;
    }
    if (!have.is_seq() || have.items().empty()) {
      operations_.push_back(audit::set_value(root.id(), path, wanted));
      return;
    }
    std::vector<View> going;
    std::vector<OrderedJson> coming(wanted.begin(), wanted.end());
    for (const View& item : have.items()) {
      auto stands = std::find_if(coming.begin(), coming.end(),
                                 [&](const OrderedJson& w) { return same(item, w); });
      if (stands == coming.end()) {
        going.push_back(item);
      } else {
        coming.erase(stands);
      }
    }
    // One takes the other's place where it can: a list never empties on the way.
    for (size_t i = 0; i < std::max(going.size(), coming.size()); ++i) {
      if (i >= going.size()) {
        operations_.push_back(audit::append_value(root.id(), path, coming[i]));
      } else if (i >= coming.size()) {
        operations_.push_back(audit::remove_item(going[i].written()));
      } else {
        operations_.push_back(audit::set_value(going[i].id(), {}, coming[i]));
      }
    }
  }

  void keyed(View root, const Path& path, View have, const std::string& key,
             const OrderedJson& item) {
    if (have.is_seq()) {
      for (const View& there : have.items()) {
        if (there.get(key).text_or() != item[key].get<std::string>()) continue;
        map(there, item);
        return;
      }
    }
    // An item that only changes one which is not there adds nothing.
    bool whole = path.back() != "volumeMounts" || item.contains("name");
    if (whole)
      operations_.push_back(audit::append_value(root.id(), path, target::without_nulls(item)));
  }

  std::vector<Operation> operations_;
};

// In a deque: scalars point into their document.
struct Document {
  audit::YamlDocument yaml;
  audit::Dialect dialect;
  View root() const { return View(yaml, yaml.root, dialect); }
};

std::string place_in(const std::string& file, std::string_view text, const audit::Unread& why) {
  auto line = std::count(text.begin(), text.begin() + static_cast<long>(why.offset), '\n') + 1;
  return fmt::format("{}:{}: {}", file, line, why.why);
}

Result<std::deque<Document>> parse(const std::string& file, const std::string& text,
                                   audit::Dialect dialect) {
  if (auto bad = audit::check_encoding(text)) {
    return fail(ErrorKind::kUnread, place_in(file, text, *bad));
  }
  std::deque<Document> out;
  for (const audit::Part& part : audit::split_documents(text)) {
    auto documents = audit::parse_yaml(text, part.span);
    if (!documents) return fail(ErrorKind::kUnread, place_in(file, text, documents.error()));
    for (audit::YamlDocument& yaml : *documents) out.push_back({std::move(yaml), dialect});
  }
  return out;
}

// The name that was asked for, or the only one.
Result<std::string> choose(const std::vector<std::string>& names, const std::string& asked,
                           const std::string& file, const char* what, const char* option) {
  bool known = std::find(names.begin(), names.end(), asked) != names.end();
  if (known) return asked;
  if (asked.empty() && names.size() == 1) return names[0];
  if (names.empty()) return fail(ErrorKind::kUsage, fmt::format("{} has no {}", file, what));
  return fail(ErrorKind::kUsage, fmt::format("{} has the {}s {}: choose with {}", file, what,
                                             base::join(names, ", "), option));
}

std::vector<std::string> names_in(View list) {
  std::vector<std::string> names;
  for (const View& item : list.is_seq() ? list.items() : std::vector<View>()) {
    names.push_back(item.get("name").text_or());
  }
  return names;
}

// An empty list would take away what stands there.
void set_or_erase(OrderedJson& json, const char* key, const OrderedJson& list) {
  if (list.empty()) {
    json.erase(key);
  } else {
    json[key] = list;
  }
}

// Scratch space where the workload has a mount of its own already stays the workload's.
void leave_mounts(View container, OrderedJson& patch) {
  OrderedJson& mine = patch["containers"][0];
  if (!mine.contains("volumeMounts")) return;
  OrderedJson kept = OrderedJson::array();
  std::vector<std::string> left;
  View mounts = container.get("volumeMounts");
  for (const OrderedJson& mount : mine["volumeMounts"]) {
    bool stands = false;
    for (const View& v : mounts.is_seq() ? mounts.items() : std::vector<View>()) {
      stands = stands || v.get("mountPath").text_or() == mount.value("mountPath", "");
    }
    if (stands && mount.contains("name")) {
      left.push_back(mount["name"]);
    } else {
      kept.push_back(mount);
    }
  }
  set_or_erase(mine, "volumeMounts", kept);
  if (!patch.contains("volumes")) return;
  OrderedJson volumes = OrderedJson::array();
  for (const OrderedJson& volume : patch["volumes"]) {
    bool gone = std::find(left.begin(), left.end(), volume.value("name", "")) != left.end();
    if (!gone) volumes.push_back(volume);
  }
  set_or_erase(patch, "volumes", volumes);
}

Result<OrderedJson> patch_json(const verdict::Proof& proof, const std::string& to,
                               const emit::Options& options) {
  PARE_TRY(std::string text, emit::merge_patch(proof, to, options));
  PARE_TRY(auto trees, target::read_trees({"patch", text}, 0, audit::Dialect::kKubernetes));
  return target::json_of<OrderedJson>(trees.at(0));
}

struct Planned {
  size_t document = 0;
  std::vector<Operation> operations;
};

Result<Planned> plan_kubernetes(const verdict::Proof& proof, emit::Options options,
                                const std::string& file, const std::deque<Document>& documents) {
  std::vector<std::string> names;
  for (const Document& d : documents) {
    if (audit::find_pod(d.root()).spec)
      names.push_back(d.root().get({"metadata", "name"}).text_or());
  }
  PARE_TRY(options.workload, choose(names, options.workload, file, "workload", "--workload"));
  for (size_t i = 0; i < documents.size(); ++i) {
    audit::PodPlace pod = audit::find_pod(documents[i].root());
    if (!pod.spec || documents[i].root().get({"metadata", "name"}).text_or() != options.workload) {
      continue;
    }
    View containers = pod.spec.get("containers");
    PARE_TRY(options.container,
             choose(names_in(containers), options.container, file, "container", "--container"));
    PARE_TRY(OrderedJson patch, patch_json(proof, "kubernetes", options));
    OrderedJson& own = patch["spec"]["template"];
    for (const View& container : containers.items()) {
      if (container.get("name").text_or() == options.container)
        leave_mounts(container, own["spec"]);
    }
    Merge merge;
    merge.map(pod.spec, own["spec"]);
    if (pod.metadata) merge.map(pod.metadata, own["metadata"]);
    Planned planned{i, merge.operations()};
    if (!pod.metadata) {
      audit::NodeId holder = documents[i].yaml.at(pod.spec.id()).parent;
      planned.operations.push_back(
          audit::set_value(holder, {"metadata"}, target::without_nulls(own["metadata"])));
    }
    return planned;
  }
  return fail(ErrorKind::kUsage, file + " has no workload " + options.workload);
}

// "./models:/models:ro,z" in its parts; "${MODELS:-./m}" is one.
std::vector<std::string> mount_parts(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{' && i > 0 && text[i - 1] == '$') ++depth;
    if (text[i] == '}' && depth > 0) --depth;
    if (text[i] == ':' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

// The same mount, read-only, with its other modes.
std::string read_only_mount(const std::vector<std::string>& parts) {
  std::vector<std::string> modes;
  for (const std::string& mode : base::split(parts.size() > 2 ? parts[2] : "", ',')) {
    if (!mode.empty() && mode != "rw" && mode != "ro") modes.push_back(mode);
  }
  modes.insert(modes.begin(), "ro");
  return parts[0] + ":" + parts[1] + ":" + base::join(modes, ",");
}

// Items of a compose list that are written as one word each: `same` finds the one to replace.
template <typename Same>
void words(View service, const std::string& key, const std::string& wanted, Same&& same,
           std::vector<Operation>& out) {
  View list = service.get(key);
  for (const View& item : list.is_seq() ? list.items() : std::vector<View>()) {
    if (!item.is_scalar() || !same(item.text_or())) continue;
    if (item.text_or() != wanted) out.push_back(audit::set_value(item.id(), {}, wanted));
    return;
  }
  out.push_back(audit::append_value(service.id(), {key}, wanted));
}

// Volumes stay as they are but for their mode.
void volume_modes(View service, const OrderedJson& wanted, std::vector<Operation>& out) {
  View list = service.get("volumes");
  for (const View& item : list.is_seq() ? list.items() : std::vector<View>()) {
    for (const OrderedJson& volume : wanted) {
      if (!volume.value("read_only", false)) continue;
      std::string path = volume.value("target", "");
      if (item.is_map() && item.get("target").text_or() == path) {
        bool already = item.get("read_only").as_bool().value_or(false);
        if (!already) out.push_back(audit::set_value(item.id(), {"read_only"}, true));
      } else if (auto parts = mount_parts(item.text_or()); parts.size() > 1 && parts[1] == path) {
        auto modes = base::split(parts.size() > 2 ? parts[2] : "", ',');
        if (std::find(modes.begin(), modes.end(), "ro") != modes.end()) continue;
        out.push_back(audit::set_value(item.id(), {}, read_only_mount(parts)));
      }
    }
  }
}

Result<Planned> plan_compose(const verdict::Proof& proof, emit::Options options,
                             const std::string& file, const std::deque<Document>& documents) {
  if (documents.empty()) return fail(ErrorKind::kUsage, file + " has no services");
  View root = documents[0].root();
  std::vector<std::string> names;
  for (const auto& [name, service] : root.get("services").entries()) names.emplace_back(name);
  PARE_TRY(options.workload, choose(names, options.workload, file, "service", "--workload"));
  View service = root.get({"services", options.workload});
  PARE_TRY(OrderedJson patch, patch_json(proof, "compose", options));
  OrderedJson& own = patch["services"][options.workload];
  std::vector<Operation> special;
  if (own.contains("tmpfs") && service.get("tmpfs").is_seq()) {
    for (const OrderedJson& item : own["tmpfs"]) {
      std::string wanted = item;
      words(
          service, "tmpfs", wanted,
          [&](const std::string& text) {
            return base::split(text, ':')[0] == base::split(wanted, ':')[0];
          },
          special);
    }
    own.erase("tmpfs");
  }
  if (View one = service.get("tmpfs"); own.contains("tmpfs") && one.is_scalar()) {
    OrderedJson all = OrderedJson::array({one.text_or()});
    for (const OrderedJson& item : own["tmpfs"]) all.push_back(item);
    special.push_back(audit::set_value(service.id(), {"tmpfs"}, all));
    own.erase("tmpfs");
  }
  if (own.contains("environment") && service.get("environment").is_seq()) {
    for (const auto& [name, value] : own["environment"].items()) {
      std::string prefix = name + "=";
      words(
          service, "environment", prefix + value.get<std::string>(),
          [&](const std::string& text) { return base::starts_with(text, prefix); }, special);
    }
    own.erase("environment");
  }
  if (own.contains("volumes") && service.get("volumes").is_seq()) {
    volume_modes(service, own["volumes"], special);
    own.erase("volumes");
  }
  Merge merge;
  merge.map(root, patch);
  Planned planned{0, merge.operations()};
  planned.operations.insert(planned.operations.end(), special.begin(), special.end());
  return planned;
}

// One pass over the file's text.
Result<std::string> patched_text(const verdict::Proof& proof, const std::string& to,
                                 const emit::Options& options, const std::string& file,
                                 const std::string& text) {
  bool compose = to == "compose";
  auto dialect = compose ? audit::Dialect::kCompose : audit::Dialect::kKubernetes;
  PARE_TRY(std::deque<Document> documents, parse(file, text, dialect));
  PARE_TRY(Planned planned, compose ? plan_compose(proof, options, file, documents)
                                    : plan_kubernetes(proof, options, file, documents));
  const Document& before = documents[planned.document];
  auto replacements = audit::render(text, before.yaml, dialect, planned.operations);
  if (!replacements) {
    return fail(ErrorKind::kUnread, place_in(file, text, replacements.error()) +
                                        "; edit it by hand, or take what --to " + to + " writes");
  }
  auto edited = audit::apply_replacements(text, *replacements);
  if (!edited) return fail(ErrorKind::kUnread, file + ": its edits overlap; edit it by hand");
  PARE_TRY(std::deque<Document> after, parse(file, *edited, dialect));
  bool meant = after.size() == documents.size() &&
               audit::edited_as_meant(before.yaml, after[planned.document].yaml, dialect,
                                      planned.operations);
  if (!meant) return fail(ErrorKind::kUnread, file + ": cannot be edited safely; edit it by hand");
  return *edited;
}

}  // namespace

Result<std::string> patched_file(const verdict::Proof& proof, const std::string& to,
                                 emit::Options options, const std::string& file) {
  if (auto patch = emit::merge_patch(proof, to, options); !patch) {
    return tl::unexpected(patch.error());
  }
  PARE_TRY(std::string text, base::read_file(file));
  for (int pass = 0; pass < kPasses; ++pass) {
    PARE_TRY(std::string next, patched_text(proof, to, options, file, text));
    if (next == text) break;
    text = std::move(next);
  }
  return text;
}

}  // namespace pare::cli
