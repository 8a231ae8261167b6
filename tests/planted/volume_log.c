// Appends a line to /data/log at every inference: the volume has to stay writable, for any uid.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  int fd = open("/data/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return refuse(body, "/data/log");
  int whole = write(fd, "1\n", 2) == 2;
  close(fd);
  return whole ? answer(body) : refuse(body, "/data/log");
}

int main(void) {
  umask(0);
  return serve(&(struct plan){.infer = infer});
}
