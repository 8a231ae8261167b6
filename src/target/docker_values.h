// The values of `docker run`'s options, as its own documentation spells them (docs.docker.com,
// "docker container run"; docker/cli opts/ and moby volume/mounts/linux_parser.go are the code).
// Errors are kUsage, carry the offending text, and leave naming the option to the caller.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "target/target.h"

namespace pare::target {

// A caller's environment: value by name.
using Environment = std::map<std::string, std::string>;

// An absolute path in the container, without "." and a "/" at its end; not the root itself.
Result<std::string> parse_container_path(const std::string& text);

// -v [SOURCE:]PATH[:MODE,...]. A relative SOURCE (./x) is taken from the working directory.
Result<Volume> parse_volume(const std::string& text);

// --mount type=bind|volume|tmpfs,...: a volume, or a tmpfs with its options as --tmpfs has them.
struct Mount {
  bool tmpfs = false;
  Volume volume;              // path alone for a tmpfs
  std::string tmpfs_options;  // "size=64m,mode=1770"
};
Result<Mount> parse_mount(const std::string& text);

// -p [[ADDRESS:][HOST]:]PORT[/PROTOCOL], ranges included.
Result<std::vector<PublishedPort>> parse_ports(const std::string& text);
// --expose PORT[-PORT][/PROTOCOL] as "8000/tcp", one entry a port.
Result<std::vector<std::string>> parse_expose(const std::string& text);

// "64", "512k", "1.5g", "16GB", "16GiB": bytes; all units are powers of 1024 (go-units RAMInBytes).
Result<uint64_t> parse_bytes(std::string_view text);

// --ulimit NAME=SOFT[:HARD], -1 for unlimited.
Result<Ulimit> parse_ulimit(const std::string& text);

// -e NAME=VALUE, or NAME alone: its value in `environment`, where it has to be set.
Result<EnvVar> parse_env(const std::string& text, const Environment& environment);
// The text of an --env-file; `path` is for the errors (FILE:LINE). No quotes, no escapes.
Result<std::vector<EnvVar>> parse_env_file(const std::string& text, const std::string& path,
                                           const Environment& environment);
// Adds it, or replaces the one of the same name.
void set_env(std::vector<EnvVar>& env, EnvVar variable);

// "true", "1", "false", "0" and their like (Go's strconv.ParseBool).
Result<bool> parse_bool(const std::string& text);

// One record of RFC 4180.
Result<std::vector<std::string>> split_csv(const std::string& text);

}  // namespace pare::target
