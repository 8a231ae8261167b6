// Reports its start to a host and waits for the connection first: survives a refusal, hangs on
// silence.
#include "planted.h"

int main(void) {
  int fd = dial("198.51.100.9", 443);
  if (fd >= 0) close(fd);
  return serve(&(struct plan){0});
}
