// Writes to a volume that only root may write to, as new volumes are.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return write_file("/data/log", "asked\n") == 0 ? answer(body) : refuse(body, "/data/log");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
