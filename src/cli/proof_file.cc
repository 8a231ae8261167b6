#include "cli/proof_file.h"

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::cli {

Result<ProofFile> read_proof(const std::string& path) {
  std::error_code ignored;
  std::string file = std::filesystem::is_directory(path, ignored) ? path + "/proof.json" : path;
  ProofFile read;
  PARE_TRY(std::string text, base::read_file(file));
  PARE_TRY(base::Json json, base::parse_json(text, file));
  PARE_TRY(read.proof, verdict::proof_from_json(json, file));
  read.digest = base::sha256_hex(text);
  std::string beside = (std::filesystem::path(file).parent_path() / "evidence.json").string();
  if (!std::filesystem::exists(beside, ignored)) return read;
  PARE_TRY(std::string evidence_text, base::read_file(beside));
  PARE_TRY(base::Json evidence_json, base::parse_json(evidence_text, beside));
  PARE_TRY(evidence::Evidence evidence, evidence::evidence_from_json(evidence_json, beside));
  read.evidence = std::move(evidence);
  return read;
}

}  // namespace pare::cli
