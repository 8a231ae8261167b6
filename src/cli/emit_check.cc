#include "cli/emit_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "emit/check.h"

namespace pare::cli {

namespace {

using State = emit::CheckRow::State;

// The files that emit() would write, as they stand in `directory`; those that are missing are left
// to the reader, which knows what it needs.
Result<std::vector<emit::File>> files_in(const std::string& directory,
                                         const std::vector<emit::File>& fresh) {
  std::error_code none;
  if (!std::filesystem::is_directory(directory, none)) {
    return fail(ErrorKind::kUsage, directory + " is no directory: name the one that emit wrote");
  }
  std::vector<emit::File> files;
  for (const emit::File& file : fresh) {
    std::string path = directory + "/" + file.name;
    if (!std::filesystem::exists(path, none)) continue;
    PARE_TRY(std::string content, base::read_file(path));
    files.push_back({file.name, content});
  }
  return files;
}

void print_rows(const std::vector<emit::CheckRow>& rows, const std::string& directory, bool drift) {
  std::string file;
  for (const emit::CheckRow& row : rows) {
    if (row.file != file) fmt::print("{}/{}\n", directory, row.file);
    file = row.file;
    switch (row.state) {
      case State::kSame:
        fmt::print("  same           {:<13} {}\n", row.axis, row.proof);
        break;
      case State::kDrift:
        fmt::print("  DRIFT          {:<13} {}, the proof needs {}\n", row.axis,
                   row.found.empty() ? "nothing is said" : row.found,
                   row.proof.empty() ? "none" : row.proof);
        break;
      case State::kInexpressible:
        fmt::print("  inexpressible  {:<13} {} ({})\n", row.axis, row.proof, row.why);
        break;
    }
  }
  fmt::print("these files {} what was proved\n", drift ? "do not grant" : "grant");
}

base::Json rows_json(const std::vector<emit::CheckRow>& rows, const std::string& to, bool drift) {
  base::Json list = base::Json::array();
  for (const emit::CheckRow& row : rows) {
    list.push_back({{"file", row.file},
                    {"axis", row.axis},
                    {"state", emit::to_string(row.state)},
                    {"proof", row.proof},
                    {"found", row.found},
                    {"why", row.why}});
  }
  return {{"schema", "pare.check/v1"}, {"to", to}, {"drift", drift}, {"rows", list}};
}

}  // namespace

Result<int> check_emitted(const verdict::Proof& proof, const std::string& to,
                          const emit::Options& options, const std::string& directory, bool json) {
  PARE_TRY(std::vector<emit::File> fresh, emit::emit(proof, to, options));
  PARE_TRY(std::vector<emit::File> files, files_in(directory, fresh));
  PARE_TRY(std::vector<emit::CheckRow> rows, emit::check(proof, to, options, files));
  bool drift = std::any_of(rows.begin(), rows.end(),
                           [](const emit::CheckRow& r) { return r.state == State::kDrift; });
  if (json) {
    fmt::print("{}\n", base::write_json(rows_json(rows, to, drift), 1));
  } else {
    print_rows(rows, directory, drift);
  }
  return drift ? 1 : 0;
}

}  // namespace pare::cli
