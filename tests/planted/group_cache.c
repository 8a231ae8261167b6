// Replaces a file of a cache that group 2000 shares (mode 0775) at every inference, as another uid
// than the cache's owner.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  if (write_file("/cache/new", ANSWER) != 0) return refuse(body, "/cache/new");
  return rename("/cache/new", "/cache/answer") == 0 ? answer(body) : refuse(body, "/cache/answer");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
