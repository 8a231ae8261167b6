// Changes the mode of /data/table, which uid 1500 owns, at every inference.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  return chmod("/data/table", 0644) == 0 ? answer(body) : refuse(body, "/data/table");
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
