// Wants its shared memory removed with its last user: kernel.shm_rmid_forced, asked for.
#include "planted.h"

int main(void) {
  char value[4] = "";
  if (read_file("/proc/sys/kernel/shm_rmid_forced", value, sizeof value) < 0 || value[0] != '1') {
    fputs("kernel.shm_rmid_forced is not set\n", stderr);
    return 1;
  }
  return serve(&(struct plan){0});
}
