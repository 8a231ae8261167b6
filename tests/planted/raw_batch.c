// Needs CAP_NET_RAW only when four inferences are under way at once, as dynamic batching would.
#include "planted.h"

static atomic_int under_way, most;

static int infer(int number, char* body) {
  (void)number;
  int now = atomic_fetch_add(&under_way, 1) + 1;
  if (now > atomic_load(&most)) atomic_store(&most, now);
  for (int i = 0; i < 40 && atomic_load(&most) < 4; i++) usleep(5000);
  int batched = atomic_load(&most) >= 4;
  int status = batched && try_raw_socket() != 0 ? refuse(body, "raw socket") : answer(body);
  atomic_fetch_sub(&under_way, 1);
  return status;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
