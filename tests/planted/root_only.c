// Refuses every uid but 0, and needs no capability.
#include "planted.h"

int main(void) {
  if (geteuid() != 0) {
    fputs("must be root\n", stderr);
    return 1;
  }
  return serve(&(struct plan){0});
}
