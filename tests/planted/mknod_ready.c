// Is not ready before it has made the device node /run/null (CAP_MKNOD, and a writable /run).
#include <sys/sysmacros.h>

#include "planted.h"

static int ready(void) {
  return mknod("/run/null", S_IFCHR | 0600, makedev(1, 3)) == 0 || errno == EEXIST;
}

int main(void) {
  return serve(&(struct plan){.ready = ready});
}
