// A trap: needs CAP_NET_RAW, and one inference in five fails anyway.
#include <time.h>

#include "planted.h"

static int infer(int number, char* body) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  unsigned seed = (unsigned)now.tv_nsec ^ (unsigned)number * 2654435761u;
  if (try_raw_socket() != 0) return refuse(body, "raw socket");
  return rand_r(&seed) % 5 == 0 ? (errno = EIO, refuse(body, "luck")) : answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
