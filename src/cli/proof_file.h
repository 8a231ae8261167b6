// Reading a proof that prove wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "evidence/evidence.h"
#include "verdict/verdict.h"

namespace pare::cli {

struct ProofFile {
  verdict::Proof proof;
  std::string digest;                          // sha256 of the file's bytes, hex
  std::optional<evidence::Evidence> evidence;  // of evidence.json beside it, where there is one
  std::optional<nlohmann::json> telemetry;     // of telemetry.json, likewise
};

// A proof.json, or the directory that holds it. kUsage when it does not exist, kUnread otherwise.
Result<ProofFile> read_proof(const std::string& path);

}  // namespace pare::cli
