// An OCI image config (image-spec, config.md) or what `docker image inspect` prints.
#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

std::vector<std::string> texts(View list) {
  std::vector<std::string> result;
  for (View item : list.items()) result.push_back(item.text_or());
  return result;
}

void read_one(View image, const ParsedDocument& document, size_t slot, size_t file,
              FileModel* model) {
  View config = image.has("Config") ? image.get("Config") : image.get("config");
  Workload w;
  w.platform = Platform::kImage;
  w.file = file;
  w.document = document.index;
  w.kind = "image";
  View tags = image.get("RepoTags");
  w.name = tags.items().empty() ? image.get("id").text_or("image") : tags.items()[0].text_or();
  w.place = place_of(config);
  Container c;
  c.name = w.name;
  c.place = place_of(config);
  c.map = config.id();
  if (!tags.items().empty()) c.image = {w.name, place_of(tags.items()[0]), false};
  c.user = text_field(config, "User");
  if (c.user.is("")) c.user.value.reset();
  for (std::string_view key : {"Entrypoint", "Cmd"}) {
    if (c.command.empty()) c.command_place = place_of(config.get(key));
    for (std::string& word : texts(config.get(key))) c.command.push_back(std::move(word));
  }
  for (View item : config.get("Env").items()) {
    std::string text = item.text_or();
    size_t equals = text.find('=');
    std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
    c.env.push_back({text.substr(0, equals), value, false, false, place_of(item)});
  }
  for (const auto& [key, value] : config.get("ExposedPorts").entries()) {
    PortEntry entry = parse_ports(key).front();
    entry.published = false;
    entry.place = key_place(config.get("ExposedPorts"), key);
    c.ports.push_back(entry);
  }
  c.readiness = c.liveness = config.has("Healthcheck");
  finish_container(&c);
  w.containers.push_back(std::move(c));
  model->notes.push_back({file, document.index, w.place, w.kind, w.name, true, ""});
  model->workloads.push_back(std::move(w));
  model->slots.push_back(slot);
}
}  // namespace

void read_image_config(const ParsedDocument& document, size_t slot, size_t file, FileModel* model) {
  View root = document.root();
  if (root.is_map()) return read_one(root, document, slot, file, model);
  for (View image : root.items()) read_one(image, document, slot, file, model);
}

}  // namespace pare::audit
