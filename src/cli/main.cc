#ifdef PARE_STATIC
#include <nss.h>
#endif

#include "cli/verbs.h"

int main(int argc, char** argv) {
#ifdef PARE_STATIC
  // Names come from /etc/hosts and DNS, both built in: a static program that loaded the host's
  // other name services would load another C library with them.
  __nss_configure_lookup("hosts", "files dns");
#endif
  return pare::cli::run(argc, argv);
}
