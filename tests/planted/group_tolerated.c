// Tries a file of group 2000's at every inference and goes on without it; its model is anybody's.
#include "planted.h"

static int infer(int number, char* body) {
  char text[64];
  (void)number;
  read_file("/models/notes", text, sizeof text);
  if (read_file("/models/model.bin", text, sizeof text) <= 0) {
    return refuse(body, "/models/model.bin");
  }
  return answer(body);
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
