// Reads two files at every inference that different uids own with mode 0600: no one uid will do, so
// it takes CAP_DAC_OVERRIDE (as root).
#include "planted.h"

static int infer(int number, char* body) {
  char text[64];
  (void)number;
  if (read_file("/models/weights", text, sizeof text) <= 0) return refuse(body, "/models/weights");
  if (read_file("/models/vocabulary", text, sizeof text) <= 0) {
    return refuse(body, "/models/vocabulary");
  }
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
