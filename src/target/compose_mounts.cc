// A compose service's volumes, secrets and configs.
#include <fmt/format.h>

#include <array>

#include "base/text.h"
#include "target/compose_service.h"

namespace pare::target::compose {

void ServiceReader::read_volumes(Keys& keys) {
  const Tree* list = keys.get("volumes");
  if (list == nullptr) return;
  if (!list->is_seq()) return reader_.refuse(*list, "volumes is not a list");
  for (const Tree& item : list->seq) {
    if (item.is_map()) {
      long_volume(item);
    } else {
      short_volume(item);
    }
  }
}

void ServiceReader::short_volume(const Tree& item) {
  std::string text = item.text_or();
  size_t colon = text.find(':');
  std::string source = colon == std::string::npos ? "" : text.substr(0, colon);
  if (is_path(source)) text = absolute(source, item) + text.substr(colon);
  if (colon == 0) {
    return reader_.refuse(item, "a volume without its source: " +
                                    (item.remark.empty() ? "'" + text + "'" : item.remark));
  }
  auto volume = reader_.take(item, parse_volume(text), "volumes");
  if (volume) add_volume(std::move(*volume), item);
}

void ServiceReader::long_volume(const Tree& item) {
  Keys keys(reader_, &item, "volumes");
  std::string type = keys.text("type").value_or("volume");
  std::string source = keys.text("source").value_or("");
  auto path = keys.text("target");
  bool read_only = keys.boolean("read_only").value_or(false);
  const Tree* tmpfs = keys.get("tmpfs");
  Keys bind(reader_, keys.get("bind"), "volumes.bind");
  std::string propagation = bind.text("propagation").value_or("rprivate");
  if (propagation != "rprivate" && propagation != "private") {
    reader_.refuse(item, "bind.propagation " + propagation + " is not supported");
  }
  static constexpr std::array<KeyRule, 3> kBind = {
      {{"create_host_path"}, {"selinux"}, {"recursive"}}};
  bind.finish(kBind);
  static constexpr std::array<KeyRule, 3> kRules = {{{"volume"}, {"consistency"}, {"image"}}};
  keys.finish(kRules);
  auto clean = reader_.take(item, parse_container_path(path.value_or("")), "volumes.target");
  if (!clean) return;
  if (const Tree* sub = item.get({"volume", "subpath"})) {
    reader_.refuse(*sub, "subpath is not supported: bind the directory itself");
  }
  if (type == "tmpfs") return long_tmpfs(*clean, tmpfs, item);
  if (type != "bind" && type != "volume") {
    return reader_.refuse(item, "volume type " + type + " is not supported");
  }
  if (type == "bind") source = absolute(source, item);
  add_volume({source, *clean, type == "volume" && !source.empty(), read_only}, item);
}

void ServiceReader::long_tmpfs(const std::string& path, const Tree* tmpfs, const Tree& item) {
  Keys keys(reader_, tmpfs, "volumes.tmpfs");
  std::vector<std::string> words;
  if (auto size = keys.text("size"); size && !size->empty()) {
    auto bytes = reader_.take(item, parse_bytes(*size), "tmpfs.size");
    if (bytes) words.push_back(fmt::format("size={}", *bytes));
  }
  if (auto mode = keys.text("mode")) words.push_back("mode=" + *mode);
  keys.finish();
  option("tmpfs", words.empty() ? path : path + ":" + base::join(words, ","), item);
}

// A named volume by the name that the engine knows it by.
void ServiceReader::add_volume(Volume volume, const Tree& item) {
  if (volume.named) {
    const auto& binds = reader_.options().binds;
    auto bound = binds.find("volume/" + volume.source);
    const Tree* volumes = project_.root.get("volumes");
    const Tree::Entry* entry = volumes == nullptr ? nullptr : volumes->find(volume.source);
    if (bound != binds.end()) {
      volume = {bound->second, volume.path, false, volume.read_only};
    } else if (entry == nullptr) {
      return reader_.refuse(item, "volume " + volume.source +
                                      " is not among the file's volumes: write ./" + volume.source +
                                      " for a directory");
    } else {
      name_volume(entry->value, &volume);
    }
  }
  line_.target.volumes.push_back(std::move(volume));
}

void ServiceReader::name_volume(const Tree& definition, Volume* volume) {
  tell_remarks(definition);
  const Tree* own = definition.get("name");
  const Tree* external = definition.get("external");
  const Tree* device = definition.get({"driver_opts", "device"});
  const Tree* how = definition.get({"driver_opts", "o"});
  if (device != nullptr && how != nullptr && how->text_or().find("bind") != std::string::npos) {
    volume->source = absolute(device->text_or(), definition);
    volume->named = false;
    return;
  }
  if (own != nullptr) {
    volume->source = own->text_or();
  } else if (external == nullptr || external->text_or() == "false") {
    volume->source = project_.name + "_" + volume->source;
  }
}

void ServiceReader::read_tmpfs(Keys& keys) {
  if (const Tree* value = keys.get("tmpfs")) options("tmpfs", *value);
}

void ServiceReader::read_files(Keys& keys, const char* key) {
  const Tree* list = keys.get(key);
  if (list == nullptr) return;
  bool secret = std::string_view(key) == "secrets";
  for (const Tree& item : list->seq) {
    Keys one(reader_, item.is_map() ? &item : nullptr, key);
    std::string source = item.is_map() ? one.text("source").value_or("") : item.text_or();
    std::string target = one.text("target").value_or(source);
    unsigned mode = one.mode("mode").value_or(0444);
    VolumeContent content;
    content.uid = one.id("uid").value_or(0);
    content.gid = one.id("gid").value_or(0);
    one.finish();
    if (target.empty() || target[0] != '/') target = (secret ? "/run/secrets/" : "/") + target;
    content.single = true;
    content.secret = secret;
    std::string text;
    if (!file_text(item, key, source, &text)) continue;
    content.files = {{target.substr(target.rfind('/') + 1), text, mode}};
    content.volume = line_.target.volumes.size();
    auto path = reader_.take(item, parse_container_path(target), key);
    if (!path) continue;
    line_.target.volumes.push_back({"", *path, false, true});
    out_.contents.push_back(std::move(content));
  }
}

// What a top-level secret or config holds.
bool ServiceReader::file_text(const Tree& item, const char* key, const std::string& source,
                              std::string* text) {
  const Tree* definition = project_.root.get({key, source});
  if (definition == nullptr) {
    reader_.refuse(item, fmt::format("{} is not among the file's {}", source, key));
    return false;
  }
  tell_remarks(*definition);
  const auto& given = reader_.options().secrets;
  if (auto found = given.find(source); found != given.end()) {
    *text = found->second;
    return true;
  }
  Keys keys(reader_, definition, key);
  auto file = keys.text("file"), variable = keys.text("environment"),
       content = keys.text("content");
  static constexpr std::array<KeyRule, 4> kRules = {
      {{"name"}, {"external"}, {"labels"}, {"driver"}}};
  keys.finish(kRules);
  if (content) {
    *text = *content;
  } else if (variable) {
    auto found = project_.environment.find(*variable);
    if (found != project_.environment.end()) *text = found->second;
  } else if (file) {
    auto read = reader_.options().read_file(absolute(*file, *definition));
    if (read) *text = std::move(*read);
    if (!read && !reader_.options().not_to_run) reader_.refuse(item, read.error().message);
  } else if (!reader_.options().not_to_run) {
    reader_.refuse(item, fmt::format("{} is kept outside of this file: give it with "
                                     "--secret {}=FILE",
                                     source, source));
  }
  return true;
}

}  // namespace pare::target::compose
