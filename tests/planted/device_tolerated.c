// Opens /dev/fuse at start-up if it is there, and goes on without.
#include "planted.h"

int main(void) {
  if (open("/dev/fuse", O_RDWR | O_CLOEXEC) < 0) perror("/dev/fuse, going on without");
  return serve(&(struct plan){0});
}
