// Asks for io_uring at start-up and falls back to read(2) when the kernel or a filter says no.
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "planted.h"

int main(void) {
  struct io_uring_params params = {0};
  long fd = syscall(SYS_io_uring_setup, 4, &params);
  if (fd < 0)
    perror("io_uring, going on without");
  else
    close((int)fd);
  return serve(&(struct plan){0});
}
