#include <algorithm>
#include <array>

#include "base/text.h"
#include "confine/gate_paths.h"

namespace pare::confine {

namespace {

// What a check of each kind asks (check/kind_*.cc); {} is the model.
struct Asked {
  std::string_view kind, method, path;
};
constexpr std::array<Asked, 12> kAsked = {{
    {"openai", "GET", "/v1/models"},
    {"openai", "POST", "/v1/completions"},
    {"openai", "POST", "/v1/chat/completions"},
    {"openai-embeddings", "GET", "/v1/models"},
    {"openai-embeddings", "POST", "/v1/embeddings"},
    {"kserve", "GET", "/v2"},
    {"kserve", "GET", "/v2/health/live"},
    {"kserve", "GET", "/v2/health/ready"},
    {"kserve", "GET", "/v2/models/{}"},
    {"kserve", "GET", "/v2/models/{}/ready"},
    {"kserve", "POST", "/v2/models/{}/infer"},
    {"kserve", "GET", "/v2/models/{}/config"},
}};

bool plain(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,=:@/";
  return !path.empty() && path[0] == '/' && path.find_first_not_of(kPlain) == path.npos &&
         path.find("//") == path.npos && path.find("/./") == path.npos &&
         path.find("/../") == path.npos && !base::ends_with(path, "/..") &&
         !base::ends_with(path, "/.");
}

std::string_view without_query(std::string_view target) {
  return target.substr(0, target.find('?'));
}

}  // namespace

Result<PathRule> parse_path_rule(const std::string& text) {
  size_t blank = text.find(' ');
  PathRule rule;
  if (blank != std::string::npos) {
    rule.method = text.substr(0, blank);
    rule.path = text.substr(blank + 1);
  }
  if (base::ends_with(rule.path, "/*")) {
    rule.prefix = true;
    rule.path.pop_back();
  }
  bool word =
      !rule.method.empty() && std::all_of(rule.method.begin(), rule.method.end(),
                                          [](unsigned char c) { return c >= 'A' && c <= 'Z'; });
  if (word && rule.method != "CONNECT" && plain(rule.path) &&
      rule.path.find('*') == std::string::npos) {
    return rule;
  }
  return fail(ErrorKind::kUsage, "'" + text +
                                     "' is not METHOD PATH, such as 'POST /v1/completions' or 'GET "
                                     "/v2/models/*' (no escapes, no query)");
}

std::vector<PathRule> rules_of(const std::vector<check::Spec>& checks, uint16_t inner_port) {
  std::vector<PathRule> rules;
  auto add = [&](std::string_view method, std::string path) {
    PathRule rule{std::string(method), std::move(path), false};
    if (plain(rule.path) && std::find(rules.begin(), rules.end(), rule) == rules.end()) {
      rules.push_back(rule);
    }
  };
  for (const check::Spec& spec : checks) {
    if (spec.port != inner_port) continue;
    if (spec.kind == "http") {
      add(spec.method.empty() ? (spec.body.empty() ? "GET" : "POST") : spec.method,
          std::string(without_query(spec.path)));
    }
    for (const Asked& row : kAsked) {
      if (row.kind != spec.kind) continue;
      std::string path(row.path);
      if (size_t at = path.find("{}"); at != std::string::npos) path.replace(at, 2, spec.model);
      add(row.method, path);
    }
  }
  return rules;
}

bool allows(const std::vector<PathRule>& rules, std::string_view method, std::string_view target) {
  std::string_view path = without_query(target);
  if (!plain(path)) return false;
  return std::any_of(rules.begin(), rules.end(), [&](const PathRule& rule) {
    if (rule.method != method) return false;
    return rule.prefix ? base::starts_with(path, rule.path) && path.size() > rule.path.size()
                       : path == rule.path;
  });
}

}  // namespace pare::confine
