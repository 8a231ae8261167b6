// pare.yaml: the command line as a file, `pare: v1` on top. Each key is an option of `pare prove`
// without its dashes (lists for those that may be repeated), and `checks:` is their full form.
// data/schemas/pare-target.schema.json says the same to editors.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "target/files.h"

namespace pare::target {

struct PareFile {
  std::vector<std::string> words;  // the target as after `--`; files by their paths from here
  // Options by name ("env") with their values as on the command line; a flag has the value "true".
  std::vector<std::pair<std::string, std::string>> options;
  nlohmann::json checks = nlohmann::json::array();
  std::vector<std::string> check_where;  // FILE:LINE of each entry
};

enum class PareValue { kText, kNumber, kFlag, kTexts, kPairs };
struct PareKey {
  std::string_view name;
  PareValue value = PareValue::kText;
  // What of it is a path, taken from the file's directory: 'p' all, 'f' the part before the first
  // ':' (a volume), 'v' the value of a pair.
  char path = 0;
};
// The options that may stand in the file.
const std::vector<PareKey>& pare_keys();

// Whether `pare:` is a key of the file's first document.
bool is_pare_file(const SourceFile& file);

// kUsage or kUnread with FILE:LINE.
Result<PareFile> read_pare_file(const SourceFile& file);

}  // namespace pare::target
