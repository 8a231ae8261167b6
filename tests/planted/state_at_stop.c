// Saves its state to /state/last when it is told to stop, and ends with 1 if it cannot.
#include "planted.h"

static int stop(void) {
  if (write_file("/state/last", "state") == 0) return 0;
  perror("/state/last");
  return 1;
}

int main(void) {
  return serve(&(struct plan){.stop = stop});
}
