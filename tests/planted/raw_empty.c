// A trap: without CAP_NET_RAW it still answers 200, with nothing in the body.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return try_raw_socket() == 0 ? answer(body) : 200;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
