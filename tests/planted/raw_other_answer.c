// A trap: without CAP_NET_RAW it answers 200 with another answer than before.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  if (try_raw_socket() == 0) return answer(body);
  strcpy(body, "{\"answer\": \"forty-one\"}");
  return 200;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
