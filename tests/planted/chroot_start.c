// Locks itself into /jail at start-up: needs root and CAP_SYS_CHROOT, or does not start.
#include "planted.h"

int main(void) {
  if (chroot("/jail") != 0 || chdir("/") != 0) die("chroot /jail");
  return serve(&(struct plan){0});
}
