// No server of the zoo: what others pull their model from. "model_host ADDRESS PORT" sends MODEL to
// whoever connects.
#include "planted.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  int listener = listen_on(argv[1], atoi(argv[2]));
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (write(fd, "MODEL", 5) != 5) perror("write");
    close(fd);
  }
}
