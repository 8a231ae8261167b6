// A compose service's network, devices and limits.
#include <algorithm>
#include <array>
#include <tuple>

#include "base/text.h"
#include "target/compose_service.h"

namespace pare::target::compose {

void ServiceReader::read_ports(Keys& keys) {
  const Tree* list = keys.get("ports");
  if (list == nullptr) return;
  if (!list->is_seq()) return reader_.refuse(*list, "ports is not a list");
  for (const Tree& item : list->seq) {
    if (!item.is_map()) {
      option("publish", item.text_or(), item);
      continue;
    }
    Keys port(reader_, &item, "ports");
    std::string text = port.text("target").value_or("");
    std::string published = port.text("published").value_or("");
    std::string address = port.text("host_ip").value_or("");
    if (address.find(':') != std::string::npos) address = "[" + address + "]";
    if (!published.empty() || !address.empty()) text = published + ":" + text;
    if (!address.empty()) text = address + ":" + text;
    if (auto protocol = port.text("protocol")) text += "/" + *protocol;
    static constexpr std::array<KeyRule, 3> kRules = {{{"mode"}, {"name"}, {"app_protocol"}}};
    port.finish(kRules);
    option("publish", text, item);
  }
}

void ServiceReader::read_network(Keys& keys) {
  const Tree* hosts = keys.get("extra_hosts");
  if (hosts != nullptr && hosts->is_seq()) options("add-host", *hosts);
  if (hosts != nullptr) {
    for (const Tree::Entry& entry : hosts->map) {
      option("add-host", entry.key + ":" + entry.value.text_or(), entry.value);
    }
  }
  if (const Tree* mode = keys.get("network_mode")) {
    std::string text = mode->text_or();
    if (base::starts_with(text, "service:")) {
      reader_.refuse(
          *mode, "network_mode " + text + ": sharing another service's network is not supported");
    } else {
      option("network", text, *mode);
    }
  }
  const Tree* networks = keys.get("networks");
  if (networks == nullptr) return;
  std::vector<std::string> names;
  for (const Tree& item : networks->seq) names.push_back(item.text_or());
  for (const Tree::Entry& entry : networks->map) names.push_back(entry.key);
  bool internal = !names.empty();
  for (const std::string& name : names) {
    const Tree* one = project_.root.get({"networks", name, "internal"});
    internal &= one != nullptr && one->text_or() == "true";
  }
  if (internal) line_.target.network = "none";  // Docker gives such a network no way out
}

void ServiceReader::read_devices(Keys& keys) {
  if (const Tree* gpus = keys.get("gpus")) {
    if (gpus->is_scalar()) {
      option("gpus", gpus->text, *gpus);
    } else {
      for (const Tree& item : gpus->seq) add_gpu(item);
    }
  }
  const Tree* devices = keys.get("devices");
  if (devices == nullptr) return;
  for (const Tree& item : devices->seq) {
    if (item.is_scalar()) {
      option("device", item.text, item);
      continue;
    }
    Keys device(reader_, &item, "devices");
    std::string source = device.text("source").value_or("");
    std::string target = device.text("target").value_or(source);
    std::string rights = device.text("permissions").value_or("rwm");
    device.finish();
    option("device", source + ":" + target + ":" + rights, item);
  }
}

// An entry of gpus or deploy.resources.reservations.devices.
void ServiceReader::add_gpu(const Tree& item) {
  Keys keys(reader_, &item, "devices");
  std::string driver = keys.text("driver").value_or("nvidia");
  auto count = keys.text("count");
  std::vector<std::string> ids = keys.texts("device_ids");
  keys.get("capabilities");
  keys.get("options");
  keys.finish();
  if (driver == "cdi") {
    for (const std::string& id : ids) option("device", id, item);
  } else if (driver != "nvidia") {
    reader_.refuse(item, "device driver " + driver + " is not supported: use nvidia or cdi");
  } else {
    line_.target.gpus = ids.empty() ? count.value_or("all") : "device=" + base::join(ids, ",");
  }
}

void ServiceReader::read_limits(Keys& keys) {
  for (auto [key, name, separator] :
       {std::tuple("ulimits", "ulimit", "="), std::tuple("sysctls", "sysctl", "=")}) {
    const Tree* all = keys.get(key);
    if (all == nullptr) continue;
    if (all->is_seq()) options(name, *all);
    for (const Tree::Entry& entry : all->map) {
      std::string value = entry.value.text_or();
      if (entry.value.is_map()) {
        Keys limit(reader_, &entry.value, key);
        std::string soft = limit.text("soft").value_or("");
        value = soft + ":" + limit.text("hard").value_or(soft);
        limit.finish();
      }
      option(name, entry.key + separator + value, entry.value);
    }
  }
}

void ServiceReader::read_deploy(Keys& keys) {
  Keys deploy(reader_, keys.get("deploy"), "deploy");
  Keys resources(reader_, deploy.get("resources"), "deploy.resources");
  Keys limits(reader_, resources.get("limits"), "deploy.resources.limits");
  for (auto [key, name] : {std::pair("memory", "memory"), std::pair("cpus", "cpus"),
                           std::pair("pids", "pids-limit")}) {
    if (const Tree* value = limits.get(key)) options(name, *value);
  }
  for (const Tree* device : limits.maps("devices")) add_gpu(*device);
  limits.finish();
  Keys reserved(reader_, resources.get("reservations"), "deploy.resources.reservations");
  for (const Tree* device : reserved.maps("devices")) add_gpu(*device);
  static constexpr std::array<KeyRule, 4> kReserved = {
      {{"memory"}, {"cpus"}, {"pids"}, {"generic_resources"}}};
  reserved.finish(kReserved);
  resources.finish();
  static constexpr std::array<KeyRule, 8> kDeploy = {{{"replicas"},
                                                      {"mode"},
                                                      {"placement"},
                                                      {"update_config"},
                                                      {"rollback_config"},
                                                      {"restart_policy"},
                                                      {"labels"},
                                                      {"endpoint_mode"}}};
  deploy.finish(kDeploy);
}

}  // namespace pare::target::compose
