// Appends a line to /data/log at every inference; the file stays its first uid's (mode 0644), so
// that another uid can take over only after the volume was given to it.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  int fd = open("/data/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return refuse(body, "/data/log");
  int whole = write(fd, "1\n", 2) == 2;
  close(fd);
  return whole ? answer(body) : refuse(body, "/data/log");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
