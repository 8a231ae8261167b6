#include "check/spec_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace pare::check {
namespace {

bool is_token(std::string_view text) {
  const std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
    return std::isalnum(c) || marks.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

Result<uint16_t> parse_port(std::string_view text) {
  auto port = base::parse_u64(text);
  if (!port || *port == 0 || *port > 65535) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not a port between 1 and 65535", text));
  }
  return static_cast<uint16_t>(*port);
}

// "HOST:PORT", "[V6]:PORT", ":PORT", "HOST".
Status read_authority(Url& url, std::string_view text) {
  if (text.find('@') != std::string_view::npos) {
    return fail(ErrorKind::kUsage,
                "a user or password in a URL is not understood: use "
                "header=Authorization:...");
  }
  size_t host_end = text.find(':');
  if (base::starts_with(text, "[")) {
    size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return fail(ErrorKind::kUsage, fmt::format("the address '{}' has no closing ']'", text));
    }
    host_end = close + 1;
  }
  std::string_view host = text.substr(0, host_end);
  std::string_view after = host_end < text.size() ? text.substr(host_end) : std::string_view();
  if (!host.empty() && host[0] != '[') {
    bool plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
      return std::isalnum(c) || c == '.' || c == '-' || c == '_';
    });
    if (!plain) return fail(ErrorKind::kUsage, fmt::format("'{}' is not a host name", host));
  }
  url.has_host = !host.empty();
  if (after.empty()) return {};
  if (after[0] != ':') {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not HOST:PORT", text));
  }
  PARE_TRY(url.port, parse_port(after.substr(1)));
  return {};
}

}  // namespace

Result<Url> parse_url(std::string_view text, std::string_view scheme) {
  Url url;
  size_t mark = text.find("://");
  if (mark == std::string_view::npos && scheme.empty()) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' has no scheme such as http://", text));
  }
  url.scheme = base::lower(mark == std::string_view::npos ? scheme : text.substr(0, mark));
  if (mark != std::string_view::npos) text.remove_prefix(mark + 3);
  size_t path = std::min(text.find_first_of("/?#"), text.size());
  PARE_CHECK_OK(read_authority(url, text.substr(0, path)));
  url.path = text.substr(path, text.find('#') - path);
  if (url.path.empty() || url.path[0] != '/') url.path.insert(0, "/");
  if (has_control(url.path) || url.path.find_first_of(" \t") != std::string::npos) {
    return fail(ErrorKind::kUsage,
                "the path has a blank or a control character: write it as %20 or the like");
  }
  return url;
}

Status adopt_port(Spec& spec, const Url& url) {
  spec.port = url.port;
  spec.host_port = url.has_host;
  if (spec.port == 0 && url.has_host) {
    if (url.scheme == "http") spec.port = 80;
    if (url.scheme == "https") spec.port = 443;
  }
  if (spec.port != 0) return {};
  return fail(ErrorKind::kUsage, fmt::format("no port is named: write {}://:PORT", url.scheme));
}

Result<std::string> parse_header(std::string_view text) {
  size_t colon = text.find(':');
  std::string_view name = base::trim(text.substr(0, colon));
  if (colon == std::string_view::npos) {
    return fail(ErrorKind::kUsage, "a header is not of the form NAME:VALUE");
  }
  if (!is_token(name)) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not the name of a header", name));
  }
  std::string_view value = base::trim(text.substr(colon + 1));
  if (has_control(value)) {
    return fail(ErrorKind::kUsage,
                fmt::format("the value of header '{}' has a control character", name));
  }
  return fmt::format("{}: {}", name, value);
}

Status complete_http(Spec& spec, std::string_view default_content_type) {
  if (spec.method == "HEAD" && !spec.allow_empty) {
    return fail(ErrorKind::kUsage,
                "the answer to HEAD has no body to look at: use GET, or add allow-empty");
  }
  bool typed = std::any_of(spec.headers.begin(), spec.headers.end(), [](const auto& header) {
    return base::starts_with(base::lower(header), "content-type:");
  });
  if (!spec.body.empty() && !typed) {
    std::string_view start = base::trim(spec.body).substr(0, 1);
    bool json = default_content_type.empty() && (start == "{" || start == "[");
    if (json) default_content_type = "application/json";
    if (default_content_type.empty()) default_content_type = "application/octet-stream";
    spec.headers.push_back(fmt::format("Content-Type: {}", default_content_type));
  }
  return {};
}

bool secret_name(std::string_view name) {
  std::string lower = base::lower(base::trim(name));
  std::replace(lower.begin(), lower.end(), '-', '_');
  const std::array<std::string_view, 10> parts = {
      "authorization", "token",  "secret",     "password", "passwd",
      "apikey",        "cookie", "credential", "api_key",  "signature"};
  if (lower == "key" || lower == "sig" || base::ends_with(lower, "_key")) return true;
  return std::any_of(parts.begin(), parts.end(),
                     [&](std::string_view part) { return lower.find(part) != std::string::npos; });
}

std::string mask_header(std::string_view header) {
  size_t colon = header.find(':');
  if (colon == std::string_view::npos) return std::string(header);
  std::string value = base::lower(base::trim(header.substr(colon + 1)));
  bool secret = secret_name(header.substr(0, colon)) || base::starts_with(value, "bearer ") ||
                base::starts_with(value, "basic ");
  return secret ? std::string(header.substr(0, colon)) + ":***" : std::string(header);
}

std::string mask_url(std::string_view url) {
  size_t query = url.find('?');
  if (query == std::string_view::npos) return std::string(url);
  std::string out(url.substr(0, query));
  char mark = '?';
  for (const auto& pair : base::split(url.substr(query + 1), '&')) {
    size_t equals = pair.find('=');
    bool secret = equals != std::string::npos && secret_name(pair.substr(0, equals));
    out += mark + (secret ? pair.substr(0, equals) + "=***" : pair);
    mark = '&';
  }
  return out;
}

}  // namespace pare::check
