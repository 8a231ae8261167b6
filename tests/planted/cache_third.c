// Writes /cache/x at its third inference and fails if it cannot.
#include "planted.h"

static int infer(int number, char* body) {
  if (number == 3 && write_file("/cache/x", "third") != 0) return refuse(body, "/cache/x");
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
