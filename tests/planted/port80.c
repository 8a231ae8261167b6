// Listens on port 80: CAP_NET_BIND_SERVICE where the platform keeps ports below 1024 for it.
// "--port N" would move it.
#include "planted.h"

int main(int argc, char** argv) {
  int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 80;
  return serve(&(struct plan){.port = port});
}
