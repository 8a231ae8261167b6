// Opens /dev/fuse at start-up: the device, asked for by name, and root where the host keeps it for
// root.
#include "planted.h"

int main(void) {
  if (open("/dev/fuse", O_RDWR | O_CLOEXEC) < 0) die("/dev/fuse");
  return serve(&(struct plan){0});
}
