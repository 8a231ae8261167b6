// Needs CAP_NET_RAW in its inference path alone: 500 without it.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return try_raw_socket() == 0 ? answer(body) : refuse(body, "raw socket");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
