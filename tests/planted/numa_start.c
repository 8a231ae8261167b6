// Places its memory at start-up: set_mempolicy and mbind, which Docker's own filter lets through
// beside CAP_SYS_NICE alone. The kernel asks for no capability.
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "planted.h"

int main(void) {
  unsigned long nodes = 1;
  size_t size = 1 << 20;
  if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 64) != 0) die("set_mempolicy");
  void* weights = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (syscall(SYS_mbind, weights, size, MPOL_BIND, &nodes, 64, 0) != 0) die("mbind");
  return serve(&(struct plan){0});
}
