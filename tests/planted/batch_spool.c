// Four inferences at once are joined through a file in /spool; one at a time never goes there.
#include "planted.h"

static atomic_int under_way, most;

static int infer(int number, char* body) {
  (void)number;
  int now = atomic_fetch_add(&under_way, 1) + 1;
  if (now > atomic_load(&most)) atomic_store(&most, now);
  for (int i = 0; i < 40 && atomic_load(&most) < 4; i++) usleep(5000);
  int batched = atomic_load(&most) >= 4;
  int status =
      batched && write_file("/spool/batch", "4") != 0 ? refuse(body, "/spool/batch") : answer(body);
  atomic_fetch_sub(&under_way, 1);
  return status;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
