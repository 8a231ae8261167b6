#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "check/kind.h"

namespace pare::check {
namespace {

Status adopt_http(Spec& spec, std::string_view path) {
  spec.path = path;
  return {};
}

Status adopt_model(Spec& spec, std::string_view path) {
  spec.model = path.substr(1);
  if (spec.model.find('?') != std::string::npos) {
    return fail(ErrorKind::kUsage,
                fmt::format("'{}' is not the name of a model: it has a '?'", spec.model));
  }
  if (spec.model == "v1" || base::starts_with(spec.model, "v1/")) {
    return fail(ErrorKind::kUsage,
                fmt::format("what follows the port is a model's name, not the path '{}': leave it "
                            "away",
                            path));
  }
  return {};
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> table = {
      {"http", "http://:8000/health",
       " method body header expect match allow-empty batch repeat within name tls ", adopt_http,
       prepare_http},
      {"openai", "openai://:8000", " header batch repeat within name tls ", adopt_model,
       prepare_openai},
      {"exec", "exec:CMD", " batch repeat within name ", nullptr, prepare_exec, true},
  };
  return table;
}

const Kind* find_kind(std::string_view name) {
  auto row = std::find_if(kinds().begin(), kinds().end(),
                          [&](const Kind& kind) { return kind.name == name; });
  return row == kinds().end() ? nullptr : &*row;
}

}  // namespace pare::check
