// Hands a file from one uid to another at every inference: CAP_CHOWN, as root.
#include "planted.h"

static int infer(int number, char* body) {
  char path[64];
  snprintf(path, sizeof path, "/dev/shm/result%d", number);
  if (write_file(path, "x") != 0) return refuse(body, "write");
  int given = chown(path, 1000, 1000) == 0 && chown(path, 1001, 1001) == 0;
  int status = given ? answer(body) : refuse(body, "chown");
  unlink(path);
  return status;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
