#include "target/docker_values.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/text.h"

namespace pare::target {

namespace {

auto usage(std::string message) {
  return fail(ErrorKind::kUsage, std::move(message));
}

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

std::string clean_path(const std::string& path) {
  std::string out = std::filesystem::path(path).lexically_normal().string();
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  // POSIX leaves a leading "//" alone; a container's root has no use for it.
  if (base::starts_with(out, "//")) out.erase(0, 1);
  return out;
}

// moby daemon/names RestrictedNamePattern, at least two characters.
bool is_volume_name(std::string_view text) {
  return text.size() >= 2 && std::isalnum(static_cast<unsigned char>(text[0])) != 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
         });
}

Status set_source(Volume& volume, const std::string& source) {
  if (source.empty()) return usage("the source of the volume is empty");
  if (source[0] == '/') {
    volume.source = clean_path(source);
  } else if (source[0] == '.') {
    std::error_code ec;
    volume.source = clean_path(std::filesystem::absolute(source, ec).string());
    if (ec) return usage("the working directory of " + in_quotes(source) + " cannot be read");
  } else if (is_volume_name(source)) {
    volume.source = source;
    volume.named = true;
  } else {
    return usage(in_quotes(source) + " is neither an absolute host path nor a volume's name");
  }
  return {};
}

Status set_volume_mode(Volume& volume, const std::string& modes) {
  // SELinux labels and consistency hints grant nothing; nocopy is about what a new volume holds.
  static constexpr std::array<std::string_view, 9> kHarmless = {
      "z", "Z", "nocopy", "cached", "delegated", "consistent", "default", "private", "rprivate"};
  for (const std::string& mode : base::split(modes, ',')) {
    if (mode == "ro" || mode == "rw") {
      volume.read_only = mode == "ro";
    } else if (std::find(kHarmless.begin(), kHarmless.end(), mode) == kHarmless.end()) {
      return usage("volume mode " + in_quotes(mode) + " is not supported: use ro or rw");
    }
  }
  return {};
}

struct Range {
  uint32_t first = 0, last = 0;
  uint32_t size() const { return last - first + 1; }
};

Result<Range> parse_range(const std::string& text) {
  size_t dash = text.find('-');
  auto first = base::parse_u64(text.substr(0, dash));
  auto last = dash == std::string::npos ? first : base::parse_u64(text.substr(dash + 1));
  if (!first || !last || *first == 0 || *last > 65535 || *first > *last) {
    return usage(in_quotes(text) + " is not a port or a range of ports (1 to 65535)");
  }
  return Range{static_cast<uint32_t>(*first), static_cast<uint32_t>(*last)};
}

// Cuts "/PROTOCOL" off.
Result<std::string> take_protocol(std::string& text) {
  size_t slash = text.rfind('/');
  if (slash == std::string::npos) return std::string("tcp");
  std::string protocol = base::lower(text.substr(slash + 1));
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
    return usage(in_quotes(protocol) + " is not a protocol: use tcp, udp or sctp");
  }
  text.erase(slash);
  return protocol;
}

struct MountFields {
  std::string type = "volume";
  std::string source, target, tmpfs_size, tmpfs_mode;
  bool read_only = false;
};

Status set_mount_field(MountFields& f, const std::string& key, const std::string& value,
                       bool has_value) {
  if (key == "type") {
    f.type = value;
  } else if (key == "source" || key == "src") {
    f.source = value;
  } else if (key == "target" || key == "dst" || key == "destination") {
    f.target = value;
  } else if (key == "tmpfs-size") {
    f.tmpfs_size = value;
  } else if (key == "tmpfs-mode") {
    f.tmpfs_mode = value;
  } else if (key == "readonly" || key == "ro") {
    PARE_TRY(f.read_only, has_value ? parse_bool(value) : Result<bool>(true));
  } else if (key == "bind-propagation" && (value == "rprivate" || value == "private")) {
    return {};
  } else if (key != "consistency" && key != "volume-nocopy" && key != "volume-label") {
    static const std::vector<std::string> kKeys = {
        "type",          "source",     "target",       "readonly",   "bind-propagation",
        "volume-nocopy", "tmpfs-size", "volume-label", "tmpfs-mode", "consistency"};
    std::string near = base::nearest(key, kKeys);
    bool meant = !near.empty() && near != key;
    return usage("field " + in_quotes(has_value ? key + "=" + value : key) + " is not supported" +
                 (meant ? "; did you mean " + near + "?" : ""));
  }
  return {};
}

}  // namespace

Result<std::string> parse_container_path(const std::string& text) {
  if (text.empty() || text[0] != '/') {
    return usage(in_quotes(text) + " is not an absolute path in the container");
  }
  std::string path = clean_path(text);
  if (path == "/") return usage("a volume cannot be mounted at /");
  return path;
}

