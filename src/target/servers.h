// What is known of inference servers before anything runs: ports and roles, caches, telemetry,
// users, hosts. Data (data/servers/NAME.json, one file a family, compiled in); each fact carries
// its source and whether it was verified. A measurement always wins over it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace pare::target {

struct ServerPort {
  uint16_t port = 0;
  std::string protocol = "tcp";
  std::string role;    // "inference" | "metrics" | "admin" | "grpc" | "internal" | "unknown"
  std::string speaks;  // "openai", "kserve-v2", "kserve-grpc", "prometheus", ...; may be empty
  std::string what;    // one clause
  bool verified = false;
  std::string source;
};

// How the user moves a port: a variable or a flag whose value is the new number.
struct PortSetting {
  std::string name;  // "NIM_SERVER_PORT" or "--http-port"
  std::string role;
};

struct AdminPath {
  std::string path;
  std::string what;       // what a caller may do with it
  std::string closed_by;  // the server's own switch; empty: none known
  bool open_by_default = true;
  bool verified = false;
};

struct ServerDirectory {
  std::string path;
  std::string what;
  std::string variable;  // points the server elsewhere; empty: none
  bool model = false;    // holds models: belongs on a volume, not on a tmpfs
  bool exec = false;     // files in it are mapped executable
};

struct Telemetry {
  std::string sender, host;
  std::string variable, off;  // VARIABLE=off switches it off
  bool off_by_default = false;
  std::string when_blocked;
  bool verified = false;
  std::string source;
};

// A setting that opens what production does not need.
struct RiskySetting {
  std::string name;   // variable or flag
  std::string value;  // only this value is risky; empty: any but "", 0 and false
  std::string kind;   // "dev" | "admin" | "code"
  std::string what;
};

struct Vulnerability {
  std::string id;
  std::string below;  // first fixed version, compared numerically part by part
  std::string from;   // first affected version; empty: all
  std::string what;
  std::string source;
};

// The server's own way to close an endpoint.
struct ServerSwitch {
  std::vector<std::string> arguments;              // appended to its command
  std::vector<std::string> without;                // words to leave out of it
  std::map<std::string, std::string> environment;  // set
  bool empty() const { return arguments.empty() && without.empty() && environment.empty(); }
};

// A path that no inference client needs, on any port. `method` is what may be asked without doing
// anything, and but one for each path: one that reads, else GET or OPTIONS where POST acts (405
// says that the path is there). Metrics are Prometheus' text.
struct ServerEndpoint {
  std::string method = "GET";
  std::string path;
  std::string role;  // "metrics" | "admin"
  std::string what;  // what a caller may do with it
  ServerSwitch off;  // empty: none known
  bool verified = false;
  std::string source;
};

// Words in the answer to a GET that only this family says.
struct ServerAnswer {
  std::string path;
  std::string text;
};

struct Server {
  std::string family;  // "nim"
  std::string title;   // "NVIDIA NIM"
  std::string source;
  std::vector<std::string> images;    // parts of image references; the longest match decides
  std::vector<std::string> commands;  // parts of the command line
  std::optional<uint32_t> uid, gid;   // of the image, where known
  bool root_image = false;            // its image starts as root
  bool user_verified = false;
  bool serves_offline = false;  // documented to serve without network once pulled
  std::vector<ServerPort> ports;
  std::vector<PortSetting> port_settings;
  std::vector<AdminPath> admin_paths;
  std::vector<ServerDirectory> writable;
  std::map<std::string, std::string> environment;  // needed with a read-only root or a foreign uid
  std::vector<Telemetry> telemetry;
  std::vector<RiskySetting> risky;
  std::vector<std::string> pull_hosts;
  std::vector<std::string> keys;  // variables that only the pull needs
  std::vector<Vulnerability> vulnerabilities;
  std::vector<ServerEndpoint> endpoints;
  std::vector<ServerAnswer> answers;
};

struct ServerFile {
  std::string_view name;
  std::string_view text;
};
const std::vector<ServerFile>& embedded_server_files();

// One file of data/servers. kUnread naming file and field.
Result<Server> parse_server(const std::string& text, const std::string& name);

// All embedded files that parse (a test asserts that all do), by family.
const std::vector<Server>& servers();
const Server* find_server(std::string_view family);

// By image reference first (longest match), then by the command line. nullptr: not recognised.
const Server* recognise_server(std::string_view image, const std::vector<std::string>& command);

// The family whose endpoint table holds this path, `family` first; nullptr where none does.
const ServerEndpoint* find_endpoint(std::string_view family, std::string_view method,
                                    std::string_view path);

// The rows for a port number; a number alone proves nothing, so `verified` matters.
const ServerPort* find_port(const Server& server, uint16_t port);

// Numeric comparison part by part: "25.07" < "26.01-py3"; nullopt where either has no number.
std::optional<int> compare_versions(std::string_view a, std::string_view b);

}  // namespace pare::target
