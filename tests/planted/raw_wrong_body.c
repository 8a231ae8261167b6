// A trap: without CAP_NET_RAW it answers 200 with a body that is not an answer.
#include "planted.h"

static int infer(int number, char* body) {
  (void)number;
  if (try_raw_socket() == 0) return answer(body);
  strcpy(body, "{\"error\": \"no backend\"}");
  return 200;
}

int main(void) {
  return serve(&(struct plan){.infer = infer});
}