Result<bool> parse_bool(const std::string& text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return usage(in_quotes(text) + " is neither true nor false");
}

Result<std::vector<std::string>> split_csv(const std::string& text) {
  std::vector<std::string> fields;
  size_t at = 0;
  while (true) {
    std::string field;
    if (at < text.size() && text[at] == '"') {
      for (++at; at < text.size(); ++at) {
        if (text[at] == '"' && (at + 1 == text.size() || text[at + 1] != '"')) break;
        if (text[at] == '"') ++at;
        field += text[at];
      }
      if (at == text.size()) return usage(in_quotes(text) + " has a quote that is not closed");
      ++at;
      if (at < text.size() && text[at] != ',') {
        return usage(in_quotes(text) + " has text behind a closing quote");
      }
    } else {
      size_t comma = std::min(text.find(',', at), text.size());
      field = text.substr(at, comma - at);
      at = comma;
    }
    fields.push_back(field);
    if (at >= text.size()) return fields;
    ++at;
  }
}

Result<Volume> parse_volume(const std::string& text) {
  std::vector<std::string> parts = base::split(text, ':');
  if (parts.size() > 3)
    return usage(in_quotes(text) + " has too many colons: use SOURCE:PATH[:MODE]");
  Volume volume;
  PARE_TRY(volume.path, parse_container_path(parts.size() == 1 ? parts[0] : parts[1]));
  if (parts.size() >= 2) PARE_CHECK_OK(set_source(volume, parts[0]));
  if (parts.size() == 3) PARE_CHECK_OK(set_volume_mode(volume, parts[2]));
  return volume;
}

Result<Mount> parse_mount(const std::string& text) {
  MountFields f;
  std::vector<std::string> fields;
  PARE_TRY(fields, split_csv(text));
  for (const std::string& field : fields) {
    size_t equals = field.find('=');
    bool has_value = equals != std::string::npos;
    std::string value = has_value ? field.substr(equals + 1) : "";
    PARE_CHECK_OK(set_mount_field(f, base::lower(field.substr(0, equals)), value, has_value));
  }
  Mount mount;
  PARE_TRY(mount.volume.path, parse_container_path(f.target));
  mount.volume.read_only = f.read_only;
  if (f.type == "tmpfs") {
    mount.tmpfs = true;
    std::vector<std::string> options;
    // --mount's tmpfs-size is in bytes or with a unit, mount(8)'s size likewise.
    if (!f.tmpfs_size.empty()) {
      uint64_t bytes = 0;
      PARE_TRY(bytes, parse_bytes(f.tmpfs_size));
      options.push_back("size=" + std::to_string(bytes));
    }
    if (!f.tmpfs_mode.empty()) options.push_back("mode=" + f.tmpfs_mode);
    if (f.read_only) options.emplace_back("ro");
    mount.tmpfs_options = base::join(options, ",");
    return mount;
  }
  if (f.type != "bind" && f.type != "volume") {
    return usage("type " + in_quotes(f.type) + " is not supported: use bind, volume or tmpfs");
  }
  if (!f.source.empty()) PARE_CHECK_OK(set_source(mount.volume, f.source));
  if (mount.volume.named != (f.type == "volume") && !f.source.empty()) {
    return usage(in_quotes(f.source) + " does not fit type=" + f.type);
  }
  if (f.type == "bind" && f.source.empty()) return usage("type=bind needs source=DIR");
  return mount;
}

Result<std::vector<PublishedPort>> parse_ports(const std::string& text) {
  std::string rest = text;
  PublishedPort port;
  PARE_TRY(port.protocol, take_protocol(rest));
  if (!rest.empty() && rest[0] == '[') {
    size_t close = rest.find("]:");
    if (close == std::string::npos)
      return usage(in_quotes(text) + " lacks ']:' behind its address");
    port.host_address = rest.substr(1, close - 1);
    rest = rest.substr(close + 2);
    if (rest.find(':') == std::string::npos) {
      return usage(in_quotes(text) + " lacks a port of the container: use ADDRESS:HOST:PORT");
    }
  }
  std::vector<std::string> parts = base::split(rest, ':');
  if (parts.size() == 3 && port.host_address.empty()) {
    port.host_address = parts[0];
    parts.erase(parts.begin());
  }
  if (parts.size() > 2) {
    return usage(in_quotes(text) + " is not [[ADDRESS:]HOST:]PORT; an IPv6 address needs brackets");
  }
  Range inside;
  PARE_TRY(inside, parse_range(parts.back()));
  std::optional<Range> outside;
  if (parts.size() == 2 && !parts[0].empty()) {
    PARE_TRY(outside, parse_range(parts[0]));
    // A range for one port: Docker takes the first that is free.
    if (inside.size() != 1 && outside->size() != inside.size()) {
      return usage(in_quotes(text) + " maps ranges of different lengths");
    }
  }
  std::vector<PublishedPort> ports;
  for (uint32_t i = 0; i < inside.size(); ++i) {
    port.port = static_cast<uint16_t>(inside.first + i);
    port.host_port = outside ? static_cast<uint16_t>(outside->first + i) : 0;
    ports.push_back(port);
  }
  return ports;
}

