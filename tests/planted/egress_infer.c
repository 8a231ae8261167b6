// "egress_infer ADDRESS PORT": asks another host at every inference.
#include "planted.h"

static const char* address;
static int port;

static int infer(int number, char* body) {
  char text[64];
  (void)number;
  int fd = dial(address, port);
  if (fd < 0) return refuse(body, "backend");
  ssize_t n = read(fd, text, sizeof text);
  close(fd);
  return n > 0 ? answer(body) : refuse(body, "backend");
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  address = argv[1];
  port = atoi(argv[2]);
  return serve(&(struct plan){.infer = infer});
}
