// Either CAP_NET_RAW or CAP_SYS_CHROOT will do: the less dangerous one, SYS_CHROOT, is what should
// stay.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return try_raw_socket() == 0 || chroot("/") == 0 ? answer(body) : refuse(body, "neither way");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
