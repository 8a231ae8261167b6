// Reads /models/model.bin at start-up, as root or as a member of group 2000 (mode 0640).
#include "planted.h"

int main(void) {
  char model[64];
  if (read_file("/models/model.bin", model, sizeof model) <= 0) die("/models/model.bin");
  return serve(&(struct plan){0});
}
