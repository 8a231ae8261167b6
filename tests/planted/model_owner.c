// Reads /models/model.bin at start-up, which uid 1234 owns with mode 0600.
#include "planted.h"

int main(void) {
  char model[64];
  if (read_file("/models/model.bin", model, sizeof model) <= 0) die("/models/model.bin");
  return serve(&(struct plan){0});
}
