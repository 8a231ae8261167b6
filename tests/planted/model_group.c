// Reads /models/model.bin at every inference: root owns it, group 2000 may read it (mode 0640).
#include "planted.h"

static int infer(int number, char* body) {
  char model[64];
  (void)number;
  if (read_file("/models/model.bin", model, sizeof model) <= 0)
    return refuse(body, "/models/model.bin");
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
