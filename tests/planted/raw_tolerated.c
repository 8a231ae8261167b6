// Tries a raw socket at start-up and goes on without: CAP_NET_RAW is used, and not needed.
#include "planted.h"

int main(void) {
  if (try_raw_socket() != 0) perror("raw socket, going on without");
  return serve(&(struct plan){0});
}
