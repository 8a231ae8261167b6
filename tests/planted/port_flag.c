// Listens where "--port N" says; asked for with 80, which CAP_NET_BIND_SERVICE may be kept for.
#include "planted.h"

int main(int argc, char** argv) {
  if (argc != 3 || strcmp(argv[1], "--port") != 0) return 2;
  return serve(&(struct plan){.port = atoi(argv[2])});
}
