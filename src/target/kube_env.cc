// env and envFrom, as the kubelet makes them (pkg/kubelet/kubelet_pods.go,
// makeEnvironmentVariables).
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/text.h"
#include "target/base64.h"
#include "target/kube.h"

namespace pare::target::kube {

namespace {

void put(Job& job, const std::string& name, std::string value, bool secret) {
  set_env(job.out.target.env, {name, std::move(value), secret || looks_secret(name)});
}

// A Secret's value, decoded; nullopt: the key is not there.
std::optional<std::string> secret_value(Job& job, const Tree& secret, const std::string& key) {
  // stringData overrides data.
  if (const Tree* plain = secret.get({"stringData", key})) return plain->text_or();
  const Tree* data = secret.get({"data", key});
  if (data == nullptr) return std::nullopt;
  auto decoded = decode_base64(data->text_or());
  if (!decoded) job.reader.refuse(*data, "data." + key + " is not base64");
  return decoded.value_or("");
}

// valueFrom.secretKeyRef
void from_secret(Job& job, const std::string& variable, const Tree& tree) {
  Keys keys(job.reader, &tree, "secretKeyRef");
  std::string name = keys.text("name").value_or(""), key = keys.text("key").value_or("");
  bool optional = keys.boolean("optional").value_or(false);
  keys.finish();
  const auto& given = job.reader.options().secrets;
  for (const std::string& from : {variable, name + "/" + key}) {
    if (auto at = given.find(from); at != given.end()) return put(job, variable, at->second, true);
  }
  auto secret = job.cluster.secrets.find(name);
  if (secret != job.cluster.secrets.end()) {
    if (auto value = secret_value(job, *secret->second, key)) {
      return put(job, variable, *value, true);
    }
  }
  if (job.reader.options().not_to_run) return put(job, variable, "", true);
  if (optional) return;
  job.reader.refuse(tree, fmt::format("variable {} comes from key {} of Secret {}, which is not in "
                                      "these files: give it with --secret {}=FILE",
                                      variable, key, name, variable));
}

void from_config_map(Job& job, const std::string& variable, const Tree& tree) {
  Keys keys(job.reader, &tree, "configMapKeyRef");
  std::string name = keys.text("name").value_or(""), key = keys.text("key").value_or("");
  bool optional = keys.boolean("optional").value_or(false);
  keys.finish();
  auto map = job.cluster.config_maps.find(name);
  const Tree* value =
      map == job.cluster.config_maps.end() ? nullptr : map->second->get({"data", key});
  if (value != nullptr) return put(job, variable, value->text_or(), false);
  if (optional || job.reader.options().not_to_run) return;
  job.reader.refuse(tree, fmt::format("variable {} comes from key {} of ConfigMap {}, which is not "
                                      "in these files: add its file, or give --env {}=VALUE",
                                      variable, key, name, variable));
}

// Downward API: what a Pod of this name would see.
void from_field(Job& job, const std::string& variable, const Tree& tree) {
  Keys keys(job.reader, &tree, "fieldRef");
  std::string path = keys.text("fieldPath").value_or("");
  keys.get("apiVersion");
  keys.finish();
  std::string value;
  const Pod& pod = job.pod;
  if (path == "metadata.name") {
    value = pod.name;
  } else if (path == "metadata.namespace") {
    value = pod.name_space.empty() ? "default" : pod.name_space;
  } else if (path == "status.podIP" || path == "status.podIPs") {
    value = "192.0.2.1";  // the address that checks speak to
  } else if (path == "status.hostIP" || path == "status.hostIPs") {
    value = "192.0.2.2";
  } else if (path == "spec.nodeName") {
    value = "node";
  } else if (path == "spec.serviceAccountName") {
    const Tree* account = pod.spec->get("serviceAccountName");
    value = account == nullptr ? "default" : account->text_or();
  } else if (path == "metadata.uid") {
    value = "00000000-0000-4000-8000-000000000000";
  }
  for (std::string_view part : {"labels", "annotations"}) {
    std::string head = fmt::format("metadata.{}['", part);
    if (!base::starts_with(path, head) || path.size() < head.size() + 2 || !pod.metadata) continue;
    std::string key = path.substr(head.size(), path.size() - head.size() - 2);
    if (const Tree* found = pod.metadata->get({part, key})) value = found->text_or();
  }
  job.reader.note(tree, fmt::format("variable {} is {} of the Pod: trials set it to '{}'", variable,
                                    path, value));
  put(job, variable, value, false);
}

void from_resource(Job& job, const std::string& variable, const Tree& tree) {
  Keys keys(job.reader, &tree, "resourceFieldRef");
  std::string resource = keys.text("resource").value_or("");
  keys.get("containerName");
  const Tree* divisor_tree = keys.get("divisor");
  keys.finish();
  double divisor =
      parse_quantity(divisor_tree == nullptr ? "1" : divisor_tree->text_or()).value_or(1);
  if (divisor == 0) divisor = 1;
  std::vector<std::string> parts = base::split(resource, '.');
  const Tree* amount =
      parts.size() == 2 ? job.container.get({"resources", parts[0], parts[1]}) : nullptr;
  auto value = amount == nullptr ? std::nullopt : parse_quantity(amount->text_or());
  if (!value) {
    job.reader.note(tree, fmt::format("variable {} is {}, which is not set: a node's own value "
                                      "there, 1 in trials",
                                      variable, resource));
  }
  double units = value ? std::ceil(*value / divisor) : 1;
  put(job, variable, fmt::format("{:.0f}", units), false);
}

void read_variable(Job& job, const Tree& tree) {
  Keys keys(job.reader, &tree, "env");
  std::string name = keys.text("name").value_or("");
  if (name.empty()) return job.reader.refuse(tree, "a variable without a name");
  const Tree* from = keys.get("valueFrom");
  auto value = keys.text("value");
  keys.finish();
  if (from == nullptr) {
    return put(job, name, expand(value.value_or(""), job.out.target.env), false);
  }
  struct Source {
    std::string_view key;
    void (*read)(Job&, const std::string&, const Tree&);
  };
  static constexpr std::array<Source, 4> kSources = {{{"secretKeyRef", from_secret},
                                                      {"configMapKeyRef", from_config_map},
                                                      {"fieldRef", from_field},
                                                      {"resourceFieldRef", from_resource}}};
  Keys sources(job.reader, from, "valueFrom");
  for (const Source& source : kSources) {
    if (const Tree* found = sources.get(source.key)) source.read(job, name, *found);
  }
  sources.finish();
}

void read_from(Job& job, const Tree& tree) {
  Keys keys(job.reader, &tree, "envFrom");
  std::string prefix = keys.text("prefix").value_or("");
  for (std::string_view key : {"configMapRef", "secretRef"}) {
    const Tree* ref = keys.get(key);
    if (ref == nullptr) continue;
    bool secret = key == "secretRef";
    Keys inner(job.reader, ref, std::string(key));
    std::string name = inner.text("name").value_or("");
    bool optional = inner.boolean("optional").value_or(false);
    inner.finish();
    const auto& known = secret ? job.cluster.secrets : job.cluster.config_maps;
    auto found = known.find(name);
    if (found == known.end()) {
      if (optional || job.reader.options().not_to_run) continue;
      job.reader.refuse(*ref, fmt::format("the variables of {} {} are not in these files: add the "
                                          "file that has it",
                                          secret ? "Secret" : "ConfigMap", name));
      continue;
    }
    for (std::string_view part : {"data", "stringData"}) {
      const Tree* data = found->second->get(part);
      if (data == nullptr || (!secret && part == "stringData")) continue;
      for (const Tree::Entry& entry : data->map) {
        std::string value = secret ? secret_value(job, *found->second, entry.key).value_or("")
                                   : entry.value.text_or();
        put(job, prefix + entry.key, value, secret);
      }
    }
  }
  keys.finish();
}

}  // namespace

// third_party/forked/golang/expansion: $(NAME) of a known variable; $$ is a dollar.
std::string expand(const std::string& text, const std::vector<EnvVar>& env) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '$' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    size_t close = text[at + 1] == '(' ? text.find(')', at) : std::string::npos;
    if (text[at + 1] == '$') {
      out += '$';
      ++at;
    } else if (close == std::string::npos) {
      out += '$';
    } else {
      std::string name = text.substr(at + 2, close - at - 2);
      auto known = std::find_if(env.begin(), env.end(),
                                [&](const EnvVar& variable) { return variable.name == name; });
      out += known == env.end() ? text.substr(at, close - at + 1) : known->value;
      at = close;
    }
  }
  return out;
}

void read_environment(Job& job, Keys& container) {
  for (const Tree* tree : container.maps("envFrom")) read_from(job, *tree);
  for (const Tree* tree : container.maps("env")) read_variable(job, *tree);
  Target& t = job.out.target;
  t.entrypoint = container.texts("command");
  t.command = container.texts("args");
  for (auto* words : {&t.entrypoint, &t.command}) {
    for (std::string& word : *words) word = expand(word, t.env);
  }
}

}  // namespace pare::target::kube
