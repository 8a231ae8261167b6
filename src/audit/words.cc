// The small languages inside values: shell words, ports, mounts, ${VAR:-default}.
#include <algorithm>

#include "audit/input.h"
#include "base/text.h"

namespace pare::audit {
namespace {

// Splits at ':' but not inside "${...}" or "[...]" (an IPv6 address).
std::vector<std::string> split_colons(std::string_view text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (char c : text) {
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (c == ':' && depth <= 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

struct Range {
  uint64_t first = 0, last = 0;
  bool known = false;
};

Range parse_range(std::string_view text) {
  size_t dash = text.find('-');
  auto first = base::parse_u64(text.substr(0, dash));
  auto last = dash == std::string_view::npos ? first : base::parse_u64(text.substr(dash + 1));
  if (!first || !last || *first > 65535 || *last > 65535 || *last < *first) return {};
  return {*first, *last, true};
}
}  // namespace

std::string with_defaults(std::string_view text, bool* unknown) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '$' || at + 1 >= text.size()) {
      result += text[at++];
      continue;
    }
    if (text[at + 1] == '$') {
      result += '$';
      at += 2;
      continue;
    }
    size_t close = text[at + 1] == '{' ? text.find('}', at) : std::string_view::npos;
    if (close == std::string_view::npos) {
      *unknown = *unknown || has_variable(text.substr(at));
      result += text[at++];
      continue;
    }
    std::string_view inside = text.substr(at + 2, close - at - 2);
    size_t dash = inside.find('-');
    if (dash != std::string_view::npos && inside.find('?') == std::string_view::npos) {
      result += inside.substr(dash + 1);
    } else {
      *unknown = true;
      result += text.substr(at, close + 1 - at);
    }
    at = close + 1;
  }
  return result;
}

std::vector<PortEntry> parse_ports(std::string_view written) {
  PortEntry entry;
  entry.published = true;
  std::string text = with_defaults(written, &entry.unknown);
  size_t slash = text.rfind('/');
  if (slash != std::string::npos) {
    entry.protocol = text.substr(slash + 1);
    text.resize(slash);
  }
  std::vector<std::string> parts = split_colons(text);
  Range inside = parse_range(parts.back());
  Range outside = parts.size() > 1 ? parse_range(parts[parts.size() - 2]) : Range{};
  if (parts.size() > 2) entry.host_address = parts[parts.size() - 3];
  if (!inside.known) {
    entry.unknown = true;
    return {entry};
  }
  std::vector<PortEntry> entries;
  for (uint64_t port = inside.first; port <= inside.last && entries.size() < 1024; ++port) {
    entry.port = static_cast<uint16_t>(port);
    bool mapped = outside.known && outside.first + (port - inside.first) <= outside.last;
    entry.host_port =
        mapped ? static_cast<uint16_t>(outside.first + (port - inside.first)) : uint16_t{0};
    entries.push_back(entry);
  }
  return entries;
}

MountEntry parse_mount(std::string_view written) {
  MountEntry mount;
  std::string text = with_defaults(written, &mount.unknown);
  std::vector<std::string> parts = split_colons(text);
  if (parts.size() == 1) {
    mount.path = parts[0];
    return mount;
  }
  mount.source = parts[0];
  mount.path = parts[1];
  for (size_t i = 2; i < parts.size(); ++i) {
    for (const std::string& option : base::split(parts[i], ',')) {
      if (option == "ro" || option == "readonly") mount.read_only = true;
    }
  }
  char first = mount.source.empty() ? ' ' : mount.source[0];
  mount.host = first == '/' || first == '.' || first == '~' || first == '$';
  return mount;
}

std::vector<std::string> shell_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quote == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
      if (in_word) words.push_back(std::move(word));
      word.clear();
      in_word = false;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      in_word = true;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      if (text[++i] != '\n') {
        word += text[i];
        in_word = true;
      }
    } else {
      word += c;
      in_word = true;
    }
  }
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace pare::audit
