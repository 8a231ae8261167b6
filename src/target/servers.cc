#include "target/servers.h"

#include <algorithm>
#include <cctype>

#include "base/json.h"
#include "base/text.h"

namespace pare::target {
namespace {
using base::Json;

std::string text_of(const Json& json, const char* key) {
  return json.value(key, std::string());
}

template <typename T, typename F>
std::vector<T> rows(const Json& json, const char* key, F&& read) {
  std::vector<T> result;
  if (!json.contains(key)) return result;
  for (const Json& row : json.at(key)) result.push_back(read(row));
  return result;
}

ServerPort read_port(const Json& row) {
  return {row.at("port").get<uint16_t>(),
          row.value("protocol", std::string("tcp")),
          row.at("role").get<std::string>(),
          text_of(row, "speaks"),
          text_of(row, "what"),
          row.value("verified", false),
          text_of(row, "source")};
}

Telemetry read_telemetry(const Json& row) {
  return {text_of(row, "sender"),           text_of(row, "host"),
          text_of(row, "variable"),         text_of(row, "off"),
          row.value("offByDefault", false), text_of(row, "whenBlocked"),
          row.value("verified", false),     text_of(row, "source")};
}

ServerSwitch read_switch(const Json& row) {
  if (!row.is_object()) return {};
  return {row.value("arguments", std::vector<std::string>()),
          row.value("without", std::vector<std::string>()),
          row.value("environment", std::map<std::string, std::string>())};
}

ServerEndpoint read_endpoint(const Json& row) {
  return {row.value("method", std::string("GET")), row.at("path").get<std::string>(),
          row.at("role").get<std::string>(),       row.at("what").get<std::string>(),
          read_switch(row.value("off", Json())),   row.value("verified", false),
          row.at("source").get<std::string>()};
}

Server read_server(const Json& json) {
  Server server;
  server.family = json.at("family").get<std::string>();
  server.title = json.at("title").get<std::string>();
  server.source = json.at("source").get<std::string>();
  server.images = json.value("images", std::vector<std::string>());
  server.commands = json.value("commands", std::vector<std::string>());
  server.uid = base::get_optional<uint32_t>(json, "uid");
  server.gid = base::get_optional<uint32_t>(json, "gid");
  server.root_image = json.value("rootImage", false);
  server.user_verified = json.value("userVerified", false);
  server.serves_offline = json.value("servesOffline", false);
  server.ports = rows<ServerPort>(json, "ports", read_port);
  server.port_settings = rows<PortSetting>(json, "portSettings", [](const Json& row) {
    return PortSetting{row.at("name").get<std::string>(), row.at("role").get<std::string>()};
  });
  server.admin_paths = rows<AdminPath>(json, "adminPaths", [](const Json& row) {
    return AdminPath{row.at("path").get<std::string>(), text_of(row, "what"),
                     text_of(row, "closedBy"), row.value("openByDefault", true),
                     row.value("verified", false)};
  });
  server.writable = rows<ServerDirectory>(json, "writable", [](const Json& row) {
    return ServerDirectory{row.at("path").get<std::string>(), text_of(row, "what"),
                           text_of(row, "variable"), row.value("model", false),
                           row.value("exec", false)};
  });
  server.environment = json.value("environment", std::map<std::string, std::string>());
  server.telemetry = rows<Telemetry>(json, "telemetry", read_telemetry);
  server.risky = rows<RiskySetting>(json, "risky", [](const Json& row) {
    return RiskySetting{row.at("name").get<std::string>(), text_of(row, "value"),
                        row.at("kind").get<std::string>(), text_of(row, "what")};
  });
  server.pull_hosts = json.value("pullHosts", std::vector<std::string>());
  server.keys = json.value("keys", std::vector<std::string>());
  server.vulnerabilities = rows<Vulnerability>(json, "vulnerabilities", [](const Json& row) {
    return Vulnerability{row.at("id").get<std::string>(), row.at("below").get<std::string>(),
                         text_of(row, "from"), text_of(row, "what"), text_of(row, "source")};
  });
  server.endpoints = rows<ServerEndpoint>(json, "endpoints", read_endpoint);
  server.answers = rows<ServerAnswer>(json, "answers", [](const Json& row) {
    return ServerAnswer{row.at("path").get<std::string>(), row.at("text").get<std::string>()};
  });
  return server;
}

// The length of the longest part that occurs in `text`; 0 for none.
size_t longest_match(const std::vector<std::string>& parts, std::string_view text) {
  size_t best = 0;
  for (const std::string& part : parts) {
    if (text.find(part) != std::string_view::npos) best = std::max(best, part.size());
  }
  return best;
}

// The leading dotted number of a tag: "v0.8.5.post1" -> {0, 8, 5}, "25.07-py3" -> {25, 7}.
std::vector<uint64_t> version_parts(std::string_view text) {
  std::vector<uint64_t> parts;
  if (!text.empty() && (text[0] == 'v' || text[0] == 'b')) text.remove_prefix(1);
  while (!text.empty() && isdigit(static_cast<unsigned char>(text[0])) != 0) {
    size_t end = 0;
    while (end < text.size() && isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
    auto number = base::parse_u64(text.substr(0, end));
    if (!number) return {};
    parts.push_back(*number);
    text.remove_prefix(end);
    if (text.empty() || text[0] != '.') break;
    text.remove_prefix(1);
  }
  return parts;
}
}  // namespace

Result<Server> parse_server(const std::string& text, const std::string& name) {
  PARE_TRY(Json json, base::parse_json(text, name));
  return base::read_json(name, [&] { return read_server(json); });
}

const std::vector<Server>& servers() {
  static const std::vector<Server> kServers = [] {
    std::vector<Server> all;
    for (const ServerFile& file : embedded_server_files()) {
      auto server = parse_server(std::string(file.text), std::string(file.name));
      if (server) all.push_back(std::move(*server));
    }
    std::sort(all.begin(), all.end(),
              [](const Server& a, const Server& b) { return a.family < b.family; });
    return all;
  }();
  return kServers;
}

const Server* find_server(std::string_view family) {
  for (const Server& server : servers()) {
    if (server.family == family) return &server;
  }
  return nullptr;
}

const Server* recognise_server(std::string_view image, const std::vector<std::string>& command) {
  const std::string name = base::lower(image);
  const std::string line = base::join(command, " ");
  const Server* best = nullptr;
  size_t best_length = 0;
  for (const Server& server : servers()) {
    size_t length = longest_match(server.images, name);
    if (length > best_length) best = &server, best_length = length;
  }
  if (best != nullptr) return best;
  for (const Server& server : servers()) {
    size_t length = longest_match(server.commands, line);
    if (length > best_length) best = &server, best_length = length;
  }
  return best;
}

const ServerEndpoint* find_endpoint(std::string_view family, std::string_view method,
                                    std::string_view path) {
  const ServerEndpoint* other = nullptr;
  for (const Server& server : servers()) {
    for (const ServerEndpoint& row : server.endpoints) {
      if (row.method != method || row.path != path) continue;
      if (server.family == family) return &row;
      // Another family's switch says nothing of this server; what the path is for may.
      if (server.family == "http") other = &row;
    }
  }
  return other;
}

const ServerPort* find_port(const Server& server, uint16_t port) {
  for (const ServerPort& row : server.ports) {
    if (row.port == port) return &row;
  }
  return nullptr;
}

std::optional<int> compare_versions(std::string_view a, std::string_view b) {
  std::vector<uint64_t> left = version_parts(a), right = version_parts(b);
  if (left.empty() || right.empty()) return std::nullopt;
  left.resize(std::max(left.size(), right.size()));
  right.resize(left.size());
  if (left == right) return 0;
  return left < right ? -1 : 1;
}

}  // namespace pare::target
