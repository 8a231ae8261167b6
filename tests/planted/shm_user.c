// Uses /dev/shm, which every platform gives by itself: nothing is needed.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return write_file("/dev/shm/tensor", "1 2 3") == 0 ? answer(body)
                                                     : refuse(body, "/dev/shm/tensor");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
