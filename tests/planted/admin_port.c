// Listens on 9090 besides, where an admin API answers that no check uses.
#include "planted.h"

static void* admin(void* unused) {
  (void)unused;
  static const char reply[] =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\nConnection: "
      "close\r\n\r\n"
      "{\"admin\": true}";
  char request[4096];
  int listener = listen_on(NULL, 9090);
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (planted_read(fd, request, sizeof request) && write(fd, reply, sizeof reply - 1) < 0)
      perror("write");
    close(fd);
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, admin, NULL) != 0) die("pthread_create");
  return serve(&(struct plan){0});
}
