// Either /cache or /scratch has to be writable; both are not needed.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  if (write_file("/cache/x", "x") == 0 || write_file("/scratch/x", "x") == 0) return answer(body);
  return refuse(body, "/cache/x and /scratch/x");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
