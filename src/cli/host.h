#pragma once

#include <string>

namespace pare::cli {

struct HostFacts {
  std::string kernel;  // uname -r
  std::string arch;    // uname -m
};
HostFacts host_facts();

}  // namespace pare::cli
