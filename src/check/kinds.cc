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

Status read_name(std::string& out, std::string_view path, std::string_view what) {
  out = path.substr(1);
  if (out.find('?') == std::string::npos) return {};
  return fail(ErrorKind::kUsage,
              fmt::format("'{}' is not the name of a {}: it has a '?'", out, what));
}

Status not_a_path(std::string_view name, std::string_view version) {
  if (name != version && !base::starts_with(name, fmt::format("{}/", version))) return {};
  return fail(ErrorKind::kUsage,
              fmt::format("what follows the port is a model's name, not the path '/{}': leave it "
                          "away",
                          name));
}

Status adopt_model(Spec& spec, std::string_view path) {
  PARE_CHECK_OK(read_name(spec.model, path, "model"));
  return not_a_path(spec.model, "v1");
}

Status adopt_kserve_model(Spec& spec, std::string_view path) {
  PARE_CHECK_OK(read_name(spec.model, path, "model"));
  if (spec.model.empty()) {
    return fail(ErrorKind::kUsage, "no model is named: write kserve://:PORT/MODEL");
  }
  return not_a_path(spec.model, "v2");
}

Status adopt_service(Spec& spec, std::string_view path) {
  return read_name(spec.service, path, "service");
}

}  // namespace

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> table = {
      {"http", "http://:8000/health",
       " method body header expect match allow-empty batch repeat within name tls ", adopt_http,
       prepare_http},
      {"openai", "openai://:8000", " header batch repeat within name tls stream ", adopt_model,
       prepare_openai},
      {"openai-embeddings", "openai-embeddings://:8000", " header batch repeat within name tls ",
       adopt_model, prepare_embeddings},
      {"kserve", "kserve://:8000/MODEL", " header batch repeat within name tls ",
       adopt_kserve_model, prepare_kserve},
      {"grpc-health", "grpc-health://:8001", " header batch repeat within name tls ", adopt_service,
       prepare_grpc_health},
      {"exec", "exec:CMD", " batch repeat within name port ", nullptr, prepare_exec, true},
  };
  return table;
}

const Kind* find_kind(std::string_view name) {
  auto row = std::find_if(kinds().begin(), kinds().end(),
                          [&](const Kind& kind) { return kind.name == name; });
  return row == kinds().end() ? nullptr : &*row;
}

}  // namespace pare::check
