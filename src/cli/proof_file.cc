#include "cli/proof_file.h"

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::cli {

static Result<base::Json> read_json_file(const std::string& path) {
  PARE_TRY(std::string text, base::read_file(path));
  return base::parse_json(text, path);
}

Result<ProofFile> read_proof(const std::string& path) {
  std::error_code ignored;
  std::string file = std::filesystem::is_directory(path, ignored) ? path + "/proof.json" : path;
  ProofFile read;
  PARE_TRY(std::string text, base::read_file(file));
  PARE_TRY(base::Json json, base::parse_json(text, file));
  PARE_TRY(read.proof, verdict::proof_from_json(json, file));
  read.digest = base::sha256_hex(text);
  const auto directory = std::filesystem::path(file).parent_path();
  const std::string recorded = (directory / "evidence.json").string();
  if (std::filesystem::exists(recorded, ignored)) {
    PARE_TRY(base::Json json_of_it, read_json_file(recorded));
    PARE_TRY(evidence::Evidence evidence, evidence::evidence_from_json(json_of_it, recorded));
    read.evidence = std::move(evidence);
  }
  const std::string tried = (directory / "telemetry.json").string();
  if (std::filesystem::exists(tried, ignored)) {
    PARE_TRY(read.telemetry, read_json_file(tried));
  }
  return read;
}

}  // namespace pare::cli
