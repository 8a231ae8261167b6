// For ./dev bench recorder: holds kernel programs attached until its input ends.
//
//   recorder_bench entry         an empty program at system calls' entry
//   recorder_bench floor         one at entry and one at exit
//   recorder_bench record LEAF   a recorder for the container whose cgroup is named LEAF; at the
//   end
//                                prints one JSON object: calls counted, events lost, peak memory
#include <bpf/libbpf.h>
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "record/bpf/floor.skel.h"
#include "record/recorder.h"

namespace {

void wait_for_end() {
  fmt::print("ready\n");
  std::fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

int hold_empty(bool at_exit) {
  std::unique_ptr<floor_bpf, void (*)(floor_bpf*)> floor(floor_bpf__open(), floor_bpf__destroy);
  if (!floor) return 3;
  bpf_program__set_autoload(floor->progs.at_exit, at_exit);
  if (floor_bpf__load(floor.get()) != 0 || floor_bpf__attach(floor.get()) != 0) return 3;
  wait_for_end();
  return 0;
}

int hold_recorder(const std::string& leaf) {
  auto recorder = pare::record::Recorder::open({});
  if (!recorder) {
    fmt::print(stderr, "recorder_bench: {}\n", recorder.error().message);
    return 3;
  }
  if (!(*recorder)->arm(leaf)) return 3;
  wait_for_end();
  auto evidence = (*recorder)->finish();
  if (!evidence) return 1;
  uint64_t calls = 0;
  for (const auto& fact : evidence->syscalls) calls += fact.count;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print("{{\"calls\": {}, \"files\": {}, \"lost\": {}, \"peakKiB\": {}}}\n", calls,
             evidence->files.size(), evidence->loss.events, usage.ru_maxrss);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "entry" || what == "floor") return hold_empty(what == "floor");
  if (what == "record" && argc == 3) return hold_recorder(argv[2]);
  fmt::print(stderr, "usage: recorder_bench entry | floor | record LEAF\n");
  return 2;
}
