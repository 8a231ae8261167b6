// Places its memory if it may and goes on if it may not.
#include <linux/mempolicy.h>
#include <sys/syscall.h>

#include "planted.h"

int main(void) {
  unsigned long nodes = 1;
  if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64) != 0) perror("NUMA, going on without");
  return serve(&(struct plan){0});
}
