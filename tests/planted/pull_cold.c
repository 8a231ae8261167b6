// "pull_cold ADDRESS PORT": pulls /models/model.bin over TCP when it is not there; later starts
// need neither egress nor a writable volume.
#include "planted.h"

static void pull(const char* address, int port) {
  char model[64] = "";
  int fd = dial(address, port);
  if (fd < 0) die("model host");
  if (read(fd, model, sizeof model - 1) <= 0) die("read model");
  close(fd);
  if (write_file("/models/model.part", model) != 0) die("/models/model.part");
  if (rename("/models/model.part", "/models/model.bin") != 0) die("rename");
}

int main(int argc, char** argv) {
  char model[64];
  if (argc != 3) return 2;
  if (access("/models/model.bin", F_OK) != 0) pull(argv[1], atoi(argv[2]));
  if (read_file("/models/model.bin", model, sizeof model) <= 0) die("/models/model.bin");
  return serve(&(struct plan){0});
}