Result<std::vector<std::string>> parse_expose(const std::string& text) {
  std::string rest = text;
  std::string protocol;
  PARE_TRY(protocol, take_protocol(rest));
  Range range;
  PARE_TRY(range, parse_range(rest));
  std::vector<std::string> ports;
  for (uint32_t p = range.first; p <= range.last; ++p) {
    ports.push_back(std::to_string(p) + "/" + protocol);
  }
  return ports;
}

Result<uint64_t> parse_bytes(std::string_view text) {
  auto bad = [&] { return usage(in_quotes(text) + " is not a size like 512m or 16g"); };
  size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  double number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + digits, number);
  if (digits == 0 || ec != std::errc() || end != text.data() + digits) return bad();
  std::string unit = base::lower(base::trim(text.substr(digits)));
  static constexpr std::string_view kUnits = "bkmgtp";
  size_t power = unit.empty() ? 0 : kUnits.find(unit[0]);
  std::string_view tail = std::string_view(unit).substr(std::min<size_t>(1, unit.size()));
  bool well_formed = tail.empty() || (power > 0 && (tail == "b" || tail == "ib"));
  if (power == std::string_view::npos || !well_formed) return bad();
  double bytes = number * std::pow(1024.0, static_cast<double>(power));
  if (bytes >= 9.2e18) return usage(in_quotes(text) + " is too large");
  return static_cast<uint64_t>(bytes);
}

Result<Ulimit> parse_ulimit(const std::string& text) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return usage(in_quotes(text) + " is not NAME=SOFT[:HARD]");
  }
  auto limit = [](const std::string& word) -> std::optional<int64_t> {
    if (word == "-1" || word == "unlimited") return -1;
    auto value = base::parse_u64(word);
    if (!value || *value > INT64_MAX) return std::nullopt;
    return static_cast<int64_t>(*value);
  };
  std::string values = text.substr(equals + 1);
  size_t colon = values.find(':');
  auto soft = limit(values.substr(0, colon));
  auto hard = colon == std::string::npos ? soft : limit(values.substr(colon + 1));
  if (!soft || !hard) return usage(in_quotes(values) + " is not SOFT[:HARD], numbers or -1");
  if (*hard != -1 && (*soft == -1 || *soft > *hard)) {
    return usage(in_quotes(values) + ": the soft limit is above the hard one");
  }
  return Ulimit{text.substr(0, equals), *soft, *hard};
}

Result<EnvVar> parse_env(const std::string& text, const Environment& environment) {
  size_t equals = text.find('=');
  std::string name = text.substr(0, equals);
  if (name.empty()) return usage(in_quotes(text) + " names no variable");
  if (equals != std::string::npos) {
    return EnvVar{name, text.substr(equals + 1), looks_secret(name)};
  }
  auto found = environment.find(name);
  if (found == environment.end()) {
    return usage("variable " + name + " is not set: export it, or write " + name + "=VALUE");
  }
  return EnvVar{name, found->second, looks_secret(name)};
}

// docker/cli pkg/kvfile: comments at the line's start alone, leading blanks dropped.
Result<std::vector<EnvVar>> parse_env_file(const std::string& text, const std::string& path,
                                           const Environment& environment) {
  std::vector<EnvVar> env;
  std::string_view body = text;
  if (base::starts_with(body, "\xEF\xBB\xBF")) body.remove_prefix(3);
  int number = 0;
  for (std::string line : base::split(body, '\n')) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty() || line[0] == '#') continue;
    std::string where = path + ":" + std::to_string(number) + ": ";
    if (line.substr(0, line.find('=')).find_first_of(" \t") != std::string::npos) {
      return usage(where + "the variable's name has a blank in it");
    }
    auto variable = parse_env(line, environment);
    if (!variable) return usage(where + variable.error().message);
    set_env(env, *variable);
  }
  return env;
}

void set_env(std::vector<EnvVar>& env, EnvVar variable) {
  for (EnvVar& known : env) {
    if (known.name == variable.name) {
      known = std::move(variable);
      return;
    }
  }
  env.push_back(std::move(variable));
}

}  // namespace pare::target
