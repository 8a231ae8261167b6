// Serves only beside the host's own processes: the host's PID namespace.
#include "planted.h"

int main(void) {
  if (getpid() == 1) {
    fputs("alone in here\n", stderr);
    return 1;
  }
  return serve(&(struct plan){0});
}
