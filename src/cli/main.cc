#include "cli/verbs.h"

int main(int argc, char** argv) {
  return pare::cli::run(argc, argv);
}
