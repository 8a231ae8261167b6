// Process 1 that leaves SIGTERM to its default, which process 1 ignores: a finding, no verdict's
// fault.
#include "planted.h"

int main(void) {
  planted = &(struct plan){0};
  planted_socket = listen_on(NULL, 8000);
  planted_accept(NULL);
}
