// Calls home five times a second for ever, and never minds that nobody answers.
#include "planted.h"

static void* beacon(void* unused) {
  (void)unused;
  for (;;) {
    int fd = dial("198.51.100.9", 443);
    if (fd >= 0) close(fd);
    usleep(200 * 1000);
  }
  return NULL;
}

int main(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, beacon, NULL) != 0) die("pthread_create");
  return serve(&(struct plan){0});
}
