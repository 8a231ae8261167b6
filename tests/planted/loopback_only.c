// Listens on 127.0.0.1 alone: nothing outside its container could reach it.
#include "planted.h"

int main(void) {
  return serve(&(struct plan){.address = "127.0.0.1"});
}
