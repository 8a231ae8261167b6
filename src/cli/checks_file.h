// The checks of a file: a YAML or JSON document that is a list, or has one under `checks:`.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"

namespace pare::cli {

// kUsage where it is not there or an entry is wrong, kUnread where it is no YAML; both name it.
Result<std::vector<check::Spec>> checks_of_file(const std::string& path);

}  // namespace pare::cli
