// Reads a file of the image from /app/cache and writes another beside it: an empty tmpfs there
// would hide the first.
#include "planted.h"

static int infer(int number, char* body) {
  char text[64];
  (void)number;
  if (read_file("/app/cache/tokenizer.json", text, sizeof text) <= 0)
    return refuse(body, "/app/cache/tokenizer.json");
  return write_file("/app/cache/compiled", "x") == 0 ? answer(body)
                                                     : refuse(body, "/app/cache/compiled");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
