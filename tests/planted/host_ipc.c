// Reads shared memory that another process of the host has made: the host's IPC namespace, with
// its /dev/shm. The argument is its path.
#include "planted.h"

int main(int argc, char** argv) {
  char tensor[16];
  if (argc != 2 || read_file(argv[1], tensor, sizeof tensor) < 0) die("shared memory");
  return serve(&(struct plan){0});
}
