// Listens on port 80: CAP_NET_BIND_SERVICE where the platform keeps ports below 1024 for it.
#include "planted.h"

int main(void) {
  return serve(&(struct plan){.port = 80});
}
