// For tests of the file readers: text in, workloads out, no disk.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "target/files.h"

namespace pare::target::testing {

struct Given {
  std::map<std::string, std::string> files;  // what read_file finds
  FileOptions options;

  Given() {
    options.read_file = [this](const std::string& path) -> Result<std::string> {
      auto found = files.find(path);
      if (found == files.end()) return fail(ErrorKind::kUsage, "cannot read " + path);
      return found->second;
    };
  }
  Given(const Given&) = delete;

  Result<std::vector<Workload>> all(const std::string& text,
                                    const std::string& path = "f.yaml") const {
    return read_target_files({{path, text}}, options);
  }
  // The chosen one, or its error's text.
  Workload one(const std::string& text, const std::string& path = "f.yaml") const {
    auto read = all(text, path);
    if (read) {
      auto chosen = choose_workload(*read, options.container);
      if (chosen) return *chosen;
      read = tl::unexpected(chosen.error());
    }
    Workload failed;
    failed.refused = read.error();
    return failed;
  }
  std::string error(const std::string& text) const {
    Workload workload = one(text);
    return workload.refused ? workload.refused->message : "";
  }
};

inline std::string value_of(const Target& target, const std::string& name) {
  for (const EnvVar& variable : target.env) {
    if (variable.name == name) return variable.value;
  }
  return "(unset)";
}

}  // namespace pare::target::testing
