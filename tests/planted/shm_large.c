// Keeps 72 MiB in /dev/shm, which has 64 MiB unless more is asked for.
#include "planted.h"

static char block[1 << 20];

static int infer(int number, char* body) {
  (void)number;
  int fd = open("/dev/shm/tensor", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  for (int i = 0; i < 72; ++i) {
    if (write(fd, block, sizeof block) != sizeof block) return refuse(body, "/dev/shm/tensor");
  }
  close(fd);
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
