// Tries to touch /data/stamp at start-up and goes on when the volume is read-only.
#include "planted.h"

int main(void) {
  if (write_file("/data/stamp", "1") != 0) perror("/data/stamp, going on without");
  return serve(&(struct plan){0});
}
