// One inference takes CAP_NET_RAW and CAP_SYS_CHROOT together.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return try_raw_socket() == 0 && chroot("/") == 0 ? answer(body) : refuse(body, "both ways");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
