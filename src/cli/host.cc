#include "cli/host.h"

#include <sys/utsname.h>

namespace pare::cli {

HostFacts host_facts() {
  utsname name{};
  uname(&name);
  return {name.release, name.machine};
}

}  // namespace pare::cli
