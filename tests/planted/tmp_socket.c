// Two processes of it talk through a socket in /tmp; without it there is no answer.
#include <sys/un.h>

#include "planted.h"

static const struct sockaddr_un kAt = {.sun_family = AF_UNIX, .sun_path = "/tmp/backend"};

static int infer(int number, char* body) {
  (void)number;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int status = connect(fd, (const struct sockaddr*)&kAt, sizeof kAt) == 0
                   ? answer(body)
                   : refuse(body, "/tmp/backend");
  close(fd);
  return status;
}

int main(void) {
  unlink(kAt.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(fd, (const struct sockaddr*)&kAt, sizeof kAt) != 0)
    perror(kAt.sun_path);
  else if (fork() == 0) {
    listen(fd, 16);
    for (;;) close(accept(fd, NULL, NULL));
  }
  return serve(&(struct plan){.infer = infer});
}
