// Takes CAP_SYS_CHROOT out of its bounding set at start-up (CAP_SETPCAP) and does not start
// without.
#include <linux/capability.h>
#include <sys/prctl.h>

#include "planted.h"

int main(void) {
  if (prctl(PR_CAPBSET_DROP, CAP_SYS_CHROOT, 0, 0, 0) != 0) die("bounding set");
  return serve(&(struct plan){0});
}
