// Finds its own address by a UDP connect, which sends nothing: not egress.
#include "planted.h"

int main(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
  inet_pton(AF_INET, "198.51.100.8", &to.sin_addr);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) perror("own address, going on without");
  return serve(&(struct plan){0});
}
