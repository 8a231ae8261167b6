// A trap: one inference in five fails, whatever it is allowed (the seed is the time, so runs
// differ).
#include <time.h>

#include "planted.h"

static int infer(int number, char* body) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  unsigned seed = (unsigned)now.tv_nsec ^ (unsigned)number * 2654435761u;
  return rand_r(&seed) % 5 == 0 ? (errno = EIO, refuse(body, "luck")) : answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
