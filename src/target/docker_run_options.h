// The table of docker run's options; used by docker_run.cc alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "target/docker_values.h"
#include "target/target.h"

namespace pare::target::docker_run {

// A line while it is being read.
struct Line {
  Target target;
  const Environment& environment;
  std::vector<EnvVar> file_env;  // of --env-file: -e wins wherever it stands
  std::string masked;  // set by a setter: what `written` says instead of the value in hand
};

using Setter = Status (*)(Line&, const std::string& value);

// One option. Neither `set` nor `refused`: it goes to Target::kept.
struct Row {
  std::string_view name;  // without dashes
  char letter = 0;
  bool takes_value = true;
  Setter set = nullptr;
  std::string_view refused = {};  // why, with the remedy
};

const std::vector<Row>& rows();

}  // namespace pare::target::docker_run
